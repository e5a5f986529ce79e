"""ECS calls that lead from an EC2 instance to the Batch jobs on it."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from localcloud.executor import Task
from localcloud.fleet import Fleet
from localcloud.instance import Instance, State
from localcloud.reactor import Reactor
from localcloud.seams import Response, Seams

Given = dict[str, Any]
Action = Callable[[Given], Response]
_BY_INSTANCE = re.compile(r"\s*ec2InstanceId\s*==\s*(i-[0-9a-f]+)\s*")


class EcsReads:
    """Answers for the clusters of Batch; every other cluster is left to the emulator."""

    def __init__(self, *, seams: Seams, fleet: Fleet, reactor: Reactor) -> None:
        self._seams = seams
        self._fleet = fleet
        self._reactor = reactor
        self._before: dict[str, Action] = dict(seams.ecs._ACTION_MAP)

    def install(self) -> None:
        answers: dict[str, Callable[[list[Instance], Given], dict[str, Any]]] = {
            "ListContainerInstances": self.list_container_instances,
            "DescribeContainerInstances": self.describe_container_instances,
            "ListTasks": self.list_tasks,
            "DescribeTasks": self.describe_tasks,
        }
        for name, answer in answers.items():
            self._seams.ecs._ACTION_MAP[name] = self._for_batch_clusters(name, answer)

    def list_container_instances(self, mine: list[Instance], given: Given) -> dict[str, Any]:
        wanted = _BY_INSTANCE.fullmatch(given.get("filter", ""))
        arns = [one.container_instance_arn for one in mine if wanted is None or one.id == wanted[1]]
        return {"containerInstanceArns": arns}

    def describe_container_instances(self, mine: list[Instance], given: Given) -> dict[str, Any]:
        known = {_last(one.container_instance_arn): one for one in mine}
        asked = [_last(reference) for reference in given.get("containerInstances", [])]
        failures = [{"arn": name, "reason": "MISSING"} for name in asked if name not in known]
        return {
            "containerInstances": [_described(known[name]) for name in asked if name in known],
            "failures": failures,
        }

    def list_tasks(self, mine: list[Instance], given: Given) -> dict[str, Any]:
        wanted = _last(given.get("containerInstance", ""))
        hosts = [one for one in mine if not wanted or _last(one.container_instance_arn) == wanted]
        return {"taskArns": [_task_arn(host, task) for host, task in _tasks(hosts)]}

    def describe_tasks(self, mine: list[Instance], given: Given) -> dict[str, Any]:
        known = {task.spec.task_id: (host, task) for host, task in _tasks(mine)}
        asked = [_last(reference) for reference in given.get("tasks", [])]
        failures = [{"arn": name, "reason": "MISSING"} for name in asked if name not in known]
        return {"tasks": [_described_task(*known[name]) for name in asked if name in known], "failures": failures}

    def _for_batch_clusters(self, name: str, answer: Callable[[list[Instance], Given], dict[str, Any]]) -> Action:
        def act(given: Given) -> Response:
            cluster = _last(given.get("cluster") or "default")
            with self._reactor.reading():
                everyone = [one for one in self._fleet.instances.values() if one.request.cluster == cluster]
                if not everyone and not cluster.startswith("AWSBatch-"):
                    return self._before[name](given)
                here = [one for one in everyone if one.state is State.RUNNING and not one.is_fargate]
                body = json.dumps(answer(here, given)).encode()
            return 200, {"Content-Type": "application/x-amz-json-1.1"}, body

        return act


def _tasks(hosts: Iterable[Instance]) -> list[tuple[Instance, Task]]:
    return [(host, task) for host in hosts for task in host.tasks.values()]


def _last(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


def _task_arn(host: Instance, task: Task) -> str:
    request = host.request
    return f"arn:aws:ecs:{request.region}:{request.account}:task/{request.cluster}/{task.spec.task_id}"


def _described(host: Instance) -> dict[str, Any]:
    return {
        "containerInstanceArn": host.container_instance_arn,
        "ec2InstanceId": host.id,
        "status": "DRAINING" if host.draining else "ACTIVE",
        "agentConnected": True,
        "runningTasksCount": len(host.tasks),
        "pendingTasksCount": 0,
        "version": 1,
    }


def _described_task(host: Instance, task: Task) -> dict[str, Any]:
    environment = [{"name": name, "value": value} for name, value in task.spec.environment.items()]
    return {
        "taskArn": _task_arn(host, task),
        "containerInstanceArn": host.container_instance_arn,
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "launchType": "EC2",
        "overrides": {"containerOverrides": [{"name": "default", "environment": environment}]},
        "tags": [{"key": "aws:batch:compute-environment", "value": host.request.environment}],
    }

"""Starting and stopping the containers of jobs on instances."""

import signal
import uuid
from functools import partial
from typing import Any

from localcloud.batch.job import DEFAULT_LOG_GROUP, Attempt, Job, Status
from localcloud.batch.store import name_of
from localcloud.batch.submission import command_of
from localcloud.batch.transitions import Transitions
from localcloud.clock import Clock, iso
from localcloud.executor import Executor, Task, TaskExit, TaskSpec
from localcloud.fleet import Fleet
from localcloud.instance import Instance
from localcloud.journal import Journal
from localcloud.log_shipper import LogShipper, LogStream
from localcloud.metadata import Metadata
from localcloud.reactor import Reactor


class Attempts:
    """Runs one attempt of a job as a container. Every method expects the reactor's state to be held."""

    def __init__(
        self,
        *,
        endpoint: str,
        clock: Clock,
        reactor: Reactor,
        journal: Journal,
        fleet: Fleet,
        executor: Executor,
        metadata: Metadata,
        logs: LogShipper,
        transitions: Transitions,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._reactor = reactor
        self._journal = journal
        self._fleet = fleet
        self._executor = executor
        self._metadata = metadata
        self._logs = logs
        self._transitions = transitions

    def start(self, job: Job, instance: Instance) -> None:
        """Begin the job's next attempt on a running instance that already counts it in."""
        task_id = uuid.uuid4().hex
        options = job.log_options()
        prefix = options.get("awslogs-stream-prefix") or name_of(job.definition_arn).partition(":")[0]
        job.attempt = Attempt(instance=instance, task_id=task_id, log_stream=f"{prefix}/default/{task_id}")
        self._transitions.enter(job, Status.STARTING)
        stream = LogStream(
            account=job.account,
            region=job.region,
            group=options.get("awslogs-group", DEFAULT_LOG_GROUP),
            name=job.attempt.log_stream,
        )
        outcome = self._fleet.run(
            instance,
            self._spec(job, job.attempt),
            on_exit=partial(self._ended, job),
            on_line=partial(self._logs.ship, stream),
        )
        if isinstance(outcome, TaskExit):
            self._settle(job, outcome)
            return
        self._logs.open(stream)
        self._started(job, job.attempt, outcome)

    def stop(self, job: Job) -> None:
        """SIGTERM to the job's container, SIGKILL after the grace; the attempt ends when it is gone."""
        if job.attempt is not None and job.attempt.task is not None:
            self._executor.stop(job.attempt.task, grace_s=self._clock.stop_grace())

    def kill(self, job: Job) -> None:
        """SIGKILL to the job's container."""
        if job.attempt is not None and job.attempt.task is not None:
            self._executor.send(job.attempt.task, signal.SIGKILL)

    def _started(self, job: Job, attempt: Attempt, task: Task) -> None:
        attempt.task = task
        attempt.started_ms = job.started_ms = self._clock.now_ms()
        self._transitions.enter(job, Status.RUNNING)
        self._journal.note(
            "attempt.started", job=job.id, attempt=len(job.past) + 1, instance=attempt.instance.id, pid=task.pid
        )
        if job.timeout_s:
            attempt.timeout = self._reactor.after(
                self._clock.real(job.timeout_s), partial(self._timed_out, job, attempt)
            )

    def _timed_out(self, job: Job, attempt: Attempt) -> None:
        if job.attempt is attempt:
            attempt.timed_out = True
            self._journal.note("attempt.timed_out", job=job.id, timeout_s=job.timeout_s)
            self.stop(job)

    def _ended(self, job: Job, _task: Task, how: TaskExit) -> None:
        self._settle(job, how)

    def _settle(self, job: Job, how: TaskExit) -> None:
        instance = job.placed_on
        assert instance is not None
        job.placed_on = None
        instance.vacate(vcpus=job.vcpus, memory_mib=job.memory_mib, now=self._clock.now())
        self._fleet.watch_idle(instance)
        self._transitions.attempt_ended(job, how)

    def _spec(self, job: Job, attempt: Attempt) -> TaskSpec:
        return TaskSpec(
            task_id=attempt.task_id,
            job_id=job.id,
            image=str(job.container["image"]),
            command=command_of(job.container, job.parameters),
            environment=self._environment(job, attempt),
            memory_mib=job.memory_mib,
        )

    def _environment(self, job: Job, attempt: Attempt) -> dict[str, str]:
        instance = attempt.instance
        variables = {one["name"]: str(one.get("value", "")) for one in job.container.get("environment") or []}
        variables |= {
            "AWS_REGION": job.region,
            "AWS_ENDPOINT_URL": self._endpoint,
            "ECS_CONTAINER_METADATA_URI_V4": self._metadata.describe_task(
                attempt.task_id, task_metadata(job, attempt, now=self._clock.now())
            ),
            "AWS_BATCH_JOB_ID": job.id,
            "AWS_BATCH_JOB_ATTEMPT": str(len(job.past) + 1),
            "AWS_BATCH_JQ_NAME": name_of(job.queue_arn),
            "AWS_BATCH_CE_NAME": instance.request.environment,
            **self._clock.windows(),
        }
        if instance.is_fargate:
            variables["AWS_EXECUTION_ENV"] = "AWS_ECS_FARGATE"
        else:
            variables["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = self._metadata.instance_url(instance)
        if job.index is not None and job.parent is not None:
            variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
            variables["AWS_BATCH_JOB_ARRAY_SIZE"] = str(len(job.parent.children))
        role = job.container.get("jobRoleArn")
        if role:
            variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = self._metadata.offer_credentials(
                account=job.account, region=job.region, role=role, session=attempt.task_id
            )
        return variables


def task_metadata(job: Job, attempt: Attempt, *, now: float) -> dict[str, Any]:
    """The ECS task metadata (version 4) of an attempt's task."""
    cluster = attempt.instance.request.cluster
    family, _, revision = name_of(job.definition_arn).partition(":")
    labels = {
        "com.amazonaws.ecs.cluster": cluster,
        "com.amazonaws.ecs.container-name": "default",
        "com.amazonaws.ecs.task-arn": attempt.task_arn,
        "com.amazonaws.ecs.task-definition-family": family,
        "com.amazonaws.ecs.task-definition-version": revision,
    }
    container = {
        "DockerId": attempt.task_id,
        "Name": "default",
        "DockerName": f"ecs-{family}-{revision}-default",
        "Image": job.container["image"],
        "ImageID": "",
        "Labels": labels,
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "Limits": {"CPU": job.vcpus * 1024, "Memory": job.memory_mib},
        "CreatedAt": iso(now),
        "StartedAt": iso(now),
        "Type": "NORMAL",
        "LogDriver": "awslogs",
        "LogOptions": {**job.log_options(), "awslogs-stream": attempt.log_stream},
    }
    return {
        "Cluster": cluster,
        "TaskARN": attempt.task_arn,
        "Family": family,
        "Revision": revision,
        "DesiredStatus": "RUNNING",
        "KnownStatus": "RUNNING",
        "AvailabilityZone": attempt.instance.zone,
        "LaunchType": "FARGATE" if attempt.instance.is_fargate else "EC2",
        "Containers": [container],
    }

"""The Fault Injection Service, EC2 and Auto Scaling as far as a game day asks them."""

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from spotproof.clock import Clock
from tests.cli.game_day.test_plans import template

GROUP_ARN = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:u:autoScalingGroupName/spot"


def refused(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


class FakeFis:
    """Templates and experiments; an experiment completes after `lasts_s`, unless it is stopped first."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.templates = {"EXT1": template(), "EXT2": {**template(starves=True), "id": "EXT2"}}
        self.started: list[dict[str, Any]] = []
        self.stopped: list[str] = []
        self.made: list[dict[str, Any]] = []
        self.running: dict[str, Any] = {}
        self.on_start: Callable[[], None] = lambda: None
        self.lasts_s = 120.0
        self.ends_as = "completed"
        self.silent_until = 0.0  # monotonic seconds

    def get_experiment_template(self, *, id: str) -> dict[str, Any]:
        if id not in self.templates:
            raise refused("ResourceNotFoundException", "GetExperimentTemplate")
        return {"experimentTemplate": copy.deepcopy(self.templates[id])}

    def create_experiment_template(self, *, clientToken: str, **given: Any) -> dict[str, Any]:  # noqa: N803 - as above
        assert clientToken
        template_id = f"EXT{len(self.templates) + 1}"
        self.made.append(given)
        self.templates[template_id] = {**given, "id": template_id}
        return {"experimentTemplate": self.templates[template_id]}

    def delete_experiment_template(self, *, id: str) -> dict[str, Any]:
        del self.templates[id]
        return {}

    def start_experiment(self, *, experimentTemplateId: str, clientToken: str, tags: Any) -> dict[str, Any]:  # noqa: N803 - as above
        used = self.templates[experimentTemplateId]
        self.started.append({"template": used["id"], "token": clientToken, "tags": tags, "at": self.clock.monotonic()})
        self.running = copy.deepcopy(used)  # an experiment outlives its template
        self.on_start()
        return self._experiment()

    def get_experiment(self, *, id: str) -> dict[str, Any]:
        assert id == "EXP1"
        if self.clock.monotonic() < self.silent_until:
            raise refused("ThrottlingException", "GetExperiment")
        return self._experiment()

    def stop_experiment(self, *, id: str) -> dict[str, Any]:
        if self._status() not in ("running",):
            raise refused("ConflictException", "StopExperiment")
        self.stopped.append(id)
        return self._experiment()

    def _status(self) -> str:
        if self.stopped:
            return "stopped"
        ended = self.clock.monotonic() - self.started[-1]["at"] >= self.lasts_s
        return self.ends_as if ended else "running"

    def _experiment(self) -> dict[str, Any]:
        status = self._status()
        since = self.clock.monotonic() - self.started[-1]["at"]
        began = datetime.fromtimestamp(self.clock.now().timestamp() - since, UTC)
        actions = {name: {**action, "state": {"status": status}, "startTime": began} for name, action in self.running["actions"].items()}  # fmt: skip
        state = {"status": status, "reason": f"Experiment {status}."}
        return {"experiment": {"id": "EXP1", "state": state, "startTime": began, "actions": actions}}


class FakeEc2:
    """Running Spot instances of the deployment, one a page."""

    meta = SimpleNamespace(partition="aws", region_name="eu-central-1")

    def __init__(self) -> None:
        self.instances: list[str] = []
        self.filters: list[Any] = []

    def describe_instances(self, *, Filters: Any, NextToken: str = "0") -> dict[str, Any]:  # noqa: N803 - EC2's names
        self.filters.append(Filters)
        if not self.instances:
            return {"Reservations": []}
        at = int(NextToken)
        tags = [{"Key": "aws:autoscaling:groupName", "Value": "spot"}]
        reservation = {"OwnerId": "123456789012", "Instances": [{"InstanceId": self.instances[at], "Tags": tags}]}
        more = {"NextToken": str(at + 1)} if at + 1 < len(self.instances) else {}
        return {"Reservations": [reservation], **more}


class FakeScaling:
    """One group."""

    def describe_auto_scaling_groups(self) -> dict[str, Any]:
        return {"AutoScalingGroups": [{"AutoScalingGroupName": "spot", "AutoScalingGroupARN": GROUP_ARN}]}

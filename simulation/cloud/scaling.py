"""Auto Scaling's groups behind the compute environments: what became of their launches."""

from collections import deque
from datetime import datetime
from typing import Any, Final

from simulation.cloud.aws_event import moment_of
from simulation.cloud.instance import Lifecycle
from simulation.kernel.scheduler import Scheduler

KEPT: Final = 200  # activities
PAGE: Final = 100
NO_CAPACITY: Final = {
    Lifecycle.SPOT: (
        "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available that matches "
        "your request. Launching EC2 instance failed."
    ),
    Lifecycle.ON_DEMAND: (
        "We currently do not have sufficient capacity in the Availability Zone you requested. Launching EC2 instance failed."
    ),
}
_CAUSE: Final = "an instance was started in response to a difference between desired and actual capacity"


class ScalingActivities:
    """The part of the Auto Scaling client that tells of launches."""

    def __init__(self, *, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._activities: deque[dict[str, Any]] = deque(maxlen=KEPT)  # newest first
        self._count = 0

    def note(self, environment: str, *, refusal: str = "") -> None:
        """A launch for the environment was tried; `refusal`: EC2's words if it failed."""
        self._count += 1
        moment = moment_of(self._scheduler.now)
        activity = {
            "ActivityId": f"{self._count:08x}-0000-0000-0000-000000000000",
            "AutoScalingGroupName": f"{environment}-asg-00000000-0000-0000-0000-000000000000",
            "Description": "Launching a new EC2 instance.",
            "Cause": _CAUSE,
            "StartTime": moment,
            "EndTime": moment,
            "StatusCode": "Failed" if refusal else "Successful",
            "Progress": 100,
        }
        self._activities.appendleft(activity | ({"StatusMessage": refusal} if refusal else {}))

    def describe_scaling_activities(self, **given: Any) -> dict[str, Any]:
        """Newest first, from StartTimeLowerBound on; one page."""
        bounds = [each["Values"][0] for each in given.get("Filters", []) if each["Name"] == "StartTimeLowerBound"]
        since = datetime.fromisoformat(bounds[0].replace("Z", "+00:00")) if bounds else moment_of(0)
        found = [each for each in self._activities if each["StartTime"] >= since]
        return {"Activities": found[: min(PAGE, int(given.get("MaxRecords") or PAGE))]}

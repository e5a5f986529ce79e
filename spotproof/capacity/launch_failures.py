"""What EC2 last refused to launch for a compute environment, in its own words."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, Protocol

from spotproof.clock import Clock
from spotproof.retries import Retrier

SINCE: Final = timedelta(minutes=15)  # Auto Scaling tries again every few minutes while it fails
ACTIVITIES_MAX: Final = 100  # one page of DescribeScalingActivities
TEXTS_MAX: Final = 3  # of an environment


class ScalingClient(Protocol):
    """The one operation of Auto Scaling's client that is needed."""

    def describe_scaling_activities(self, **parameters: Any) -> Any: ...


class LaunchFailures:
    """Reads Auto Scaling's activities; needs autoscaling:DescribeScalingActivities.

    Batch runs an environment as Auto Scaling groups named after it, and learns of missing capacity from the same
    activities (jobs stuck in RUNNABLE, Batch user guide). A quota that is used up stands nowhere else. The whole account
    is asked: which groups are Batch's could only be learned by listing them, which is as slow.
    """

    def __init__(self, *, scaling: ScalingClient, clock: Clock, retrier: Retrier) -> None:
        self._scaling = scaling
        self._clock = clock
        self._retrier = retrier

    def by_environment(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Messages of failed launches per environment, newest first, since its last successful one; one request.

        Raises:
            ClientError, AwsError: Auto Scaling refused or stayed unavailable.
        """
        since = self._clock.now() - SINCE
        answer = self._retrier.call(
            "looking up launches",
            self._scaling.describe_scaling_activities,
            Filters=[{"Name": "StartTimeLowerBound", "Values": [since.strftime("%Y-%m-%dT%H:%M:%SZ")]}],
            MaxRecords=ACTIVITIES_MAX,
        )
        newest_first = sorted(answer["Activities"], key=lambda each: each["StartTime"], reverse=True)
        return {name: failures_of(name, newest_first) for name in names}


def failures_of(environment: str, newest_first: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Different messages of the environment's failed launches since the last one that succeeded."""
    texts: dict[str, None] = {}
    for activity in newest_first:
        if environment not in str(activity["AutoScalingGroupName"]):
            continue
        if activity["StatusCode"] == "Successful":
            break
        if activity["StatusCode"] in ("Failed", "Cancelled") and activity.get("StatusMessage"):
            texts[str(activity["StatusMessage"])] = None
    return tuple(texts)[:TEXTS_MAX]

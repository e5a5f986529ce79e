"""Auto Scaling as a source: launches that EC2 refused, each counted once."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from botocore.exceptions import ClientError

from spotproof.capacity.launch_failures import ScalingClient
from spotproof.capacity.waiting_words import is_about_capacity, is_about_quota
from spotproof.clock import Clock
from spotproof.retries import Retrier, as_aws_error
from spotproof_cli.exporter import metrics
from spotproof_cli.exporter.environments import Environments
from spotproof_cli.exporter.samples import Observation, Sample, sample

SINCE: Final = timedelta(minutes=15)  # before the last reading: an activity may fail minutes after its start
PAGES_MAX: Final = 5  # of a hundred activities; a storm with more than that is counted short


class Refusal(StrEnum):
    """Why EC2 launched nothing."""

    CAPACITY = "capacity"
    QUOTA = "quota"
    OTHER = "other"


class ScaleUpsSource:
    """Reads the activities of the account; needs autoscaling:DescribeScalingActivities and what Environments needs.

    Batch names its Auto Scaling groups after the compute environment. A failed activity counts as one, however many
    instances it was to launch: Auto Scaling does not say how many.
    """

    name = "autoscaling"

    def __init__(self, *, scaling: ScalingClient, environments: Environments, clock: Clock, retrier: Retrier) -> None:
        self._scaling = scaling
        self._environments = environments
        self._clock = clock
        self._retrier = retrier
        self._counted: frozenset[str] | None = None  # ids of failed activities; None: nothing was read yet
        self._read_at: datetime | None = None

    def read(self) -> Observation:
        """What failed since the last reading."""
        now = self._clock.now()
        names = [each.name for each in self._environments.read()]
        activities = self._activities(since=(self._read_at or now) - SINCE)
        failed = [each for each in activities if each["StatusCode"] in ("Failed", "Cancelled")]
        known, self._read_at = self._counted, now
        self._counted = frozenset(str(each["ActivityId"]) for each in failed)
        new = [] if known is None else [each for each in failed if str(each["ActivityId"]) not in known]
        return Observation(increments=tuple(refusals(names, new)))

    def _activities(self, *, since: datetime) -> Iterator[Mapping[str, Any]]:
        token: dict[str, str] = {}
        for _ in range(PAGES_MAX):
            page = self._page(since, token)
            yield from page["Activities"]
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}

    def _page(self, since: datetime, token: Mapping[str, str]) -> Any:
        doing = "looking up launches"
        filters = [{"Name": "StartTimeLowerBound", "Values": [since.strftime("%Y-%m-%dT%H:%M:%SZ")]}]
        try:
            return self._retrier.call(
                doing, self._scaling.describe_scaling_activities, Filters=filters, MaxRecords=100, **token
            )
        except ClientError as error:
            raise as_aws_error(error, doing=doing) from error


def refusals(environments: Iterable[str], failed: Iterable[Mapping[str, Any]]) -> Iterator[Sample]:
    """Failed launches by environment and reason; those of other groups in the account are nobody's here."""
    names = list(environments)
    for name in names:
        for reason in Refusal:
            yield sample(metrics.FAILED_SCALE_UPS, 0, environment=name, reason=reason)
    for activity in failed:
        if str(activity.get("Description", "")).startswith("Terminating"):
            continue
        found = next((name for name in names if name in str(activity["AutoScalingGroupName"])), None)
        if found is not None:
            yield sample(
                metrics.FAILED_SCALE_UPS, 1, environment=found, reason=reason_of(activity.get("StatusMessage", ""))
            )


def reason_of(message: str) -> Refusal:
    """The kind of EC2's refusal. A used-up quota first: its words also speak of capacity."""
    if is_about_quota(message):
        return Refusal.QUOTA
    return Refusal.CAPACITY if is_about_capacity(message) else Refusal.OTHER

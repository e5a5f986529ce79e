"""An Auto Scaling whose groups failed to launch as a test says."""

from datetime import datetime
from typing import Any

from spotproof.clock import parse_utc


class FakeScaling:
    """The one operation that explains waiting workers."""

    def __init__(self) -> None:
        self.failures: list[tuple[datetime, str]] = []

    def describe_scaling_activities(self, *, Filters: list[dict[str, Any]], **_: Any) -> dict[str, Any]:  # noqa: N803 - its names
        (since,) = [value for each in Filters if each["Name"] == "StartTimeLowerBound" for value in each["Values"]]
        return {
            "Activities": [
                {
                    "ActivityId": f"activity-{number}",
                    "AutoScalingGroupName": "Env-asg-1",
                    "StartTime": at,
                    "StatusCode": "Failed",
                    "StatusMessage": said,
                }
                for number, (at, said) in enumerate(self.failures)
                if at >= parse_utc(since)
            ]
        }

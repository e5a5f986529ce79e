"""An Auto Scaling whose groups failed to launch as a test says."""

from datetime import datetime
from typing import Any


class FakeScaling:
    """The one operation that explains waiting workers."""

    def __init__(self) -> None:
        self.failures: list[tuple[datetime, str]] = []

    def describe_scaling_activities(self, **_: Any) -> dict[str, Any]:
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
            ]
        }

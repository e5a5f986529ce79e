"""Metric alarms that look at their own dimensions, and at missing data as they were told to."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from localcloud.clock import Clock
from localcloud.seams import Seams

WINDOW_FLOOR_REAL_S = 1.0
_COMPARISONS = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
_MISSING = {"notBreaching": "OK", "breaching": "ALARM", "missing": "INSUFFICIENT_DATA"}  # else the state stays


class Alarms:
    """Replaces the emulator's judgement of an alarm; periods pass on the accelerated clock."""

    def __init__(self, *, seams: Seams, clock: Clock) -> None:
        self._seams = seams
        self._clock = clock

    def install(self) -> None:
        self._seams.cloudwatch._evaluate_alarm = self.evaluate

    def state_of(self, *, account: str, region: str, arn: str) -> str | None:
        """The alarm's state now; None if there is no such alarm."""
        alarm = self._seams.cloudwatch._alarms.get_scoped(account, region, arn.rpartition(":alarm:")[2])
        if alarm is None:
            return None
        with self._seams.scope(account, region):
            self.evaluate(alarm)
        return str(alarm["StateValue"])

    def evaluate(self, alarm: dict[str, Any]) -> None:
        """Put the alarm into the state that its metric's last values call for, with all that follows from it."""
        cloudwatch = self._seams.cloudwatch
        dimensions = {each["Name"]: str(each["Value"]) for each in alarm.get("Dimensions") or []}
        key = (alarm.get("Namespace"), alarm.get("MetricName"), cloudwatch._dims_key(dimensions))
        window_s = self._clock.real(alarm.get("Period", 60) * alarm.get("EvaluationPeriods", 1))
        since = time.time() - max(window_s, WINDOW_FLOOR_REAL_S)
        points = [point for point in cloudwatch._metrics.get(key) or () if point["Timestamp"] >= since]
        state = judged(alarm, points, statistics=cloudwatch._calc_stats(points))
        if state == alarm["StateValue"]:
            return
        before, alarm["StateValue"] = alarm["StateValue"], state
        alarm["StateReason"] = f"{len(points)} values in the last {window_s:g} real seconds"
        alarm["StateUpdatedTimestamp"] = int(time.time())
        cloudwatch._record_history(alarm["AlarmName"], before, state, alarm["StateReason"])
        cloudwatch._dispatch_alarm_actions(alarm, before, state, alarm["StateReason"])


def judged(alarm: Mapping[str, Any], points: Sequence[Any], *, statistics: Mapping[str, float]) -> str:
    """The state that these values call for."""
    if not points:
        return _MISSING.get(alarm.get("TreatMissingData", "missing"), str(alarm["StateValue"]))
    value = statistics[alarm.get("Statistic") or "Average"]
    breaches = _COMPARISONS[alarm["ComparisonOperator"]](value, float(alarm["Threshold"]))
    return "ALARM" if breaches else "OK"

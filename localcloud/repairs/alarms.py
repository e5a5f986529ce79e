"""Metric alarms that look at their own dimensions, period by period, and at missing data as they were told to."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from localcloud.clock import Clock
from localcloud.repairs.queue_depths import QUEUES, QueueDepths
from localcloud.seams import Seams

PERIOD_FLOOR_REAL_S: Final = 1.0
LOOK_EVERY_REAL_S: Final = 0.5
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
_MISSING = {"notBreaching": "OK", "breaching": "ALARM", "missing": "INSUFFICIENT_DATA"}  # else the state stays


class Alarms:
    """Replaces the emulator's judgement of an alarm; periods pass on the accelerated clock, and end now."""

    def __init__(self, *, seams: Seams, clock: Clock) -> None:
        self._seams = seams
        self._clock = clock
        self._depths = QueueDepths(seams=seams, clock=clock)
        self._judging = threading.Lock()  # the loop judges where values come, the thread where they don't
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look_until_stopped, name="alarms", daemon=True)

    def install(self) -> None:
        self._seams.cloudwatch._evaluate_alarm = self.evaluate

    def start(self) -> None:
        """Look at all alarms again and again: what is missing comes with no request."""
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=5)

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
        if alarm.get("Namespace") == QUEUES:
            self._depths.measure()  # a machine that stood still for a minute of ours has not lost the messages
        with self._judging:
            values = self._values(alarm)
            state = judged(alarm, values)
            if state != alarm["StateValue"]:
                self._change(alarm, state, values)

    def _change(self, alarm: dict[str, Any], state: str, values: Sequence[float | None]) -> None:
        cloudwatch = self._seams.cloudwatch
        before, alarm["StateValue"] = alarm["StateValue"], state
        told = ", ".join("none" if value is None else f"{value:g}" for value in values)
        alarm["StateReason"] = f"values of the last {len(values)} periods, the newest first: {told}"
        alarm["StateUpdatedTimestamp"] = int(time.time())
        cloudwatch._record_history(alarm["AlarmName"], before, state, alarm["StateReason"])
        cloudwatch._dispatch_alarm_actions(alarm, before, state, alarm["StateReason"])
        cloudwatch._evaluate_parent_alarms(alarm)

    def _values(self, alarm: Mapping[str, Any]) -> list[float | None]:
        """The statistic of each period, the newest first; None for one without values."""
        cloudwatch = self._seams.cloudwatch
        dimensions = {each["Name"]: str(each["Value"]) for each in alarm.get("Dimensions") or []}
        key = (alarm.get("Namespace"), alarm.get("MetricName"), cloudwatch._dims_key(dimensions))
        period_s = max(self._clock.real(alarm.get("Period", 60)), PERIOD_FLOOR_REAL_S)
        periods = int(alarm.get("EvaluationPeriods", 1))
        now = time.time()
        split: list[list[Any]] = [[] for _ in range(periods)]
        for point in list(cloudwatch._metrics.get(key) or ()):
            index = int((now - point["Timestamp"]) // period_s)
            if 0 <= index < periods:
                split[index].append(point)
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
        return [
            cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points) if points else None
            for points in split
        ]

    def _look_until_stopped(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_REAL_S):
            self._depths.measure()
            for account, region, name in list(self._seams.cloudwatch._alarms._data):
                alarm = self._seams.cloudwatch._alarms.get_scoped(account, region, name)
                if alarm is not None:
                    with self._seams.scope(account, region):
                        self.evaluate(alarm)


def judged(alarm: Mapping[str, Any], values: Sequence[float | None]) -> str:
    """The state that these values call for, one for each evaluated period, None where there is none.

    Source: "Configuring how CloudWatch alarms treat missing data" and "Evaluating an alarm" of the CloudWatch user guide.
    """
    treated = alarm.get("TreatMissingData") or "missing"
    given = [value for value in values if value is not None]
    if not given:
        return _MISSING.get(treated, str(alarm["StateValue"]))
    compare, threshold = _COMPARISONS[alarm["ComparisonOperator"]], float(alarm["Threshold"])
    breaches = sum(1 for value in given if compare(value, threshold))
    if treated == "breaching":
        breaches += len(values) - len(given)
    needed = int(alarm.get("DatapointsToAlarm") or alarm.get("EvaluationPeriods") or 1)
    if treated in ("missing", "ignore"):
        needed = min(needed, len(given))
    return "ALARM" if breaches >= needed else "OK"

"""What state an alarm's values call for, period by period."""

import time
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from localcloud.clock import Clock
from localcloud.repairs.alarms import Alarms, judged
from localcloud.repairs.queue_depths import QUEUES
from localcloud.seams import Seams

ALARM: dict[str, Any] = {
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "EvaluationPeriods": 1,
    "StateValue": "ALARM",
}


@pytest.mark.parametrize(("value", "state"), [(0.0, "OK"), (1.0, "ALARM"), (5.0, "ALARM")])
def test_the_value_is_held_against_the_threshold(value: float, state: str) -> None:
    assert judged(ALARM, [value]) == state


@pytest.mark.parametrize(
    ("comparison", "state"),
    [
        ("GreaterThanThreshold", "OK"),
        ("LessThanThreshold", "OK"),
        ("LessThanOrEqualToThreshold", "ALARM"),
        ("GreaterThanOrEqualToThreshold", "ALARM"),
    ],
)
def test_each_comparison_knows_its_own_edge(comparison: str, state: str) -> None:
    assert judged({**ALARM, "ComparisonOperator": comparison}, [1.0]) == state


@pytest.mark.parametrize(
    ("treated", "state"),
    [("notBreaching", "OK"), ("breaching", "ALARM"), ("missing", "INSUFFICIENT_DATA"), ("ignore", "ALARM")],
)
def test_missing_data_mean_what_the_alarm_says(treated: str, state: str) -> None:
    assert judged({**ALARM, "TreatMissingData": treated}, [None]) == state


def test_an_alarm_that_says_nothing_about_missing_data_knows_nothing() -> None:
    assert judged(ALARM, [None]) == "INSUFFICIENT_DATA"


@pytest.mark.parametrize(
    ("values", "state"), [([9, 9, 9], "ALARM"), ([9, 0, 9], "OK"), ([9, None, 9], "OK"), ([None, None, 9], "OK")]
)
def test_every_period_must_breach_unless_fewer_are_enough(values: list[float | None], state: str) -> None:
    alarm = {**ALARM, "EvaluationPeriods": 3, "TreatMissingData": "notBreaching"}

    assert judged(alarm, values) == state
    assert judged({**alarm, "DatapointsToAlarm": 1}, values) == "ALARM"


def test_a_period_without_values_breaches_where_silence_does() -> None:
    silent = {
        **ALARM,
        "ComparisonOperator": "LessThanThreshold",
        "EvaluationPeriods": 3,
        "TreatMissingData": "breaching",
    }

    assert judged(silent, [None, None, None]) == "ALARM"
    assert judged(silent, [None, 0.0, None]) == "ALARM"
    assert judged(silent, [None, 1.0, None]) == "OK"


def test_where_missing_is_not_told_the_values_that_are_there_decide() -> None:
    alarm = {**ALARM, "EvaluationPeriods": 3, "TreatMissingData": "missing"}

    assert judged(alarm, [None, 9.0, None]) == "ALARM"
    assert judged(alarm, [None, 9.0, 0.0]) == "OK"


class OneQueue:
    """As much of the emulator as an alarm over a queue with one message needs."""

    def __init__(self) -> None:
        self._metrics: dict[Any, list[dict[str, Any]]] = {}
        self.told: list[str] = []
        messages = [{"visible_at": 0.0}]
        self.sqs = SimpleNamespace(
            _queues=SimpleNamespace(_data={("1", "r", "u"): {"messages": messages, "name": "q"}})
        )
        self.cloudwatch = self
        self._evaluate_alarm: Any = None
        self._evaluate_parent_alarms = self._record_history = lambda *_: None

    def scope(self, _account: str, _region: str) -> Any:
        return nullcontext()

    def record_metric(self, space: str, name: str, value: float, _unit: str, dimensions: dict[str, str]) -> None:
        self._metrics.setdefault((space, name, str(dimensions)), []).append({"Timestamp": time.time(), "Value": value})

    def _dims_key(self, dimensions: dict[str, str]) -> str:
        return str(dimensions)

    def _calc_stats(self, points: list[dict[str, Any]]) -> float:
        return max(float(point["Value"]) for point in points)

    def _stat_value(self, calculated: float, *_: Any) -> float:
        return calculated

    def _dispatch_alarm_actions(self, _alarm: Any, _before: str, state: str, _reason: str) -> None:
        self.told.append(state)


def test_an_alarm_over_a_queue_measures_it_where_nobody_did_for_long() -> None:
    """Or a machine that stands still for a second tells people that all is well, and of the alarm once more."""
    emulator = OneQueue()
    alarms = Alarms(seams=cast(Seams, emulator), clock=Clock(scale=60, warning_floor_s=8, stop_grace_floor_s=8))
    alarm: dict[str, Any] = {
        **ALARM,
        "AlarmName": "lost",
        "Namespace": QUEUES,
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Dimensions": [{"Name": "QueueName", "Value": "q"}],
        "Statistic": "Maximum",
        "TreatMissingData": "notBreaching",
        "StateValue": "OK",
    }

    alarms.evaluate(alarm)  # the thread that looks again and again was never started

    assert (alarm["StateValue"], emulator.told) == ("ALARM", ["ALARM"])

"""What state an alarm's values call for, period by period."""

from typing import Any

import pytest

from localcloud.repairs.alarms import judged

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

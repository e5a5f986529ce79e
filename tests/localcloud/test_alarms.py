"""What state an alarm's values call for."""

from typing import Any

import pytest

from localcloud.repairs.alarms import judged

ALARM = {
    "Statistic": "Sum",
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "StateValue": "ALARM",
}


@pytest.mark.parametrize(("total", "state"), [(0.0, "OK"), (1.0, "ALARM"), (5.0, "ALARM")])
def test_the_statistic_is_held_against_the_threshold(total: float, state: str) -> None:
    assert judged(ALARM, [{}], statistics={"Sum": total, "Average": 99.0}) == state


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
    assert judged({**ALARM, "ComparisonOperator": comparison}, [{}], statistics={"Sum": 1.0}) == state


@pytest.mark.parametrize(
    ("treated", "state"),
    [("notBreaching", "OK"), ("breaching", "ALARM"), ("missing", "INSUFFICIENT_DATA"), ("ignore", "ALARM")],
)
def test_missing_data_mean_what_the_alarm_says(treated: str, state: str) -> None:
    assert judged({**ALARM, "TreatMissingData": treated}, [], statistics={}) == state


def test_an_alarm_that_says_nothing_about_missing_data_knows_nothing() -> None:
    alarm: dict[str, Any] = ALARM
    assert judged(alarm, [], statistics={}) == "INSUFFICIENT_DATA"

"""The chaos plan."""

import pytest

from localcloud.chaos import ChaosPlan, ChaosRule, Mischief
from localcloud.errors import UsageError

WARNING = "EC2 Spot Instance Interruption Warning"


def _event(detail_type: str = WARNING, detail: str = '{"instance-id": "i-1"}') -> dict[str, str]:
    return {"DetailType": detail_type, "Detail": detail}


def test_a_rule_applies_to_its_number_of_events_and_then_no_more() -> None:
    plan = ChaosPlan()
    plan.add(ChaosRule(detail_type=WARNING, action=Mischief.DROP, count=2))

    decisions = [plan.decide(_event()) for _ in range(3)]

    assert [rule and rule.action for rule in decisions] == [Mischief.DROP, Mischief.DROP, None]
    assert plan.pending() == []


def test_other_events_pass_and_use_up_nothing() -> None:
    plan = ChaosPlan()
    plan.add(ChaosRule(detail_type=WARNING, action=Mischief.DROP, matching="i-2"))

    assert plan.decide(_event("Batch Job State Change")) is None
    assert plan.decide(_event()) is None
    assert plan.pending()[0]["left"] == 1


def test_a_delay_needs_a_time_and_nothing_else_may_have_one() -> None:
    with pytest.raises(UsageError, match="positive with action delay"):
        ChaosRule(detail_type=WARNING, action=Mischief.DELAY)
    with pytest.raises(UsageError, match="absent otherwise"):
        ChaosRule(detail_type=WARNING, action=Mischief.DROP, delay_real_s=1)

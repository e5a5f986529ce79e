"""Beliefs about interruptions move from the prior to what was seen."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.checkpoints.risk import RATE_PRIOR_PER_H, RELIABILITY_PRIOR, assess_risk


def test_before_anything_was_seen_the_prior_holds() -> None:
    risk = assess_risk(hours=0, interruptions=0, losses=0)

    assert risk.rate_per_h == pytest.approx(RATE_PRIOR_PER_H)
    assert risk.reliability == pytest.approx(RELIABILITY_PRIOR)


def test_the_submitters_guess_takes_the_priors_place() -> None:
    assert assess_risk(hours=0, interruptions=0, losses=0, rate_prior_per_h=2.0).rate_per_h == pytest.approx(2.0)


def test_quiet_hours_lower_the_rate_and_interruptions_raise_it() -> None:
    assert assess_risk(hours=90, interruptions=0, losses=0).rate_per_h == pytest.approx(0.005)
    assert assess_risk(hours=10, interruptions=3, losses=1).rate_per_h == pytest.approx(4.5 / 20)


def test_much_evidence_outweighs_the_prior() -> None:
    risk = assess_risk(hours=10_000, interruptions=1500, losses=500)

    assert risk.rate_per_h == pytest.approx(0.2, rel=0.01)
    assert risk.reliability == pytest.approx(0.75, rel=0.01)


@given(st.floats(0, 1e6), st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_risk_is_always_usable_for_an_interval(hours: float, interruptions: int, losses: int) -> None:
    risk = assess_risk(hours=hours, interruptions=interruptions, losses=losses)

    assert risk.rate_per_h > 0
    assert 0 < risk.reliability < 1


@pytest.mark.parametrize(
    "changes", [{"hours": -1}, {"hours": math.nan}, {"interruptions": -1}, {"losses": -1}, {"rate_prior_per_h": 0}]
)
def test_impossible_counts_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        assess_risk(**{"hours": 1, "interruptions": 0, "losses": 0, **changes})  # type: ignore[arg-type]

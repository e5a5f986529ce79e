"""When a save pays, and how long it takes."""

from typing import Any

import pytest

from spotproof.checkpoints.budget import SaveEstimate
from spotproof.checkpoints.policy import DIRTY_BYTES_MAX, decide_save

QUIET: dict[str, Any] = {
    "interval_s": 60.0,
    "since_save_s": 10.0,
    "save_cost_s": 0.2,
    "dirty_bytes": 100,
    "hint_pending": False,
}


@pytest.mark.parametrize(
    ("changes", "save", "reason"),
    [
        ({}, False, "within the interval"),
        ({"since_save_s": 59.9}, False, "within the interval"),
        ({"since_save_s": 60.0}, True, "interval of 60 s"),
        ({"since_save_s": 60.0, "save_cost_s": 4}, False, "takes 4.0 s: too soon"),
        ({"since_save_s": 81.0, "save_cost_s": 4}, True, "interval"),
        ({"hint_pending": True}, True, "rebalance"),
        ({"hint_pending": True, "since_save_s": 0.0, "save_cost_s": 50.0}, True, "rebalance"),
        ({"dirty_bytes": DIRTY_BYTES_MAX}, True, "bytes changed"),
        ({"hint_pending": True, "since_save_s": 99.0, "output_started": True}, False, "output files are open"),
    ],
)
def test_a_safe_point_becomes_a_checkpoint_when_it_pays(changes: dict[str, Any], save: bool, reason: str) -> None:
    decision = decide_save(**{**QUIET, **changes})

    assert decision.save is save
    assert reason in decision.reason


def test_the_estimate_learns_latency_from_small_saves_and_bandwidth_from_big_ones() -> None:
    estimate = SaveEstimate()
    for _ in range(30):
        estimate = estimate.observe(size_bytes=1000, duration_s=0.1)
        estimate = estimate.observe(size_bytes=50_000_000, duration_s=1.1)

    assert estimate.latency_s == pytest.approx(0.1, rel=0.01)
    assert estimate.bytes_per_s == pytest.approx(50e6, rel=0.01)
    assert estimate.seconds(100_000_000) == pytest.approx(2.1, rel=0.02)


def test_before_any_save_the_estimate_is_cautious_but_lets_small_states_through() -> None:
    assert 0.5 <= SaveEstimate().seconds(1000) < 2
    assert SaveEstimate().seconds(10**9) > 60
    assert SaveEstimate().observe(size_bytes=10**6, duration_s=0.0).seconds(10) > 0

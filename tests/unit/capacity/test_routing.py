"""Where replacements go, and when a run that nobody has planned gets its first worker."""

import pytest

from spotproof.capacity.breaker import BreakerState, BreakerVerdict
from spotproof.capacity.caps import CapsDecision
from spotproof.capacity.early import decide_first_worker
from spotproof.capacity.fallback import FallbackCause
from spotproof.capacity.routing import decide_capped, decide_uncapped

FREE = CapsDecision(allowed=3, binding=(), reason="")
FULL = CapsDecision(allowed=2, binding=("on_demand_workers_max",), reason="on_demand_workers_max=2 allows 2")


def verdict(state: BreakerState, *, probe_free: bool = False) -> BreakerVerdict:
    return BreakerVerdict(pool="t/z", state=state, probe_free=probe_free, reason="pool t/z: so it is")


@pytest.mark.parametrize(
    ("pool", "probes"),
    [
        (verdict(BreakerState.CLOSED), False),
        (verdict(BreakerState.HALF_OPEN, probe_free=True), True),
    ],
)
def test_a_replacement_goes_to_spot_whatever_the_caps_are_where_its_pool_may_be_used(
    pool: BreakerVerdict, probes: bool
) -> None:
    decision = decide_uncapped(pool)

    assert decision is not None
    assert (decision.on_demand, decision.probes, decision.reason) == (False, probes, pool.reason)


@pytest.mark.parametrize("pool", [verdict(BreakerState.OPEN), verdict(BreakerState.HALF_OPEN)])
def test_it_avoids_spot_only_while_its_pool_is_left_alone_and_the_caps_allow(pool: BreakerVerdict) -> None:
    assert decide_uncapped(pool) is None
    assert decide_capped(pool, FREE, on_demand_now=2).on_demand
    assert not decide_capped(pool, FULL, on_demand_now=2).on_demand


def test_a_cap_that_sends_it_back_to_spot_is_named() -> None:
    assert "on_demand_workers_max=2" in decide_capped(verdict(BreakerState.OPEN), FULL, on_demand_now=2).reason


@pytest.mark.parametrize(
    ("waited_s", "blocked", "allows", "due", "cause"),
    [
        (599.0, "", True, False, FallbackCause.NONE),
        (600.0, "", True, True, FallbackCause.WAITED),
        (1.0, "CAPACITY:X - none", True, True, FallbackCause.BLOCKED),
        (9_999.0, "CAPACITY:X - none", False, False, FallbackCause.NONE),
    ],
)
def test_a_run_that_nobody_planned_gets_one_worker_after_the_threshold_or_when_batch_says_so(
    waited_s: float, blocked: str, allows: bool, due: bool, cause: FallbackCause
) -> None:
    decision = decide_first_worker(waited_s=waited_s, fallback_after_s=600.0, allows_on_demand=allows, blocked=blocked)

    assert (decision.due, decision.cause) == (due, cause)
    assert decision.reason

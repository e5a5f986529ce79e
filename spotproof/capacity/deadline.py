"""The deadline decision: when Spot may be waited for, and when on-demand workers must carry the run.

The model is the one of Z. Wu et al., "Can't Be Late: Optimizing Spot Instance Savings under Deadlines", NSDI 2024: a
changeover (a worker that starts on another host) costs `restart_s` without progress, on-demand capacity can always be
had, and a run is late only if its *slack* (time left minus the time the work left takes at full width) runs out. From
there come the safety net (two changeovers are always kept back) and the hysteresis (no way back to Spot that eats into
them). In place of the paper's even progress stands a *reserve*: the slack that the changeovers still to be expected will
cost, from how often this run lost Spot capacity so far. Above the reserve the run waits for Spot; below it, what Spot
does not do runs on demand, and goes back to Spot as soon as there is some. `bench/policies` replays both on recorded
Spot markets, with this very function.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# Before a run has seen losses of its own: one in so many seconds of Spot.
PRIOR_LIFETIME_S: Final = 4 * 3600.0
CHANGEOVERS_PER_LOSS: Final = 2  # onto on-demand, and back to Spot


class DeadlineState(StrEnum):
    DONE = "done"  # no work left
    AHEAD = "ahead"  # slack beyond the reserve: Spot, or waiting for it
    BEHIND = "behind"  # the slack is needed for changeovers: what Spot does not do runs on demand
    PANIC = "panic"  # no slack for two more changeovers: on-demand until the end, what runs is left alone
    LATE = "late"  # the deadline can't be met at this width any more
    UNKNOWN = "unknown"  # nobody knows yet how long the work takes


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotMarket:
    """What this run saw of Spot so far, summed over its places for workers. All zero before it saw any.

    A place is up while a Spot worker lives in it (or could: the bench knows that), and short while Spot was asked for
    and not given.
    """

    up_s: float = 0.0
    short_s: float = 0.0
    losses: int = 0  # times that Spot capacity ended


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineFacts:
    """What is known about a run's time at one moment. All times are seconds on one clock."""

    now_s: float
    deadline_s: float
    work_left_s: float | None  # worker-seconds, a high estimate (see `estimate_work`); None = nobody knows
    shards_left: int  # not committed and not failed for good; more workers than these are of no use
    shard_s: float  # what is left of the longest shard, worker-seconds: a floor under the time needed; 0 = divisible
    workers: int  # the run's width: workers of all kinds it was submitted with
    restart_s: float  # one changeover: from the decision until the new worker makes progress, lost work included
    step_s: float  # until this is asked again
    spot_running: int  # workers alive
    on_demand_running: int  # workers alive or on their way
    spot_available: bool | None  # whether more Spot workers would start now; None = not tried lately
    market: SpotMarket


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineDecision:
    """How many workers of each kind the run should have now."""

    on_demand_workers: int  # in all, those that run included: fewer than run means that some may go
    spot_workers: int  # in all; more than run means that they are wanted when there is capacity
    state: DeadlineState
    slack_s: float | None  # time left beyond what the work takes at full width; None while that is unknown
    reserve_s: float  # slack that is kept for changeovers still to come
    reason: str


def decide_deadline(facts: DeadlineFacts) -> DeadlineDecision:
    """The workers of each kind that meet the deadline at the lowest expected price. Pure; the same answer every time.

    Args:
        facts: counts from 0, `workers` from 1, times and costs not negative.

    Raises:
        ValueError: a count or time is out of its range.
    """
    _validate(facts)
    if facts.shards_left == 0 or facts.work_left_s == 0:
        return _decision(facts, DeadlineState.DONE, on_demand=0, spot=0, reason="no work is left")
    if facts.work_left_s is None:
        return _decide_unknown(facts)
    slack_s = slack(facts)
    assert slack_s is not None  # the work is known
    if slack_s < 2 * facts.restart_s + facts.step_s:
        return _decide_panic(facts, slack_s)
    reserve_s = reserve(facts)
    if slack_s <= reserve_s:
        reason = f"slack {slack_s:.0f} s is within the reserve of {reserve_s:.0f} s for changeovers: on-demand where Spot is missing"
        return _decision(facts, DeadlineState.BEHIND, on_demand=_missing(facts), spot=facts.workers, reason=reason)
    kept = min(facts.on_demand_running, _missing(facts))
    reason = f"slack {slack_s:.0f} s, more than the reserve of {reserve_s:.0f} s: Spot, or waiting for it"
    return _decision(facts, DeadlineState.AHEAD, on_demand=kept, spot=facts.workers - kept, reason=reason)


def slack(facts: DeadlineFacts) -> float | None:
    """Seconds left until the deadline beyond what the work takes at full width, without any changeover."""
    if facts.work_left_s is None:
        return None
    width = max(1, min(facts.workers, facts.shards_left))
    return facts.deadline_s - facts.now_s - max(facts.work_left_s / width, facts.shard_s)


def reserve(facts: DeadlineFacts) -> float:
    """Slack that changeovers will cost until the deadline, if Spot goes on as it did.

    Each loss costs up to two changeovers. The rate of losses is the run's own, with one loss in `PRIOR_LIFETIME_S` as
    if seen before.
    """
    seen_s = facts.market.up_s + facts.market.short_s + PRIOR_LIFETIME_S
    losses_per_s = (facts.market.losses + 1) / seen_s
    left_s = max(0.0, facts.deadline_s - facts.now_s)
    expected = losses_per_s * left_s
    return 2 * facts.restart_s + facts.step_s + CHANGEOVERS_PER_LOSS * facts.restart_s * expected


def _decide_unknown(facts: DeadlineFacts) -> DeadlineDecision:
    """One worker has to run for the work to become known; it need not be Spot's turn for ever."""
    alone = facts.spot_running + facts.on_demand_running == 0 and facts.spot_available is False
    on_demand = max(int(alone), min(facts.on_demand_running, _missing(facts)))
    reason = "nobody knows how long a shard takes" + (": one on-demand worker finds out" if alone else "")
    return _decision(facts, DeadlineState.UNKNOWN, on_demand=on_demand, spot=facts.workers - on_demand, reason=reason)


def _decide_panic(facts: DeadlineFacts, slack_s: float) -> DeadlineDecision:
    """Every place is filled at once with what surely comes; beyond the width too, if that still helps."""
    left_s = facts.deadline_s - facts.now_s
    needed = _width_needed(facts, left_s)
    width = max(facts.workers, min(needed, facts.shards_left))
    on_demand = max(0, min(width, facts.shards_left) - facts.spot_running)
    late = slack_s < 0
    reason = f"slack {slack_s:.0f} s is less than two changeovers of {facts.restart_s:.0f} s: on-demand until the end"
    if late:
        reason = f"late by {-slack_s:.0f} s at {facts.workers} workers: {width} are needed"
    state = DeadlineState.LATE if late else DeadlineState.PANIC
    return _decision(facts, state, on_demand=on_demand, spot=facts.spot_running, reason=reason)


def _width_needed(facts: DeadlineFacts, left_s: float) -> int:
    """Workers that would finish in time, started now; all that have a shard if nothing helps any more."""
    assert facts.work_left_s is not None
    useful_s = left_s - facts.restart_s
    return facts.shards_left if useful_s <= 0 else math.ceil(facts.work_left_s / useful_s)


def _missing(facts: DeadlineFacts) -> int:
    """Places that Spot does not fill and would not fill if asked."""
    width = min(facts.workers, facts.shards_left)
    return 0 if facts.spot_available else max(0, width - facts.spot_running)


def _decision(
    facts: DeadlineFacts, state: DeadlineState, *, on_demand: int, spot: int, reason: str
) -> DeadlineDecision:
    return DeadlineDecision(
        on_demand_workers=on_demand,
        spot_workers=spot,
        state=state,
        slack_s=slack(facts),
        reserve_s=reserve(facts),
        reason=reason,
    )


def _validate(facts: DeadlineFacts) -> None:
    for name in ("shards_left", "shard_s", "restart_s", "step_s", "spot_running", "on_demand_running"):
        if not getattr(facts, name) >= 0:
            raise ValueError(f"{name} must not be negative, got {getattr(facts, name)}")
    if facts.workers < 1:
        raise ValueError(f"workers must be at least 1, got {facts.workers}")
    if facts.work_left_s is not None and not facts.work_left_s >= 0:
        raise ValueError(f"work_left_s must not be negative, got {facts.work_left_s}")

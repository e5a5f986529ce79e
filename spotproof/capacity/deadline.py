"""The deadline decision: when Spot may be waited for, and when on-demand workers must carry the run.

The model is the one of Z. Wu et al., "Can't Be Late: Optimizing Spot Instance Savings under Deadlines", NSDI 2024: a
changeover (a worker that starts on another host) costs `restart_s` without progress, on-demand capacity can always be
had, and a run is late only if its *slack* (time left minus the time the work left takes at full width) runs out. From
there come the safety net (two changeovers are always kept back) and the rules that what runs on Spot is left there and
that nobody goes back to Spot on slack that the net needs. In place of the paper's even progress stands a *reserve*: the
slack that the changeovers still to be expected will cost, from how often this run lost Spot capacity so far. Above the
reserve the run waits for Spot; within it, what Spot does not do runs on demand, and goes back as soon as there is Spot.
`bench/policies` replays both on recorded Spot markets, with this very function; docs/capacity.md says what came out.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# One loss in so much Spot time counts as seen before the run saw any. The bench tells how little hangs on it.
PRIOR_LIFETIME_S: Final = 4 * 3600.0
CHANGEOVERS_PER_LOSS: Final = 2  # onto on-demand, and back to Spot
AMPLE: Final = 2.0  # reserves: with more slack than that, on-demand workers go before Spot is there
ROUNDING: Final = 1e-9  # of floats, in workers


class DeadlineState(StrEnum):
    DONE = "done"  # no shard is left
    UNKNOWN = "unknown"  # nobody knows yet how long the work takes
    AHEAD = "ahead"  # slack beyond the reserve: Spot, or waiting for it
    BEHIND = "behind"  # the slack is needed for changeovers: what Spot does not do runs on demand
    PANIC = "panic"  # no slack for two more changeovers: on-demand for every place that is not running
    LATE = "late"  # no number of workers meets the deadline any more: as soon as possible at the planned width


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotMarket:
    """What this run saw of Spot so far, summed over its places for workers. All zero before it saw any.

    A place is up while a Spot worker lives in it, and short while Spot was asked for and not given.
    """

    up_s: float = 0.0
    short_s: float = 0.0
    losses: int = 0  # times that a place lost its Spot capacity


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineFacts:
    """What is known about a run's time at one moment. All times are seconds on one clock."""

    now_s: float
    deadline_s: float
    work_left_s: float | None  # worker-seconds, a high estimate (work_estimate.py); None = nobody knows
    shards_left: int  # not committed and not failed for good: more workers than these are of no use
    shard_s: float  # what is left of the longest shard, worker-seconds; 0 = the work divides at will
    workers: int  # the run's width: places for workers of either kind, from 1
    restart_s: float  # one changeover: from the decision until the new worker makes progress, lost work included
    step_s: float  # until this is asked again
    spot_running: int  # workers alive
    spot_starting: int  # asked for, and sure enough to live within restart_s: not those that waited longer already
    on_demand_running: int  # workers alive or on their way
    market: SpotMarket


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineDecision:
    """How many workers of each kind the run should have now."""

    on_demand_workers: int  # in all, those that run included: fewer than run means that some may go
    spot_workers: int  # in all: more than run means that they are wanted when there is capacity, beside the others
    state: DeadlineState
    slack_s: float | None  # time left beyond what the work takes at full width; None while that is unknown
    reserve_s: float  # slack that is kept for changeovers still to come, the safety net included
    reason: str


def decide_deadline(facts: DeadlineFacts) -> DeadlineDecision:
    """The workers of each kind that meet the deadline at the lowest price to be expected. Pure: no memory, no clock.

    As long as on-demand workers start within `restart_s` and the work left is not underestimated, a run of one worker
    that began with slack for one changeover is never late (the paper's argument). For several workers there is no proof:
    `bench/policies` plays thousands of random markets and finds no late one.

    Raises:
        ValueError: `workers` is below 1, or another count or duration is negative.
    """
    _validate(facts)
    if facts.shards_left == 0:
        return _decision(facts, DeadlineState.DONE, on_demand=0, spot=0, reason="no shard is left")
    if facts.work_left_s is None:
        return _decide_unknown(facts)
    slack_s = _left_s(facts) - _time_s(facts, facts.work_left_s)
    if slack_s < safety_net(facts):
        return _decide_panic(facts, slack_s, needed=_width_needed(facts, facts.work_left_s))
    reserve_s = reserve(facts)
    numbers = f"slack {slack_s:.0f} s, reserve {reserve_s:.0f} s for changeovers to come"
    if slack_s <= reserve_s:
        reason = f"{numbers}: on-demand where Spot is missing"
        needed = max(_kept(facts), _width(facts) - facts.spot_running - facts.spot_starting)
        return _decision(facts, DeadlineState.BEHIND, on_demand=needed, spot=_width(facts), reason=reason)
    kept = _kept(facts) if slack_s <= AMPLE * reserve_s else 0
    reason = f"{numbers}: Spot, or waiting for it"
    return _decision(facts, DeadlineState.AHEAD, on_demand=kept, spot=_width(facts), reason=reason)


def slack(facts: DeadlineFacts) -> float | None:
    """Seconds until the deadline beyond what the work left takes at full width without a changeover."""
    return None if facts.work_left_s is None else _left_s(facts) - _time_s(facts, facts.work_left_s)


def safety_net(facts: DeadlineFacts) -> float:
    """Slack below which nothing may be tried: onto Spot and back, and the time until somebody looks again."""
    return CHANGEOVERS_PER_LOSS * facts.restart_s + facts.step_s


def reserve(facts: DeadlineFacts) -> float:
    """Slack that is kept: the safety net, and the changeovers to be expected until the deadline.

    If losses of Spot come as a Poisson process at rate r per place, a place suffers m = r * (time left) more, each
    costs it two changeovers, and the mean over n places exceeds m by sqrt(m / n) one time in six: 2 d (m + sqrt(m / n)).
    r is what the run saw itself, with one loss in `PRIOR_LIFETIME_S` before.
    """
    seen_s = facts.market.up_s + facts.market.short_s + PRIOR_LIFETIME_S
    expected = (facts.market.losses + 1) / seen_s * max(0.0, _left_s(facts))
    spread = math.sqrt(expected / max(1, _width(facts)))
    return safety_net(facts) + CHANGEOVERS_PER_LOSS * facts.restart_s * (expected + spread)


def _decide_unknown(facts: DeadlineFacts) -> DeadlineDecision:
    """One worker has to run for the work to become known."""
    alone = facts.spot_running + facts.spot_starting + facts.on_demand_running == 0
    on_demand = 1 if alone else _kept(facts)
    reason = "nobody knows how long a shard takes" + (": one on-demand worker is to find out" if alone else "")
    return _decision(facts, DeadlineState.UNKNOWN, on_demand=on_demand, spot=_width(facts), reason=reason)


def _decide_panic(facts: DeadlineFacts, slack_s: float, *, needed: int) -> DeadlineDecision:
    """Every place that does not run is filled with what surely comes; more places than planned if that helps.

    No on-demand worker goes, not even where Spot workers have come: there is no slack to lose those again.
    """
    width = _width(facts)
    if needed > facts.shards_left:
        state = DeadlineState.LATE
        reason = f"late by {max(0.0, -slack_s):.0f} s at {facts.workers} workers, and more would not help enough"
    else:
        state = DeadlineState.PANIC
        width = max(width, needed)
        reason = f"slack {slack_s:.0f} s, safety net {safety_net(facts):.0f} s: {needed} workers are needed from now on"
    on_demand = max(width - facts.spot_running, min(facts.on_demand_running, facts.shards_left))
    return _decision(facts, state, on_demand=on_demand, spot=facts.spot_running, reason=reason)


def _time_s(facts: DeadlineFacts, work_s: float) -> float:
    """Seconds that full width surely gets by with, whoever takes which shard.

    Once each shard has a worker of its own, the longest counts. Before, the bound for list scheduling: R. L. Graham 1966,
    "Bounds for certain multiprocessing anomalies": the last shard starts when all are busy for the last time.
    """
    width = max(1, _width(facts))
    if facts.shards_left <= width:
        return max(work_s / width, facts.shard_s)
    return (work_s + (width - 1) * facts.shard_s) / width


def _width_needed(facts: DeadlineFacts, work_s: float) -> int:
    """Workers that would finish in time if those that do not run yet started now; more than shards if none would.

    With a of w workers running, (w - a) changeovers count as work: (work + (w - a) d + (w - 1) shard) / w seconds.
    """
    left_s = _left_s(facts)
    running = facts.spot_running + facts.on_demand_running
    useful_s = left_s - facts.restart_s - facts.shard_s
    if useful_s > 0:
        width = (work_s - running * facts.restart_s - facts.shard_s) / useful_s
        if width <= facts.shards_left:
            return max(1, math.ceil(width - ROUNDING))
    # One shard each.
    start_s = facts.restart_s if running < facts.shards_left else 0.0
    longest_s = max(facts.shard_s, work_s / facts.shards_left)
    return facts.shards_left if start_s + longest_s <= left_s else facts.shards_left + 1


def _kept(facts: DeadlineFacts) -> int:
    """On-demand workers that stay until Spot runs in their place: a pause in between would cost a changeover."""
    return max(0, min(facts.on_demand_running, _width(facts) - facts.spot_running))


def _width(facts: DeadlineFacts) -> int:
    return min(facts.workers, facts.shards_left)


def _left_s(facts: DeadlineFacts) -> float:
    return facts.deadline_s - facts.now_s


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
    if facts.workers < 1:
        raise ValueError(f"workers must be at least 1, got {facts.workers}")
    values: dict[str, float] = {
        "shards_left": facts.shards_left,
        "work_left_s": facts.work_left_s or 0,
        "shard_s": facts.shard_s,
        "restart_s": facts.restart_s,
        "step_s": facts.step_s,
        "spot_running": facts.spot_running,
        "spot_starting": facts.spot_starting,
        "on_demand_running": facts.on_demand_running,
    }
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must not be negative, got {value}")

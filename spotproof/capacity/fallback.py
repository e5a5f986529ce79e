"""The fallback decision: whether a run gets on-demand workers now, gives some back, or pauses. Pure.

On-demand workers are wanted when

(a) a claimable shard has waited for a Spot worker for `fallback_after_s`, and the run is short of workers,
(b) a shard was interrupted so often that it is left to on-demand workers,
(c) Batch says that the Spot queue is blocked for capacity, while workers of the run wait in it,
(d) the slack before the deadline runs out (`decide_deadline`).

(a) and (c) fill the places that Spot leaves empty, (b) asks for one worker per such shard, (d) for what the deadline
takes; the largest wins, and the caps cut it. Nothing is moved: the workers only join the run, and every shard still has
one lease.

Back to Spot: on-demand workers beyond what is still needed are retired (each finishes the shard in hand) once Spot
workers fill their places, or once some Spot worker lives and no cause has held for half of `fallback_after_s`. None is
retired in a deadline's panic, nor on the strength of Spot workers in a pool whose breaker is open.
"""

from dataclasses import dataclass
from enum import StrEnum

from spotproof.capacity.caps import cap_on_demand
from spotproof.capacity.deadline import DeadlineDecision, DeadlineState, decide_deadline
from spotproof.capacity.pause import decide_pause
from spotproof.capacity.situation import CapacitySituation


class FallbackAction(StrEnum):
    NONE = "none"
    ADD = "add"
    RETIRE = "retire"
    PAUSE = "pause"


class FallbackCause(StrEnum):
    NONE = "none"
    WAITED = "waited"  # (a)
    INTERRUPTED = "interrupted"  # (b)
    BLOCKED = "blocked"  # (c)
    DEADLINE = "deadline"  # (d)
    SPOT_IS_BACK = "spot-is-back"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackDecision:
    """What to do now, and why."""

    action: FallbackAction
    count: int  # workers to add or to retire
    on_demand_wanted: int  # in all, after the caps
    cause: FallbackCause
    reason: str
    needed: bool  # a cause for on-demand workers holds now
    capped: tuple[str, ...] = ()  # the options that kept it from more
    deadline: DeadlineDecision | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One cause, and how many on-demand workers in all it asks for."""

    cause: FallbackCause
    workers: int
    reason: str


def decide_fallback(situation: CapacitySituation) -> FallbackDecision:
    """The one thing to do about the run's capacity now."""
    pause = decide_pause(spent_usd=situation.spent_usd, budget_usd=situation.limits.budget_usd)
    if pause.due:
        return _decision(FallbackAction.PAUSE, cause=FallbackCause.BUDGET, reason=pause.reason)
    deadline = None if situation.deadline is None else decide_deadline(situation.deadline)
    needs = list_needs(situation, deadline)
    strongest = max(needs, key=lambda need: need.workers, default=None)
    have = situation.on_demand.total
    if strongest is not None and strongest.workers > have:
        return _add(situation, strongest, deadline)
    return _keep_or_retire(situation, needs, deadline)


def list_needs(situation: CapacitySituation, deadline: DeadlineDecision | None) -> list[Need]:
    """The causes that hold now, (a) to (d)."""
    limits, needs = situation.limits, list[Need]()
    waits = situation.claimable_spot > 0 and situation.short > 0
    if waits and situation.waited_s >= limits.fallback_after_s:
        reason = (
            f"a shard has waited {situation.waited_s:.0f} s for a Spot worker, threshold {limits.fallback_after_s:g} s"
        )
        needs.append(Need(cause=FallbackCause.WAITED, workers=situation.short, reason=reason))
    if situation.claimable_on_demand > 0:
        reason = f"{situation.claimable_on_demand} shards were interrupted so often that they are left to on-demand"
        needs.append(Need(cause=FallbackCause.INTERRUPTED, workers=situation.claimable_on_demand, reason=reason))
    if waits and situation.blocked is not None:
        since_s = situation.now_s - situation.blocked.since_s
        reason = f"Batch reports the Spot queue blocked since {since_s:.0f} s: {situation.blocked.reason}"
        needs.append(Need(cause=FallbackCause.BLOCKED, workers=situation.short, reason=reason))
    if deadline is not None and deadline.on_demand_workers > 0 and deadline.state is not DeadlineState.AHEAD:
        reason = f"deadline: {deadline.reason}"
        needs.append(Need(cause=FallbackCause.DEADLINE, workers=deadline.on_demand_workers, reason=reason))
    return needs


def _add(situation: CapacitySituation, need: Need, deadline: DeadlineDecision | None) -> FallbackDecision:
    caps, have = cap_on_demand(need.workers, situation.cap_facts), situation.on_demand.total
    count = max(0, caps.allowed - have)
    said = f"{need.reason}; {need.workers} on-demand workers wanted, {have} there or coming"
    if caps.binding:
        said = f"{said}; capped: {caps.reason}"
    return _decision(
        FallbackAction.ADD if count else FallbackAction.NONE,
        count=count,
        wanted=caps.allowed,
        cause=need.cause,
        reason=said,
        needed=True,
        capped=caps.binding,
        deadline=deadline,
    )


def _keep_or_retire(
    situation: CapacitySituation, needs: list[Need], deadline: DeadlineDecision | None
) -> FallbackDecision:
    strongest = max(needs, key=lambda need: need.workers, default=None)
    needed, cause = strongest is not None, FallbackCause.NONE if strongest is None else strongest.cause
    have, keep = situation.on_demand.total, _to_keep(situation, needs, deadline)
    if have <= keep:
        reason = strongest.reason if strongest is not None else "no cause for on-demand workers"
        return _decision(FallbackAction.NONE, wanted=keep, cause=cause, reason=reason, needed=needed, deadline=deadline)
    brake = _brake(situation, deadline)
    if brake:
        return _decision(FallbackAction.NONE, wanted=have, cause=cause, reason=brake, needed=needed, deadline=deadline)
    reason = (
        f"{situation.spot.alive} Spot workers for {situation.places} places: "
        f"{keep} of {have} on-demand workers are still needed"
    )
    return _decision(
        FallbackAction.RETIRE,
        count=have - keep,
        wanted=keep,
        cause=FallbackCause.SPOT_IS_BACK,
        reason=reason,
        needed=needed,
        deadline=deadline,
    )


def _to_keep(situation: CapacitySituation, needs: list[Need], deadline: DeadlineDecision | None) -> int:
    """On-demand workers that are there and still of use: each need is bounded by the work there is."""
    keep = max((need.workers for need in needs), default=0)
    if deadline is not None:
        keep = max(keep, deadline.on_demand_workers)
    if situation.spot.alive == 0 or _needed_lately(situation):
        keep = max(keep, situation.short)
    return keep


def _needed_lately(situation: CapacitySituation) -> bool:
    last = situation.last_cause_s
    return last is not None and situation.now_s - last < situation.limits.fallback_after_s / 2


def _brake(situation: CapacitySituation, deadline: DeadlineDecision | None) -> str:
    """Why no worker is retired although some are not needed now; empty if nothing speaks against it."""
    if deadline is not None and deadline.state in (DeadlineState.PANIC, DeadlineState.LATE):
        return f"nobody is retired: {deadline.reason}"
    if situation.open_pools and situation.shards_open > 0:
        return f"nobody is retired while Spot workers live in pools that lose hosts: {', '.join(situation.open_pools)}"
    return ""


def _decision(
    action: FallbackAction,
    *,
    cause: FallbackCause,
    reason: str,
    count: int = 0,
    wanted: int = 0,
    needed: bool = False,
    capped: tuple[str, ...] = (),
    deadline: DeadlineDecision | None = None,
) -> FallbackDecision:
    return FallbackDecision(
        action=action,
        count=count,
        on_demand_wanted=wanted,
        cause=cause,
        reason=reason,
        needed=needed,
        capped=capped,
        deadline=deadline,
    )

"""When a save is worth it: pure decisions from costs, risk, changes and hints."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spotproof.checkpoints.estimate import SaveCosts
from spotproof.checkpoints.intervals import daly_s, expected_waste, first_order_holds, with_prediction_s
from spotproof.checkpoints.presets import SavePlan
from spotproof.checkpoints.risk import Risk

CAP_S: Final = 300.0  # a kill without warning costs no more than this, whatever the formula says
FLOOR_S: Final = 1.0  # protects store and table
SAVE_SHARE_MAX: Final = 0.05  # of the time the job may stand still for saves
REQUEST_S: Final = 0.13  # one PUT at $0.005 per 1000 costs as much as so many seconds of a host at $0.14 an hour
REQUEST_SHARE_MAX: Final = 0.01  # of the host's price that the requests of saves may cost
FIRST_SAVE_S: Final = 30.0  # a first save comes early: it tells what saves cost
BLIND_S: Final = 3.0  # and earlier still while nobody can tell how much changes
SHORTEST_STALL_S: Final = 1e-6
BUDGET_SHARE: Final = 0.5  # of the budget starts a save, so that the rest can change while it is carried


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Seconds between the beginnings of two saves, and why."""

    seconds: float  # infinite: nothing is saved at all
    spacing_s: float  # changes alone start no save earlier than this, unless they reach the whole budget
    reason: str


def choose_interval(*, plan: SavePlan, costs: SaveCosts | None, restore_s: float, risk: Risk) -> Interval:
    """The interval in force: the submitter's, exactly; else the optimum for cost and risk between a floor and a cap.

    T* = sqrt(2 C / (λ (1 - p))), or Daly's for long stalls, see intervals.py; C is the stall alone, because the job works
    while a save is carried. The floor keeps the stalls below SAVE_SHARE_MAX of the time, one carry at a time, and the requests below
    REQUEST_SHARE_MAX of the host's price; only stalls may lift the interval over the cap.

    Args:
        plan: what the run asks for.
        costs: of this job's saves; None before the first.
        restore_s: seconds from losing a host to working again, as far as known; part of the waste in the reason.
        risk: rate of interruptions and reliability of their warnings.
    """
    spacing_s = _spacing_s(costs)
    if not plan.saves:
        return Interval(seconds=math.inf, spacing_s=spacing_s, reason="checkpoint=naive: nothing is saved")
    if plan.interval_s is not None:
        return Interval(
            seconds=plan.interval_s, spacing_s=spacing_s, reason=f"interval of {plan.interval_s:g} s, as asked"
        )
    if costs is None:
        return Interval(seconds=FIRST_SAVE_S, spacing_s=spacing_s, reason=f"first save after {FIRST_SAVE_S:g} s")
    best_s = _best_s(max(costs.stall_s, SHORTEST_STALL_S), risk)
    floor_s = _floor_s(costs)
    seconds = min(max(best_s, floor_s), max(CAP_S, floor_s))
    bound = "" if seconds == best_s else " (floor)" if seconds == floor_s else " (cap)"
    waste = expected_waste(
        interval_s=seconds,
        save_s=costs.stall_s,
        rate_per_h=risk.rate_per_h,
        reliability=risk.reliability,
        restart_s=restore_s,
        lag_s=costs.carry_s,
    )
    return Interval(
        seconds=seconds,
        spacing_s=spacing_s,
        reason=f"interval of {seconds:.1f} s{bound}: a save stalls {1000 * costs.stall_s:.0f} ms, "
        f"{risk.rate_per_h:.3f} interruptions/h, {risk.reliability:.0%} of them announced, waste {waste:.2%}",
    )


def _best_s(stall_s: float, risk: Risk) -> float:
    if first_order_holds(save_s=stall_s, rate_per_h=risk.rate_per_h):
        return with_prediction_s(save_s=stall_s, rate_per_h=risk.rate_per_h, reliability=risk.reliability)
    return stall_s + daly_s(save_s=stall_s, rate_per_h=risk.rate_per_h * (1.0 - risk.reliability))


def _floor_s(costs: SaveCosts | None) -> float:
    """Saves that only time asks for: one carry at a time, requests within their share; stalls as in `_spacing_s`."""
    if costs is None:
        return FLOOR_S
    protects_store_s = max(costs.carry_s, costs.requests * REQUEST_S / REQUEST_SHARE_MAX)
    return max(min(CAP_S, protects_store_s), _spacing_s(costs))


def _spacing_s(costs: SaveCosts | None) -> float:
    """Saves that the budget asks for: later ones would not fit, so only stalls hold them apart."""
    return FLOOR_S if costs is None else max(FLOOR_S, costs.stall_s / SAVE_SHARE_MAX)


class SaveChoice(StrEnum):
    SAVE = "save"  # begin a save now
    GO_ON = "go-on"
    WAIT = "wait"  # hold the job until the save in flight is durable, then decide again


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveDecision:
    """What a safe point becomes, and why."""

    choice: SaveChoice
    reason: str

    @property
    def save(self) -> bool:
        return self.choice is SaveChoice.SAVE


def decide_save(
    *,
    interval: Interval,
    since_save_s: float,
    dirty_bytes: int | None,
    budget_bytes: int | None,
    in_flight: bool,
    hint_pending: bool,
    output_started: bool = False,
) -> SaveDecision:
    """Whether a safe point becomes a checkpoint. One save is in flight at a time: what is due meanwhile coalesces.

    Args:
        interval: from `choose_interval`.
        since_save_s: seconds since the last save began, or since the shard was restored.
        dirty_bytes: about what a save begun now would carry, without the save in flight; None while nobody can tell,
            which is before the first save: its gather shows how fast the job changes its state.
        budget_bytes: from budget.dirty_budget_bytes, with what is left of the save in flight; None: no budget is kept.
        in_flight: a save has begun and has not ended.
        hint_pending: a rebalance recommendation came that no save has answered yet. Answered is: a save *begun* since.
        output_started: the function has opened an output file. Files are no part of the state, so going on from a
            checkpoint behind that point would lose what they hold: the shard is replayed from before it instead.
    """
    if interval.seconds == math.inf:
        return _go_on(interval.reason)
    if output_started:
        return _go_on("output files are open: progress is durable again with the commit")
    full = dirty_bytes is not None and budget_bytes is not None and dirty_bytes >= max(1, budget_bytes)
    if in_flight:
        if full:
            return SaveDecision(
                choice=SaveChoice.WAIT,
                reason=f"{dirty_bytes} bytes changed while a save is in flight, {budget_bytes} still fit the window",
            )
        return _go_on("a save is in flight")
    if hint_pending:
        return _save("a rebalance recommendation came")
    if dirty_bytes is not None and budget_bytes is not None:
        half = dirty_bytes >= max(1.0, BUDGET_SHARE * budget_bytes) and since_save_s >= interval.spacing_s
        if (full and budget_bytes > 0) or half:
            return _save(f"{dirty_bytes} bytes changed, {budget_bytes} fit the window")
    if dirty_bytes is None and budget_bytes is not None and since_save_s >= BLIND_S:
        return _save("a first save, to learn how much changes")
    if since_save_s >= interval.seconds:
        return _save(interval.reason)
    return _go_on(f"{since_save_s:.1f} s into the {interval.reason}")


def _save(reason: str) -> SaveDecision:
    return SaveDecision(choice=SaveChoice.SAVE, reason=reason)


def _go_on(reason: str) -> SaveDecision:
    return SaveDecision(choice=SaveChoice.GO_ON, reason=reason)

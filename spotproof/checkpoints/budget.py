"""Whether it fits: how much may change before a last save no longer fits the window, and what a stop means."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spotproof.checkpoints.estimate import SaveEstimate

RESERVE_SHARE: Final = 1 / 8  # of the window, kept for the release and the exit: 15 s of EC2's two minutes
SAVE_MARGIN: Final = 2.0  # a stop must not be surprised by one slow save
ROUND_SHARE: Final = 0.25  # of what is left: a last save that would take more is made smaller by one more round
WORTH_S: Final = 30.0  # working on after a notice must gain at least this


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSize:
    """Of what a save may carry."""

    total_bytes: int  # of the tracked memory and files
    room_bytes: int  # of the gather buffer: that much is carried as changes alone

    def carried_at_most(self, dirty_bytes: int) -> int:
        """What a save carries when so many bytes changed: they alone while there is room for copies of them; else slices
        travel whole, in the worst case all."""
        return dirty_bytes if dirty_bytes <= self.room_bytes else max(dirty_bytes, self.total_bytes)


def reserve_s(window_s: float) -> float:
    """Seconds of a whole window (not of what is left of it) that no save may use; 0 without a deadline."""
    return 0.0 if window_s == math.inf else max(0.0, window_s) * RESERVE_SHARE


def dirty_budget_bytes(
    *,
    window_s: float,
    estimate: SaveEstimate,
    notice_lag_s: float = 0.0,
    in_flight_s: float = 0.0,
    size: StateSize | None = None,
    step_bytes: int = 0,
) -> int | None:
    """The most changed bytes whose last save, SAVE_MARGIN times over, still fits the window less its reserve.

    About half the bandwidth times the usable window. 0: nothing fits behind the save in flight, or not even an empty
    save fits. None: no budget can be kept, because one step changes more than the whole window takes; holding the job
    back would slow it down and guarantee nothing.

    Args:
        window_s: from a notice to the end of the host.
        estimate: of saves as they went lately.
        notice_lag_s: how late a notice may be seen: the poll, and the longest way to a safe point.
        in_flight_s: what a save in flight still needs before the last one can begin.
        size: of the state. If all of it does not fit the window, no more may change than there is room for copies of:
            beyond that, slices travel whole.
        step_bytes: what the job changes from one safe point to the next.
    """
    usable_s = window_s - reserve_s(window_s) - notice_lag_s
    whole = estimate.largest_bytes(within_s=usable_s / SAVE_MARGIN)
    if step_bytes > whole:
        return None
    budget = estimate.largest_bytes(within_s=(usable_s - in_flight_s) / SAVE_MARGIN)
    return budget if size is None or size.total_bytes <= whole else min(budget, size.room_bytes)


class StopChoice(StrEnum):
    FINISH = "finish"  # go on: the shard ends in time
    GO_ON = "go-on"  # go on until the last moment; what is saved is safe
    SAVE_AND_GO_ON = "save-and-go-on"  # a round ahead, so that the last save is small
    WAIT = "wait"  # for the save in flight, then decide again
    SAVE_AND_LEAVE = "save"  # save what changed, then let go
    LET_GO = "let-go"  # no further save fits: the last checkpoint stands


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDecision:
    """What to do with the shard at a stop, and why."""

    choice: StopChoice
    reason: str
    again_in_s: float | None = None  # GO_ON: the last moment; WAIT: no longer than that. None: no such limit


def decide_on_stop(
    *,
    window_s: float,
    reserve_s: float,
    remaining_s: float | None,
    save_estimate_s: float,
    can_save: bool = True,
    in_flight_s: float | None = None,
    step_s: float | None = None,
    step_save_s: float = 0.0,
    saved_since_stop: bool = False,
    may_work_on: bool = False,
) -> StopDecision:
    """Finish the shard if it fits, else save and work on while that fits, else save and leave, else let go.

    Decided anew at every safe point, with what is left by then. Nothing here can tear a checkpoint: a save that comes
    too late writes no manifest, so trying one risks no more than a shard handed on later, at the reserve. Estimates are
    pessimistic. So going on is planned with SAVE_MARGIN times the estimate, and a save is given up only if the estimate
    exceeds SAVE_MARGIN times what is left.

    *Leave at once, or use the window?* A stop costs requeue and restore either way, and the shard waits as long for
    its next worker. Leaving at once throws the rest of the window away: the host is paid and lost. Working on after a
    save of what there was risks only work that leaving would not have done, so it is never worse for the work kept,
    and gains up to window - reserve - last save: about 100 s an interruption, 0.14 % of the time at 0.05 an hour, as
    much as saving wastes in all. Against it: other workers on the host save their last at the same moment (the round
    before has measured that), and a shard is handed on later. So it is done only after a notice (a SIGTERM means
    "leave"), and only if at least WORTH_S are gained: short windows are for leaving.

    Args:
        window_s: seconds until the host is gone; infinite without a deadline, negative when it has passed.
        reserve_s: of the window, kept for the release and the exit.
        remaining_s: estimated seconds of work left in the shard; None if unknown.
        save_estimate_s: seconds that a save begun now is expected to take.
        can_save: False while output files are open, which no checkpoint carries, or if the run never saves.
        in_flight_s: seconds that the save in flight still needs; None: there is none.
        step_s: the longest way to the next safe point lately; None if unknown, which forbids working on.
        step_save_s: seconds by which one more step lengthens that save at most.
        saved_since_stop: a save has begun since the stop came and has not failed.
        may_work_on: the host is lost anyway, and the run wants its windows used.
    """
    usable_s = window_s - reserve_s
    save_s = save_estimate_s if can_save else 0.0
    left = "an unknown rest of work" if remaining_s is None else f"{remaining_s:.1f} s of work"
    # Finishing leaves room for changing one's mind: a shard that turns out slower is still saved. Without a deadline
    # somebody wants us to go, so nothing is finished that was not saved.
    ends = remaining_s is not None and remaining_s + save_s * SAVE_MARGIN <= usable_s
    if ends and (window_s != math.inf or not can_save):
        if saved_since_stop or not can_save or in_flight_s is not None or (remaining_s or 0.0) <= save_s:
            return StopDecision(choice=StopChoice.FINISH, reason=f"{left} fit into {usable_s:.1f} s")
        reason = f"{left} fit into {usable_s:.1f} s; saved first, should the host go early"
        return StopDecision(choice=StopChoice.SAVE_AND_GO_ON, reason=reason)
    # How long the job may work on before its last save must begin, one more step included.
    step = math.inf if step_s is None or window_s == math.inf or not (may_work_on and can_save) else step_s
    spare_s = usable_s - (in_flight_s or 0.0) - SAVE_MARGIN * (save_s + step_save_s + step)
    if in_flight_s is not None:
        return _with_save_in_flight(usable_s=usable_s, in_flight_s=in_flight_s, spare_s=spare_s)
    if not can_save:
        return StopDecision(choice=StopChoice.LET_GO, reason=f"{left} left, and its state can't be saved now")
    if save_s >= SAVE_MARGIN * usable_s:
        reason = f"a save of {save_s:.1f} s does not fit into {usable_s:.1f} s"
        return StopDecision(choice=StopChoice.LET_GO, reason=reason)
    if spare_s >= (0.0 if saved_since_stop else WORTH_S):
        return _work_on(save_s=save_s, usable_s=usable_s, spare_s=spare_s, saved_since_stop=saved_since_stop)
    fits = "fits" if save_s < usable_s else "may fit"
    reason = f"{left} left, a save of {save_s:.1f} s {fits} into {usable_s:.1f} s"
    return StopDecision(choice=StopChoice.SAVE_AND_LEAVE, reason=reason)


def _with_save_in_flight(*, usable_s: float, in_flight_s: float, spare_s: float) -> StopDecision:
    if spare_s >= 0.0:
        reason = f"the save in flight needs {in_flight_s:.1f} s, the last one can begin {spare_s:.1f} s later"
        return StopDecision(choice=StopChoice.GO_ON, reason=reason, again_in_s=spare_s)
    if in_flight_s < SAVE_MARGIN * usable_s:
        reason = f"the save in flight needs {in_flight_s:.1f} s of {usable_s:.1f} s"
        return StopDecision(
            choice=StopChoice.WAIT, reason=reason, again_in_s=None if usable_s == math.inf else usable_s
        )
    reason = f"the save in flight needs {in_flight_s:.1f} s, only {usable_s:.1f} s are left"
    return StopDecision(choice=StopChoice.LET_GO, reason=reason)


def _work_on(*, save_s: float, usable_s: float, spare_s: float, saved_since_stop: bool) -> StopDecision:
    if not saved_since_stop:
        reason = f"saved now; {spare_s:.1f} s can be worked before the last save"
        return StopDecision(choice=StopChoice.SAVE_AND_GO_ON, reason=reason)
    if usable_s * ROUND_SHARE < save_s * SAVE_MARGIN <= spare_s:
        reason = f"the last save would take {save_s:.1f} s of {usable_s:.1f} s: one more round makes it small"
        return StopDecision(choice=StopChoice.SAVE_AND_GO_ON, reason=reason)
    reason = f"a last save of {save_s:.1f} s can begin {spare_s:.1f} s later"
    return StopDecision(choice=StopChoice.GO_ON, reason=reason, again_in_s=spare_s)

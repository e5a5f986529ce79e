"""What fits into the time that a stop leaves: pure decisions with their reason."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

SAVE_MARGIN: Final = 2.0  # a save is expected to take at most so many times as long as the last one


class StopChoice(StrEnum):
    FINISH = "finish"  # the shard ends in time
    SAVE = "save"  # save what changed, then let go
    LET_GO = "let-go"  # not even a save fits: the last checkpoint stands


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDecision:
    choice: StopChoice
    reason: str


def decide_on_stop(
    *, window_s: float, reserve_s: float, remaining_s: float | None, save_estimate_s: float
) -> StopDecision:
    """What to do with a leased shard under a stop, decided anew at every safe point.

    Args:
        window_s: seconds until the deadline; infinity without one.
        reserve_s: kept free at its end for release and exit.
        remaining_s: seconds of work left on the shard; None while unknown.
        save_estimate_s: seconds the next save will take; 0 while unknown.
    """
    usable_s = window_s - reserve_s
    save_s = save_estimate_s * SAVE_MARGIN
    # Finishing must leave room for changing one's mind: a shard that turns out slower is still saved.
    if remaining_s is not None and remaining_s + save_s <= usable_s and window_s != float("inf"):
        return StopDecision(choice=StopChoice.FINISH, reason=f"{remaining_s:.1f} s of work fit into {usable_s:.1f} s")
    if save_s < usable_s:
        left = "unknown work is left" if remaining_s is None else f"{remaining_s:.1f} s of work are left"
        return StopDecision(choice=StopChoice.SAVE, reason=f"{left}, a save fits into {usable_s:.1f} s")
    return StopDecision(choice=StopChoice.LET_GO, reason=f"a save of {save_s:.1f} s does not fit into {usable_s:.1f} s")

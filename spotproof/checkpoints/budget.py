"""Whether it fits: what a stop means for the work at hand, and how long a save will take."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

SMALL_BYTES: Final = 64 * 2**10  # below it a save's duration tells about latency, above about bandwidth
WEIGHT: Final = 0.3  # of the newest observation
SAVE_MARGIN: Final = 2.0  # a stop must not be surprised by one slow save


class StopChoice(StrEnum):
    FINISH = "finish"  # the shard ends in time
    SAVE = "save"  # save what changed, then let go
    LET_GO = "let-go"  # not even a save fits: the last checkpoint stands


@dataclass(frozen=True, slots=True, kw_only=True)
class StopDecision:
    """What to do with the shard at a stop, and why."""

    choice: StopChoice
    reason: str


def decide_on_stop(
    *,
    window_s: float,
    reserve_s: float,
    remaining_s: float | None,
    save_estimate_s: float,
    can_save: bool = True,
) -> StopDecision:
    """Finish the shard if it fits, else save the delta if that fits, else let go of what was saved before.

    Decided anew at every safe point.

    Args:
        window_s: seconds until the host is gone; infinite without a deadline, negative when it has passed.
        reserve_s: of the window, kept for the release and the exit.
        remaining_s: estimated seconds of work left in the shard; None if unknown.
        save_estimate_s: seconds that the next save is expected to take; 0 while unknown.
        can_save: False while output files are open, which no checkpoint carries.
    """
    usable_s = window_s - reserve_s
    save_s = save_estimate_s * SAVE_MARGIN if can_save else 0.0
    left = "an unknown rest of work" if remaining_s is None else f"{remaining_s:.1f} s of work"
    # Finishing leaves room for changing one's mind: a shard that turns out slower is still saved. Without a deadline
    # somebody wants us to go, so nothing is finished that was not saved.
    if remaining_s is not None and remaining_s + save_s <= usable_s and (window_s != math.inf or not can_save):
        return StopDecision(choice=StopChoice.FINISH, reason=f"{left} fit into {usable_s:.1f} s")
    if not can_save:
        return StopDecision(choice=StopChoice.LET_GO, reason=f"{left} left, and open output files can't be saved")
    if save_s < usable_s:
        return StopDecision(choice=StopChoice.SAVE, reason=f"{left} left, a save fits into {usable_s:.1f} s")
    return StopDecision(choice=StopChoice.LET_GO, reason=f"a save of {save_s:.1f} s does not fit into {usable_s:.1f} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveEstimate:
    """How long saves take, learned from those that were made (exponentially weighted). Starts on the cautious side."""

    latency_s: float = 0.5  # of a save that carries next to nothing
    bytes_per_s: float = 10e6

    def observe(self, *, size_bytes: int, duration_s: float) -> "SaveEstimate":
        """The estimate after a save of `size_bytes` took `duration_s`."""
        if size_bytes < SMALL_BYTES:
            return replace(self, latency_s=_blend(self.latency_s, max(0.0, duration_s)))
        carrying_s = max(1e-3, duration_s - self.latency_s)
        return replace(self, bytes_per_s=_blend(self.bytes_per_s, size_bytes / carrying_s))

    def seconds(self, size_bytes: int) -> float:
        """What a save of `size_bytes` is expected to take."""
        return self.latency_s + size_bytes / self.bytes_per_s


def _blend(old: float, new: float) -> float:
    return (1 - WEIGHT) * old + WEIGHT * new

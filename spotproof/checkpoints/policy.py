"""When to save: pure decisions with their reason.

Symbols as in the literature: C seconds one save stalls the work, lambda interruptions per second, p the probability that
a warning leads to a final save in time.
"""

import math
from dataclasses import dataclass
from typing import Final

INTERVAL_S_MIN: Final = 1.0
INTERVAL_S_MAX: Final = 3600.0
SAVE_SHARE_MAX: Final = 0.05  # saving may take at most this share of the time, whatever the interval says
DIRTY_BYTES_MAX: Final = 64 * 1024**2  # changed data that a final save could still carry in a small part of its window


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveDecision:
    save: bool
    reason: str


def decide_save(
    *, interval_s: float, since_save_s: float, save_cost_s: float, dirty_bytes: int, hint_pending: bool
) -> SaveDecision:
    """Whether a safe point without a stop is the moment to save.

    Args:
        interval_s: wanted seconds between saves, > 0.
        since_save_s: seconds since the last save, or since the shard was restored.
        save_cost_s: seconds the last save took; 0 while unknown.
        dirty_bytes: changed data that a save would carry, about.
        hint_pending: a rebalance recommendation was not yet answered by a save.
    """
    if hint_pending:
        return SaveDecision(save=True, reason="rebalance recommendation")
    if since_save_s < save_cost_s / SAVE_SHARE_MAX:
        return SaveDecision(save=False, reason=f"a save takes {save_cost_s:.1f} s: too soon for the next")
    if dirty_bytes >= DIRTY_BYTES_MAX:
        return SaveDecision(save=True, reason=f"{dirty_bytes} bytes changed")
    if since_save_s >= interval_s:
        return SaveDecision(save=True, reason=f"interval of {interval_s:g} s")
    return SaveDecision(save=False, reason="within the interval")


def next_interval_s(*, save_s: float, mtbf_s: float, warned: float = 0.0) -> float:
    """Seconds of work between checkpoints that minimise expected loss, from INTERVAL_S_MIN to INTERVAL_S_MAX.

    sqrt(2 * save_s * mtbf_s / (1 - warned)). Without warnings the first-order optimum of Young 1974 (doi
    10.1145/361147.361115; refined by Daly 2006, doi 10.1016/j.future.2004.11.016), with them the recall form of Aupy,
    Robert, Vivien and Zaidouni (arXiv 1302.3752). Valid while save_s << mtbf_s.

    Args:
        save_s: seconds one save stalls the work, > 0.
        mtbf_s: mean seconds between interruptions of one worker, > 0.
        warned: probability that an interruption is announced early enough for a final save, 0 to 1.

    Raises:
        ValueError: an argument is out of range.
    """
    if save_s <= 0 or mtbf_s <= 0 or not 0 <= warned <= 1:
        raise ValueError(f"save_s and mtbf_s must be > 0 and warned in 0..1, got {save_s}, {mtbf_s}, {warned}")
    unwarned = max(1.0 - warned, 1e-9)
    return min(INTERVAL_S_MAX, max(INTERVAL_S_MIN, math.sqrt(2 * save_s * mtbf_s / unwarned)))

"""When a save is worth it: pure decisions from costs, risk and hints."""

import math
from dataclasses import dataclass
from typing import Final

INTERVAL_FLOOR_S: Final = 5.0
INTERVAL_CAP_S: Final = 600.0
SAVE_SHARE_MAX: Final = 0.05  # saving may take at most this share of the time, whatever the interval says
DIRTY_BYTES_MAX: Final = 64 * 2**20  # changed data that a last save could still carry in a small part of its window


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveDecision:
    """Whether to save at this safe point, and why."""

    save: bool
    reason: str


def decide_save(
    *,
    interval_s: float,
    since_save_s: float,
    save_cost_s: float,
    dirty_bytes: int,
    hint_pending: bool,
    output_started: bool = False,
) -> SaveDecision:
    """Whether a safe point becomes a checkpoint.

    Args:
        interval_s: seconds between saves that the run asks for, > 0.
        since_save_s: seconds since the last save, or since the shard was restored.
        save_cost_s: what a save cost lately; 0 while unknown.
        dirty_bytes: about what a save would carry.
        hint_pending: a rebalance recommendation came that no save has answered yet.
        output_started: the function has opened an output file. Files are no part of the state, so going on from a
            checkpoint behind that point would lose what they hold: the shard is replayed from before it instead.
    """
    if output_started:
        return SaveDecision(save=False, reason="output files are open: progress is durable again with the commit")
    if hint_pending:
        return SaveDecision(save=True, reason="a rebalance recommendation came")
    if since_save_s < save_cost_s / SAVE_SHARE_MAX:
        return SaveDecision(save=False, reason=f"a save takes {save_cost_s:.1f} s: too soon for the next")
    if dirty_bytes >= DIRTY_BYTES_MAX:
        return SaveDecision(save=True, reason=f"{dirty_bytes} bytes changed")
    if since_save_s >= interval_s:
        return SaveDecision(save=True, reason=f"interval of {interval_s:g} s")
    return SaveDecision(save=False, reason="within the interval")


def next_interval_s(
    *,
    save_cost_s: float,
    interruptions_per_hour: float,
    warned_share: float,
    floor_s: float = INTERVAL_FLOOR_S,
    cap_s: float = INTERVAL_CAP_S,
) -> float:
    """Seconds of work between saves that minimise expected loss, within floor and cap.

    T* = sqrt(2 C / (L (1 - p))). With p = 0 it is Young's first-order optimum (1974, "A first order approximation to
    the optimum checkpoint interval", doi 10.1145/361147.361115; Daly 2006, doi 10.1016/j.future.2004.11.016, adds
    higher orders). The form with predicted interruptions is due to Aupy, Robert, Vivien and Zaidouni (arXiv 1302.3752).
    Valid while C is small against 1 / L.

    Args:
        save_cost_s: C, seconds that one save takes, >= 0.
        interruptions_per_hour: L, >= 0.
        warned_share: p, the share of interruptions whose warning leads to a durable last save, 0 to 1.

    Raises:
        ValueError: an argument is out of range, or the floor exceeds the cap.
    """
    if save_cost_s < 0 or interruptions_per_hour < 0 or not 0 <= warned_share <= 1:
        raise ValueError(
            f"need save_cost_s >= 0, interruptions_per_hour >= 0 and warned_share in 0..1, "
            f"got {save_cost_s}, {interruptions_per_hour}, {warned_share}"
        )
    if not 0 < floor_s <= cap_s:
        raise ValueError(f"floor_s must be above 0 and at most cap_s={cap_s}, got {floor_s}")
    unwarned_per_s = interruptions_per_hour / 3600 * (1 - warned_share)
    if unwarned_per_s == 0:
        return cap_s
    return min(cap_s, max(floor_s, math.sqrt(2 * save_cost_s / unwarned_per_s)))

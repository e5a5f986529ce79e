"""When a save is worth it: pure decisions from costs, risk and hints."""

from dataclasses import dataclass
from typing import Final

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

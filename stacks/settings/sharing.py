"""How those who submit to one queue share its vCPUs."""

from dataclasses import dataclass

from stacks.settings.declaration import setting
from stacks.settings.kinds import Number
from stacks.settings.pairs import Pairs, Shares

WEEK_S = 604_800  # AWS Batch: the longest that past use counts


@dataclass(frozen=True, kw_only=True)
class SharingSettings:
    """Fair share"""

    fair_shares: Pairs = setting(
        Shares(),
        (),
        "Who shares the queues, and the weight of each: the lighter, the more vCPUs. None: first come, first served. "
        "A change between none and some makes new queues.",
    )
    fair_share_reserve: int = setting(
        Number(0, 99),
        0,
        "Per cent of the vCPUs that shares without work leave for others to begin with (Batch: computeReservation).",
    )
    fair_share_decay_s: int = setting(Number(0, WEEK_S), 3600, "Seconds of past use that count; 0: only what runs now.")

"""Workers that functions submitted, as the markers of top-ups tell them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from spotproof import contract
from spotproof.capacity.topup_items import damage_told, job_id_from_item

KEY_PREFIX: Final = "KEY#"  # how the sort keys of markers begin


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedWorkers:
    """A job that a top-up brought, or is about to bring."""

    key: str  # of its request
    job_id: str | None  # None: claimed, and not on record yet
    job_queue: str  # as it was asked for: a name or an ARN
    workers: int
    claimed_at: int  # epoch ms


@damage_told
def submitted_from_item(item: Mapping[str, Any]) -> SubmittedWorkers:
    """The workers of a marker; one that noted neither number nor time is an old one of a single worker.

    Raises:
        ItemError: the marker can't be what this program wrote.
    """
    workers = int(item.get("workers", {"N": "1"})["N"])
    if workers < 0:  # it would make room for others
        raise ValueError(f"{workers} workers")
    return SubmittedWorkers(
        key=item[contract.SORT_KEY]["S"].removeprefix(KEY_PREFIX),
        job_id=job_id_from_item(item),
        job_queue=item["job_queue"]["S"],
        workers=workers,
        claimed_at=int(item.get("claimed_at", {"N": "0"})["N"]),
    )

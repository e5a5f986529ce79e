"""Workers that functions submitted, as the markers of top-ups tell them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from spotproof import contract
from spotproof.errors import MALFORMED, ItemError

KEY_PREFIX: Final = "KEY#"  # how the sort keys of markers begin


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedWorkers:
    """A job that a top-up brought, or is about to bring."""

    key: str  # of its request
    job_id: str | None  # None: claimed, and not on record yet
    job_queue: str  # as it was asked for: a name or an ARN
    workers: int
    claimed_at: int  # epoch ms


def submitted_from_item(item: Mapping[str, Any]) -> SubmittedWorkers:
    """The workers of a marker; one that noted neither number nor time is an old one of a single worker.

    Raises:
        ItemError: the marker can't be what this program wrote.
    """
    sk = item[contract.SORT_KEY]["S"]
    try:
        return SubmittedWorkers(
            key=sk.removeprefix(KEY_PREFIX),
            job_id=item.get("job_id", {}).get("S"),
            job_queue=item["job_queue"]["S"],
            workers=int(item.get("workers", {"N": "1"})["N"]),
            claimed_at=int(item.get("claimed_at", {"N": "0"})["N"]),
        )
    except MALFORMED as error:
        where = f"{item[contract.PARTITION_KEY]['S']}/{sk}"
        raise ItemError(
            f"item {where} is damaged ({type(error).__name__}: {error}); was the table edited by hand?"
        ) from error

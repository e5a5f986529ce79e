"""What the items beside a run's markers of top-ups say: claims that others may take over, and holds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from spotproof import contract
from spotproof.errors import MALFORMED, ItemError

T = TypeVar("T")
Item = Mapping[str, Any]  # in DynamoDB's form


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A marker whose job is not on record."""

    claimant: str
    until: int  # epoch ms: another one may take it over then
    job_queue: str  # that was chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Somebody or something wants no new workers for the run until it is submitted again."""

    since: int  # epoch ms
    reason: str


def damage_told(read: Callable[[Item], T]) -> Callable[[Item], T]:
    """Wraps a reader of items: whatever it stumbles over in one is an ItemError that says which item.

    Raises:
        ItemError: from the wrapped reader, if the item can't be what this program wrote.
    """

    @wraps(read)
    def reading(item: Item) -> T:
        try:
            return read(item)
        except MALFORMED as error:
            raise ItemError(
                f"item {_name(item)} is damaged ({type(error).__name__}: {error}); was the table edited by hand?"
            ) from error

    return reading


def _name(item: Item) -> str:
    return "/".join(item.get(key, {}).get("S", "?") for key in (contract.PARTITION_KEY, contract.SORT_KEY))


@damage_told
def job_id_from_item(item: Item) -> str | None:
    """The job that a marker gave; None if none is on record."""
    return str(item["job_id"]["S"]) if "job_id" in item else None


@damage_told
def claim_from_item(item: Item) -> Claim:
    """The claim of a marker without a job."""
    return Claim(
        claimant=str(item["claimant"]["S"]), until=int(item["until"]["N"]), job_queue=str(item["job_queue"]["S"])
    )


@damage_told
def hold_from_item(item: Item) -> Hold:
    return Hold(since=int(item["since"]["N"]), reason=str(item["reason"]["S"]))


@damage_told
def count_from_item(item: Item) -> int:
    """How many top-ups of a kind there were."""
    return int(item["count"]["N"]) if "count" in item else 0

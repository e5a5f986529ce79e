"""What is stored about each Spot pool: its last interruptions, and how its breaker stands."""

from collections.abc import Callable
from typing import Final

from spotproof import contract
from spotproof.capacity.breaker import BreakerSettings, Interruption, PoolRecord, after_interruption, after_probe
from spotproof.capacity.records import Attributes, Records, damage_told, version_of
from spotproof.errors import ItemError

WRITE_TRIES_MAX: Final = 4  # a storm notes many hosts of one pool at once; one note more or less opens it no later


class PoolRecords:
    """One item a pool."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def read(self, pool: str) -> PoolRecord:
        """The pool's record; an empty one if nothing was ever noted.

        Raises:
            AwsError: the table refused or stayed unavailable.
            ItemError: it is damaged.
        """
        return pool_from_item(pool, self._records.read(contract.POOLS_PK, pool))

    def all(self, tell: Callable[[str], None] | None = None) -> dict[str, PoolRecord]:
        """Every pool that was ever interrupted, by name; one request for some thousands of them.

        Args:
            tell: gets a line for each item that can't be read, which is left out then: a pool of which nothing is known.

        Raises:
            AwsError: the table refused or stayed unavailable.
            ItemError: an item is damaged, and there is nobody to tell.
        """
        found: dict[str, PoolRecord] = {}
        for item in self._records.all(contract.POOLS_PK):
            name = str(item[contract.SORT_KEY]["S"])
            try:
                found[name] = pool_from_item(name, item)
            except ItemError as error:
                if tell is None:
                    raise
                tell(str(error))
        return found

    def note_interruption(self, pool: str, interruption: Interruption, settings: BreakerSettings) -> PoolRecord | None:
        """Add it, and open the breaker if it is one too many. The record as stored; None if others were always faster."""
        return self._change(pool, lambda record: after_interruption(record, interruption, settings))

    def take_probe(self, pool: str, settings: BreakerSettings, *, now_ms: int) -> bool:
        """Be the one whose worker tries the pool again; False if it is not half-open, or somebody probes it."""
        item = self._records.read(contract.POOLS_PK, pool)
        probed = after_probe(pool_from_item(pool, item), settings, now_ms=now_ms)
        if probed is None:
            return False
        return self._records.replace(contract.POOLS_PK, pool, _content(probed), version=version_of(item))

    def _change(self, pool: str, change: Callable[[PoolRecord], PoolRecord]) -> PoolRecord | None:
        for _ in range(WRITE_TRIES_MAX):
            item = self._records.read(contract.POOLS_PK, pool)
            before = pool_from_item(pool, item)
            after = change(before)
            if after == before or self._records.replace(
                contract.POOLS_PK, pool, _content(after), version=version_of(item)
            ):
                return after
        return None


def _content(record: PoolRecord) -> Attributes:
    noted = [{"M": {"at": {"N": str(one.at)}, "instance_id": {"S": one.instance_id}}} for one in record.interruptions]
    content: Attributes = {"interruptions": {"L": noted}}
    for name, value in (("opened_at", record.opened_at), ("probe_at", record.probe_at)):
        if value is not None:
            content[name] = {"N": str(value)}
    return content


@damage_told
def pool_from_item(pool: str, item: Attributes) -> PoolRecord:
    noted = [one["M"] for one in item.get("interruptions", {"L": []})["L"]]
    return PoolRecord(
        pool=pool,
        interruptions=tuple(
            Interruption(at=int(one["at"]["N"]), instance_id=str(one["instance_id"]["S"])) for one in noted
        ),
        opened_at=_moment(item, "opened_at"),
        probe_at=_moment(item, "probe_at"),
    )


def _moment(item: Attributes, name: str) -> int | None:
    return int(item[name]["N"]) if name in item else None

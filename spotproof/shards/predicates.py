"""Which records of a part belong to a shard: pure tests on one typed key, stored with the shard."""

from dataclasses import dataclass
from typing import Any, Protocol

from spotproof.shards.times import Calendar
from spotproof.shards.values import (
    Key,
    as_key,
    as_number,
    key_from_json,
    key_to_json,
    order_key,
    stable_hash,
)


class Predicate(Protocol):
    """A test on the value of one column."""

    @property
    def column(self) -> str: ...

    def matches(self, value: Key) -> bool:
        """Whether a record with this key belongs to the shard.

        Raises:
            KeyValueError: the value can't be a key of this kind.
        """
        ...

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HashPredicate:
    """Keys whose stable hash modulo `count` is `bucket`."""

    column: str
    count: int
    bucket: int

    def matches(self, value: Key) -> bool:
        return stable_hash(as_key(value)) % self.count == self.bucket

    def to_json(self) -> dict[str, Any]:
        return {"kind": "hash", "column": self.column, "count": self.count, "bucket": self.bucket}


@dataclass(frozen=True, slots=True, kw_only=True)
class RangePredicate:
    """Keys in [low, high) of the total order; None is open. Nulls come first, so the range without `low` has them."""

    column: str
    low: Key
    high: Key
    numeric_text: bool = False  # text that writes a number counts as that number

    def matches(self, value: Key) -> bool:
        place = order_key(range_key(value, numeric_text=self.numeric_text))
        if self.low is not None and place < order_key(self.low):
            return False
        return self.high is None or place < order_key(self.high)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "range",
            "column": self.column,
            "low": key_to_json(self.low),
            "high": key_to_json(self.high),
            "numeric_text": self.numeric_text,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePredicate:
    """Times in [start, stop), as instants; None is open. Nulls belong to `TimePredicate(nulls=True)` alone."""

    column: str
    zone: str  # in which local times are read
    start_ns: int | None = None
    stop_ns: int | None = None
    nulls: bool = False

    def matches(self, value: Key) -> bool:
        instant = Calendar.of(self.zone).instant_ns(value)
        if instant is None or self.nulls:
            return instant is None and self.nulls
        return (self.start_ns is None or instant >= self.start_ns) and (self.stop_ns is None or instant < self.stop_ns)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "time",
            "column": self.column,
            "zone": self.zone,
            "start_ns": self.start_ns,
            "stop_ns": self.stop_ns,
            "nulls": self.nulls,
        }


def range_key(value: object, *, numeric_text: bool) -> Key:
    """The key that range sharding orders: numbers written as text count as numbers if the plan decided so."""
    key = as_key(value)
    if numeric_text and isinstance(key, str):
        number = as_number(key)
        return key if number is None else number
    return key


def predicate_from_json(data: dict[str, Any]) -> Predicate:
    """Inverse of `to_json`.

    Raises:
        ValueError, KeyError, TypeError: not a predicate that this version knows.
    """
    column = str(data["column"])
    match data["kind"]:
        case "hash":
            return HashPredicate(column=column, count=int(data["count"]), bucket=int(data["bucket"]))
        case "range":
            return RangePredicate(
                column=column,
                low=key_from_json(data["low"]),
                high=key_from_json(data["high"]),
                numeric_text=bool(data["numeric_text"]),
            )
        case "time":
            return TimePredicate(
                column=column,
                zone=str(data["zone"]),
                start_ns=_optional_int(data["start_ns"]),
                stop_ns=_optional_int(data["stop_ns"]),
                nulls=bool(data["nulls"]),
            )
        case kind:
            raise ValueError(f"unknown predicate {kind!r:.80}")


def _optional_int(value: Any) -> int | None:
    return None if value is None else int(value)


class MemoizedTest:
    """A predicate that remembers its verdict per key, bounded: real columns repeat their values."""

    _ENTRIES_MAX = 100_000

    def __init__(self, predicate: Predicate) -> None:
        self._predicate = predicate
        self._verdicts: dict[type, dict[Any, bool]] = {}  # by type: 1, True and 1.0 are equal in a dict

    def __call__(self, value: Any) -> bool:
        """The verdict on a raw value.

        Raises:
            KeyValueError: the value can't be a key.
        """
        kind = type(value)
        verdicts = self._verdicts.get(kind)
        if verdicts is None:
            as_key(value)  # refuses kinds that can't be looked up
            verdicts = self._verdicts[kind] = {}
        known = verdicts.get(value)
        if known is None:
            if len(verdicts) >= self._ENTRIES_MAX:
                verdicts.clear()
            known = verdicts[value] = self._predicate.matches(as_key(value))
        return known

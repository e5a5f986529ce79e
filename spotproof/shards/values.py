"""Keys of records as typed values: one order, one hash, one meaning of null, the same at plan and read time.

Null, NaN, an absent JSON member and an empty CSV field are all the null key. Numbers are equal by value whatever their
type (1, 1.0 and Decimal 1 are one key); the text "1" and the boolean true are other keys. Text fields of CSV stay text
for hashing. Keys of different kinds order as null < booleans < numbers < instants < local times < text < bytes.
"""

import hashlib
import math
import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final, TypeVar

_NUMBER: Final = re.compile(r"[+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eE][+-]?\d{1,3})?")
_INTEGER: Final = re.compile(r"[+-]?\d{1,40}")


@dataclass(frozen=True, slots=True)
class Moment:
    """A timestamp as Arrow stores it: an instant (`zoned`) or a reading of an unnamed local clock."""

    epoch_ns: int  # nanoseconds since 1970-01-01T00:00 of UTC, or of the local calendar
    zoned: bool


Key = bool | int | float | Decimal | Moment | str | bytes | None
N = TypeVar("N", float, Decimal)
OrderKey = tuple[int, Any]  # kind, value; comparable with any other


class KeyValueError(ValueError):
    """A value can't be used as a key; the reader adds object and record."""


def as_key(value: object) -> Key:
    """`value` as a key.

    Raises:
        KeyValueError: lists, objects and other composite values.
    """
    match value:
        case None | bool() | int() | str() | bytes() | Moment():
            return value
        case float():
            return None if math.isnan(value) else value
        case Decimal():
            return None if value.is_nan() else value
        case _:
            raise KeyValueError(f"a value of type {type(value).__name__} can't be a sharding key")


def order_key(key: Key) -> OrderKey:
    """Places `key` in the total order over all kinds."""
    match key:
        case None:
            return (0, 0)
        case bool():
            return (1, key)
        case int() | float() | Decimal():
            return (2, key)
        case Moment():
            return (3 if key.zoned else 4, key.epoch_ns)
        case str():
            return (5, key)
        case bytes():
            return (6, key)


def canonical_bytes(key: Key) -> bytes:
    """A byte string that is equal exactly for equal keys: a kind letter, then the value."""
    match key:
        case None:
            return b"0"
        case bool():
            return b"b1" if key else b"b0"
        case int():
            return b"n%d/1" % key
        case float() | Decimal():
            if math.isinf(key):
                return b"n+inf" if key > 0 else b"n-inf"
            exact = Fraction(key)
            return b"n%d/%d" % (exact.numerator, exact.denominator)
        case Moment():
            return b"%s%d" % (b"i" if key.zoned else b"l", key.epoch_ns)
        case str():
            return b"t" + key.encode("utf-8", "surrogatepass")
        case bytes():
            return b"y" + key


def stable_hash(key: Key) -> int:
    """A 64-bit hash that is the same in every process, on every machine, in every version (blake2b)."""
    return int.from_bytes(hashlib.blake2b(canonical_bytes(key), digest_size=8).digest(), "big")


def as_number(text: str) -> int | float | None:
    """The number written in `text`, or None if it is not one."""
    stripped = text.strip()
    if _INTEGER.fullmatch(stripped):
        return int(stripped)
    return float(stripped) if _NUMBER.fullmatch(stripped) else None


def key_to_json(key: Key) -> Any:
    """`key` as JSON that `key_from_json` reads back exactly."""
    match key:
        case float() if math.isinf(key):
            return {"float": repr(key)}
        case Decimal():
            return {"decimal": str(key)}
        case Moment():
            return {"ns": key.epoch_ns, "zoned": key.zoned}
        case bytes():
            return {"hex": key.hex()}
        case _:
            return key


def key_from_json(data: Any) -> Key:
    """Inverse of `key_to_json`.

    Raises:
        ValueError: not what `key_to_json` writes.
    """
    match data:
        case None | bool() | int() | str():
            return data
        case float():
            return _not_nan(data)
        case {"float": str(text)}:
            return _not_nan(float(text))
        case {"decimal": str(text)}:
            return _not_nan(_as_decimal(text))
        case {"ns": int(epoch_ns), "zoned": bool(zoned)}:
            return Moment(epoch_ns, zoned)
        case {"hex": str(text)}:
            return bytes.fromhex(text)
        case _:
            raise ValueError(f"not a key: {data!r:.80}")


def _as_decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"not a decimal number: {text!r:.80}") from None


def _not_nan(number: N) -> N:
    """NaN is the null key, and has no order: nobody writes it."""
    if number.is_nan() if isinstance(number, Decimal) else math.isnan(number):  # a signalling NaN can't be compared
        raise ValueError("not a key: NaN")
    return number

"""JSON that keeps Python's types: exact round trip, the same bytes everywhere, nothing executed on reading.

JSON's own null, booleans, numbers, strings and arrays stand for None, bool, int, float, str and list. Everything else is
an object with one member, whose name says the type:

    {"b": base64} bytes            {"t": [items]} tuple        {"d": [[key, value], ...]} dict, in its own order
    {"f": "nan"|"inf"|"-inf"}      {"i": hex} int past 64 bit  {"u": base64 of UTF-8} str with lone surrogates
    {"n": text} Decimal            {"D": ISO} date             {"T": [ISO, zone or null, fold]} aware datetime
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

from spotproof.errors import CheckpointCorruptError, UnsavableValueError

DEPTH_MAX: Final = 60
PLAIN_INT_MAX: Final = 2**63  # wider ones travel as hex: Python limits the digits it parses from decimal text
IMMUTABLE_SCALARS: Final = frozenset({type(None), bool, int, float, str, bytes, date, datetime, Decimal})
_STABLE_KEYS: Final = frozenset({str, int})  # the usual ones: they hold no NaN
_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))
_HINTS: Final = {
    "set": "use a dict with None values, which keeps its order",
    "frozenset": "use a tuple, which keeps its order",
    "bytearray": "use bytes",
    "Counter": "use dict(...)",
    "defaultdict": "use dict(...) and .get or .setdefault",
    "OrderedDict": "use dict(...)",
    "StateMap": "maps live beside inline values: state.map(name)",
}


class TypedJson:
    """The serializer `typed-json-1`."""

    format_id: Final = "typed-json-1"

    def check(self, value: object, *, at: str) -> None:
        if type(value) not in (int, str, bool, type(None)):
            _pack(value, at, 0)

    def encode(self, value: object, *, at: str) -> bytes:
        return _ENCODER.encode(_pack(value, at, 0)).encode("ascii")

    def decode(self, data: bytes) -> object:
        try:
            return _unpack(json.loads(data.decode("ascii"), parse_constant=_refuse_constant))
        except (ValueError, TypeError, KeyError, OverflowError, OSError, RecursionError, InvalidOperation) as error:
            # OSError: a time zone's name is looked up as a file, and may be a folder or far too long
            raise CheckpointCorruptError(f"not {self.format_id}: {error}") from error


def is_immutable(value: object) -> bool:
    """Whether nobody can change the value behind our back: a scalar, or a tuple of such."""
    if type(value) is tuple:
        return all(is_immutable(item) for item in value)
    return type(value) in IMMUTABLE_SCALARS


def _pack(value: object, at: str, depth: int) -> Any:
    """The value as JSON's own types. Exact types only: a subclass would come back as its base."""
    if depth > DEPTH_MAX:
        raise UnsavableValueError(f"{at} is nested deeper than {DEPTH_MAX} levels, or contains itself")
    if type(value) is str:
        return value if _is_unicode(value) else {"u": _base64(value.encode("utf-8", "surrogatepass"))}
    if type(value) is int:
        return value if -PLAIN_INT_MAX <= value < PLAIN_INT_MAX else {"i": hex(value)}
    if value is None or type(value) is bool:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"f": str(value)}
    if type(value) is list:
        return [_pack(item, at, depth + 1) for item in value]
    if type(value) is tuple:
        return {"t": [_pack(item, at, depth + 1) for item in value]}
    if type(value) is dict:
        return {"d": [[_pack_key(key, at, depth), _pack(item, at, depth + 1)] for key, item in value.items()]}
    return _pack_scalar(value, at)


def _pack_scalar(value: object, at: str) -> dict[str, Any]:
    if type(value) is bytes:
        return {"b": _base64(value)}
    if type(value) is Decimal:
        return {"n": str(value)}
    if type(value) is datetime:
        return {"T": _pack_moment(value, at)}
    if type(value) is date:
        return {"D": value.isoformat()}
    raise _unsavable(value, at)


def _pack_key(key: object, at: str, depth: int) -> Any:
    if type(key) not in _STABLE_KEYS and not all(_is_lookup_stable(part) for part in _parts(key)):
        raise UnsavableValueError(f"{at} has a NaN in a key: no restored key would equal it")
    return _pack(key, at, depth + 1)


def _parts(key: object) -> Iterator[object]:
    if isinstance(key, tuple):
        for item in key:
            yield from _parts(item)
    else:
        yield key


def _is_lookup_stable(part: object) -> bool:
    return not (isinstance(part, float | Decimal) and math.isnan(part))


def _pack_moment(moment: datetime, at: str) -> list[Any]:
    zone = moment.tzinfo
    if zone is None:
        raise UnsavableValueError(f"{at} holds a naive datetime {moment.isoformat()}: give it a time zone")
    if type(zone) is timezone:
        return [moment.isoformat(), None, moment.fold]
    if isinstance(zone, ZoneInfo) and zone.key:
        return [moment.replace(tzinfo=None).isoformat(), zone.key, moment.fold]
    raise UnsavableValueError(f"{at} holds a datetime with a {type(zone).__name__} zone: use zoneinfo or an offset")


def _unsavable(value: object, at: str) -> UnsavableValueError:
    kind = type(value)
    hint = _HINTS.get(kind.__name__)
    if hint is None and kind.__module__ == "numpy":
        hint = "use .item() or .tolist()"
    hint = hint or "use None, bool, int, float, str, bytes, list, tuple, dict, date, aware datetime or Decimal"
    return UnsavableValueError(f"{at} holds a {kind.__module__}.{kind.__qualname__}, which can't be saved: {hint}")


def _unpack(packed: Any) -> Any:
    if isinstance(packed, list):
        return [_unpack(item) for item in packed]
    if not isinstance(packed, dict):
        return packed
    ((tag, content),) = packed.items()
    unpack = _UNPACKERS.get(tag)
    if unpack is None:
        raise ValueError(f"unknown type tag {tag!r}")
    return unpack(content)


def _unpack_tuple(items: Any) -> tuple[Any, ...]:
    return tuple(_unpack(item) for item in _list(items))


def _unpack_dict(pairs: Any) -> dict[Any, Any]:
    unpacked = {_unpack(key): _unpack(value) for key, value in map(_list, _list(pairs))}
    if len(unpacked) != len(pairs):
        raise ValueError("a dict has a key twice")
    return unpacked


def _unpack_special_float(text: Any) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise ValueError(f"unknown float {text!r}")
    return float(text)


def _unpack_decimal(text: Any) -> Decimal:
    if not isinstance(text, str):
        raise TypeError(f"expected a decimal number as text, got {type(text).__name__}")
    return Decimal(text)


def _unpack_moment(content: Any) -> datetime:
    text, zone, fold = _list(content)
    moment = datetime.fromisoformat(text)
    if zone is not None:
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    if moment.tzinfo is None:
        raise ValueError(f"a datetime without a time zone: {text}")
    return moment.replace(fold=fold)


def _list(items: Any) -> list[Any]:
    if not isinstance(items, list):
        raise TypeError(f"expected a list, got {type(items).__name__}")
    return items


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"bad base64: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"bare {name}")


_UNPACKERS: Final[dict[str, Callable[[Any], Any]]] = {
    "b": _from_base64,
    "t": _unpack_tuple,
    "d": _unpack_dict,
    "f": _unpack_special_float,
    "i": lambda text: int(text, 16),
    "u": lambda text: _from_base64(text).decode("utf-8", "surrogatepass"),
    "n": _unpack_decimal,
    "D": date.fromisoformat,
    "T": _unpack_moment,
}

"""JSON for outputs: the same bytes for the same value, whatever order the work was done in.

Object members are sorted by name. A dict with any key that is not text becomes a list of [key, value] pairs, sorted by
key: None, then booleans, numbers, text, dates, tuples. Tuples and sets are lists, sets sorted in that order too. Dates
and aware datetimes are ISO 8601 text, Decimals are text. NaN and infinities are refused: JSON has none.
"""

import json
import math
from collections.abc import Mapping, Set
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from spotproof.errors import OutputValueError

DEPTH_MAX: Final = 100
_HINTS: Final = {"numpy": "use .item() or .tolist()", "pandas": "return the DataFrame itself, or .to_dict()"}


def canonical_json(value: object) -> bytes:
    """The value as UTF-8 JSON with a final line end.

    Raises:
        OutputValueError: a type, number or text that JSON can't carry; the message names its place.
    """
    plain = _plain(value, "the returned value", 0)
    text = json.dumps(plain, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    try:
        return f"{text}\n".encode()
    except UnicodeEncodeError as error:
        raise OutputValueError(f"the returned value has text with lone surrogates: {error.reason}") from error


def _plain(value: object, at: str, depth: int) -> Any:
    if depth > DEPTH_MAX:
        raise OutputValueError(f"{at} is nested deeper than {DEPTH_MAX} levels, or contains itself")
    match value:
        case None | bool() | int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case float():
            raise OutputValueError(f"{at} is {value}, which JSON can't carry: return None or text instead")
        case Mapping():
            return _plain_mapping(value, at, depth)
        case list() | tuple():
            return [_plain(item, f"{at}[{number}]", depth + 1) for number, item in enumerate(value)]
        case Set():
            return [_plain(item, at, depth + 1) for item in sorted(value, key=lambda item: _order(item, at))]
        case Decimal() if value.is_finite():
            return str(value)
        case date():
            return _moment(value, at)
        case _:
            raise _refused(value, at)


def _plain_mapping(value: Mapping[Any, Any], at: str, depth: int) -> Any:
    if all(isinstance(key, str) for key in value):
        return {str.__str__(key): _plain(item, f"{at}[{key!r}]", depth + 1) for key, item in value.items()}
    keys = sorted(value, key=lambda key: _order(key, at))
    return [[_plain(key, at, depth + 1), _plain(value[key], f"{at}[{key!r}]", depth + 1)] for key in keys]


def _order(key: object, at: str) -> tuple[Any, ...]:
    """A total order over everything that may be a key."""
    match key:
        case None:
            return (0,)
        case bool():
            return (1, key)
        case int() | float() | Decimal() if key == key:
            return (2, key)
        case str():
            return (3, key)
        case date():
            return (4, _moment(key, at))
        case tuple() | frozenset():
            parts = [_order(part, at) for part in key]
            return (5, tuple(parts if isinstance(key, tuple) else sorted(parts)))
        case _:
            raise _refused(key, f"a key of {at}")


def _moment(value: date, at: str) -> str:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise OutputValueError(f"{at} is a naive datetime {value.isoformat()}: give it a time zone")
    return value.isoformat()


def _refused(value: object, at: str) -> OutputValueError:
    kind = type(value)
    hint = _HINTS.get(kind.__module__.partition(".")[0], "return bytes, text, JSON-able values or a table")
    return OutputValueError(f"{at} is {value!r:.60} of type {kind.__module__}.{kind.__qualname__}: {hint}")

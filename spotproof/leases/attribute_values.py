"""DynamoDB's typed attribute values, to and from Python."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

AttributeValue = Mapping[str, Any]
Item = dict[str, AttributeValue]
Plain = str | int | float | frozenset[int] | Sequence["Plain"] | Mapping[str, "Plain"]


def to_attribute_value(value: Plain) -> AttributeValue:
    """The wire form of a value the product stores.

    Raises:
        TypeError: for a type we never store (bool and None among them: absence says None).
    """
    kind = type(value)
    if kind is str:  # nearly all values are plain: patterns of abstract types take microseconds
        return {"S": value}
    if kind is int:
        return {"N": repr(value)}
    return _of_a_rarer_type(value)


def _of_a_rarer_type(value: Plain) -> AttributeValue:
    match value:
        case bool():
            raise TypeError("booleans are stored as numbers")
        case str():
            return {"S": str(value)}
        case int() | float():
            return {"N": repr(value)}
        case frozenset():
            return {"NS": [repr(number) for number in sorted(value)]}
        case Mapping():
            return {"M": {name: to_attribute_value(part) for name, part in value.items()}}
        case Sequence() if not isinstance(value, bytes):
            return {"L": [to_attribute_value(part) for part in value]}
    raise TypeError(f"no attribute value for {type(value).__name__}")


def to_item(values: Mapping[str, Plain | None]) -> Item:
    """The wire form of an item; None means the attribute is absent."""
    return {name: to_attribute_value(value) for name, value in values.items() if value is not None}


def size_bytes(value: AttributeValue) -> int:
    """The size DynamoDB counts for one value.

    Rules: "DynamoDB item sizes and formats" of the developer guide: UTF-8 length of strings; about one byte per two
    significant digits of a number plus one; 3 bytes per list or map plus one per member.
    """
    [(kind, content)] = value.items()
    match kind:
        case "S":
            return _text_bytes(content)
        case "N":
            return _number_bytes(content)
        case "B":
            return len(content)
        case "BOOL" | "NULL":
            return 1
        case "SS":
            return sum(map(_text_bytes, content))
        case "NS":
            return sum(map(_number_bytes, content))
        case "L":
            return 3 + sum(1 + size_bytes(part) for part in content)
        case "M":
            return 3 + len(content) + item_bytes(content)
    raise TypeError(f"unknown attribute type {kind!r}")


def item_bytes(item: Mapping[str, AttributeValue]) -> int:
    """The size DynamoDB counts for an item, attribute names included. One write unit per started 1,024."""
    return sum(map(_text_bytes, item)) + sum(map(size_bytes, item.values()))


def attribute_bytes(item: Mapping[str, AttributeValue], name: str) -> int:
    """What one attribute adds to the item's size; nothing if it is absent."""
    value = item.get(name)
    return 0 if value is None else _text_bytes(name) + size_bytes(value)


def _text_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


@lru_cache(maxsize=4096)
def _number_bytes(text: str) -> int:
    digits = text.lstrip("-").replace(".", "").strip("0")
    return 1 + (len(digits) + 1) // 2 + (1 if text.startswith("-") else 0)

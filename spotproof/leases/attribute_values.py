"""DynamoDB's typed attribute values, to and from Python."""

from collections.abc import Mapping, Sequence
from typing import Any

AttributeValue = Mapping[str, Any]
Item = dict[str, AttributeValue]
Plain = str | int | float | frozenset[int] | Sequence["Plain"] | Mapping[str, "Plain"]


def to_attribute_value(value: Plain) -> AttributeValue:
    """The wire form of a value the product stores.

    Raises:
        TypeError: for a type we never store (bool and None among them: absence says None).
    """
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
            return len(content.encode())
        case "N":
            return _number_bytes(content)
        case "B":
            return len(content)
        case "BOOL" | "NULL":
            return 1
        case "SS":
            return sum(len(text.encode()) for text in content)
        case "NS":
            return sum(_number_bytes(text) for text in content)
        case "L":
            return 3 + sum(1 + size_bytes(part) for part in content)
        case "M":
            return 3 + sum(1 + len(name.encode()) + size_bytes(part) for name, part in content.items())
    raise TypeError(f"unknown attribute type {kind!r}")


def item_bytes(item: Mapping[str, AttributeValue]) -> int:
    """The size DynamoDB counts for an item, attribute names included. One write unit per started 1,024."""
    return sum(len(name.encode()) + size_bytes(value) for name, value in item.items())


def _number_bytes(text: str) -> int:
    digits = text.lstrip("-").replace(".", "").strip("0")
    return 1 + (len(digits) + 1) // 2 + (1 if text.startswith("-") else 0)

"""Numbers as the service keeps them: without zeros at their ends, however they were sent.

Source: developer guide, "Data types", Number: "leading and trailing zeroes are trimmed".
"""

from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Final

from spotproof.leases.attribute_values import AttributeValue, Item

_DIGITS: Final = Context(prec=38)  # "Number: up to 38 digits of precision"


def kept_item(item: Mapping[str, AttributeValue]) -> Item:
    """The item as it is read back."""
    return {name: kept(value) for name, value in item.items()}


def kept(value: AttributeValue) -> AttributeValue:
    """The value as it is read back; the same object if nothing changes."""
    [(kind, content)] = value.items()
    match kind:
        case "S":
            return value
        case "N":
            number = _kept_number(content)
            return value if number == content else {kind: number}
        case "NS":
            return {kind: [_kept_number(number) for number in content]}
        case "L":
            return {kind: [kept(part) for part in content]}
        case "M":
            return {kind: kept_item(content)}
    return value


def _kept_number(text: str) -> str:
    if text.isdecimal() and text[0] != "0":  # nearly all of them
        return text
    return format(_DIGITS.plus(_DIGITS.normalize(Decimal(text))), "f")  # the plus turns -0 into 0

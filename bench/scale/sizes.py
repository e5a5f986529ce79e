"""The size DynamoDB counts for an item, fast: the product's own rules, with strings told by length."""

from collections.abc import Mapping
from functools import lru_cache

from spotproof.leases.attribute_values import AttributeValue, size_bytes


@lru_cache(maxsize=1 << 16)
def _number_bytes(text: str) -> int:
    return size_bytes({"N": text})


def item_size(item: Mapping[str, AttributeValue]) -> int:
    """As spotproof.leases.attribute_values.item_bytes."""
    total = 0
    for name, value in item.items():
        total += len(name)  # attribute names are ASCII
        for kind, content in value.items():
            if kind == "S":
                total += len(content) if content.isascii() else len(content.encode())
            elif kind == "N":
                total += _number_bytes(content)
            else:
                total += size_bytes(value)
    return total


def write_units(size: int) -> float:
    return float(max(1, -(-size // 1024)))


def read_units(size: int, *, consistent: bool) -> float:
    units = max(1, -(-size // 4096))
    return float(units) if consistent else units / 2

"""The size DynamoDB counts for an item, fast: the product's own rules, and only what changed is told again."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from spotproof.leases.attribute_values import AttributeValue, size_bytes


@lru_cache(maxsize=1 << 16)
def _number_bytes(text: str) -> int:
    return size_bytes({"N": text})


def _size(name: str, value: AttributeValue) -> int:
    for kind, content in value.items():
        if kind == "S" and content.isascii():
            return len(name) + len(content)  # attribute names are ASCII
        if kind == "N":
            return len(name) + _number_bytes(content)
    return len(name) + size_bytes(value)


def item_size(item: Mapping[str, AttributeValue]) -> int:
    """As spotproof.leases.attribute_values.item_bytes."""
    return sum(_size(name, value) for name, value in item.items())


def size_after(
    size: int, old: Mapping[str, AttributeValue], new: Mapping[str, AttributeValue], changed: Iterable[str]
) -> int:
    """The size of `new`, which differs from `old`, of this size, in the `changed` attributes at most."""
    for name in changed:
        before, after = old.get(name), new.get(name)
        if before is after:
            continue
        if before is not None and after is not None and "N" in before and "N" in after:
            size += _number_bytes(after["N"]) - _number_bytes(before["N"])
            continue
        size -= 0 if before is None else _size(name, before)
        size += 0 if after is None else _size(name, after)
    return size


def write_units(size: int) -> float:
    return float(max(1, -(-size // 1024)))


def read_units(size: int, *, consistent: bool) -> float:
    units = max(1, -(-size // 4096))
    return float(units) if consistent else units / 2

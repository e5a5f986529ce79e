"""Rows and sparse indexes of the in-memory table, each ordered by its sort key."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from spotproof import contract
from spotproof.leases.attribute_values import AttributeValue, Item, item_bytes
from spotproof.leases.memory.conditions import Condition, Scope, condition_of, number_of
from spotproof.leases.memory.validation import InvalidExpressionError, refusal

Key = tuple[str, str]


class Rows:
    """The items by partition and sort key."""

    def __init__(self) -> None:
        self._partitions: dict[str, dict[str, Item]] = {}
        self._sizes: dict[Key, int] = {}

    def get(self, key: Key) -> Item | None:
        return self._partitions.get(key[0], {}).get(key[1])

    def size_bytes(self, key: Key) -> int:
        """What the service counts for the item, 0 if there is none."""
        return self._sizes.get(key, 0)

    def put(self, key: Key, item: Item, *, size_bytes: int) -> None:
        self._partitions.setdefault(key[0], {})[key[1]] = item
        self._sizes[key] = size_bytes

    def items(self) -> list[Item]:
        """All, by key."""
        return [item for _, rows in sorted(self._partitions.items()) for _, item in sorted(rows.items())]

    def partition(self, name: str) -> dict[str, Item]:
        return self._partitions.get(name, {})

    def matching(self, rows: "Rows", scope: Scope, text: str) -> list[Item]:
        """Items of one partition that the key condition selects, in order."""
        asked = _partition(scope, text, contract.PARTITION_KEY)
        partition = rows.partition(asked.name)
        return asked.selected([partition[sort_key] for sort_key in sorted(partition)], scope)

    def order_of(self, item: Mapping[str, AttributeValue]) -> tuple[Any, ...]:
        return (item[contract.SORT_KEY]["S"],)

    def projected(self, item: Item) -> Item:
        return item

    def bytes_of(self, item: Item) -> int:
        """What the service counts for reading the item, which is stored here."""
        return self._sizes[item[contract.PARTITION_KEY]["S"], item[contract.SORT_KEY]["S"]]

    def start_key(self, item: Item) -> Item:
        return {name: item[name] for name in (contract.PARTITION_KEY, contract.SORT_KEY)}


class Index:
    """Items that carry the index's partition and sort key."""

    def __init__(self, spec: contract.IndexSpec) -> None:
        self.spec = spec
        self._partitions: dict[str, set[Key]] = {}
        keys = (spec.partition_key, spec.sort_key, contract.PARTITION_KEY, contract.SORT_KEY)
        self._keys = tuple(dict.fromkeys(keys))
        self._projected = (*self._keys, *spec.include)

    def problem(self, item: Item) -> str | None:
        """Why the service would refuse the item because of this index."""
        for name, kind in ((self.spec.partition_key, "S"), (self.spec.sort_key, self.spec.sort_key_type)):
            value = item.get(name)
            if value is not None and (kind not in value or value[kind] == ""):
                return f"index key attribute {name} must be a non-empty {kind}"
        return None

    def move(self, key: Key, old: Item | None, new: Item) -> int:
        """Follow a write; the number of index writes it takes (a changed key: one delete, one put)."""
        if self._is_the_same(old, new):
            return 0
        before, after = self._entry(old), self._entry(new)
        if before == after:
            return 0
        rekeyed = before is not None and after is not None and self._placed(before) != self._placed(after)
        if before is not None:
            self._partitions[before[self.spec.partition_key]["S"]].discard(key)
        if after is not None:
            self._partitions.setdefault(after[self.spec.partition_key]["S"], set()).add(key)
        return 2 if rekeyed else 1

    def matching(self, rows: Rows, scope: Scope, text: str) -> list[Item]:
        """Items of one partition that the key condition selects, in order."""
        asked = _partition(scope, text, self.spec.partition_key)
        items = [item for key in self._partitions.get(asked.name, ()) if (item := rows.get(key))]
        return sorted(asked.selected(items, scope), key=self.order_of)

    def order_of(self, item: Mapping[str, AttributeValue]) -> tuple[Any, ...]:
        value = item[self.spec.sort_key]
        sort = number_of(value["N"]) if self.spec.sort_key_type == "N" else value["S"]
        return sort, item[contract.PARTITION_KEY]["S"], item[contract.SORT_KEY]["S"]

    def projected(self, item: Item) -> Item:
        return {name: item[name] for name in self._projected if name in item}

    def bytes_of(self, entry: Item) -> int:
        """What the service counts for reading an entry."""
        return item_bytes(entry)

    def start_key(self, item: Item) -> Item:
        return {name: item[name] for name in self._keys}

    def _is_the_same(self, old: Item | None, new: Item) -> bool:
        """Whether there surely is no other entry than before: none at all, or one of the very same values."""
        partition_key = self.spec.partition_key
        if partition_key not in new:
            return old is None or partition_key not in old
        return old is not None and all(new.get(name) is old.get(name) for name in self._projected)

    def _entry(self, item: Item | None) -> Item | None:
        if item is None or self.spec.partition_key not in item or self.spec.sort_key not in item:
            return None
        return self.projected(item)

    def _placed(self, entry: Item) -> Item:
        return {name: entry[name] for name in self._keys}


class _Partition(NamedTuple):
    """What a key condition asks for."""

    name: str
    narrowed_by: Condition | None  # None: every item of the partition

    def selected(self, items: list[Item], scope: Scope) -> list[Item]:
        condition = self.narrowed_by
        if condition is None:
            return items
        return [item for item in items if condition(Scope(item, scope.names, scope.values))]


class _KeyCondition(NamedTuple):
    """`#name = :placeholder`, alone or AND one more condition."""

    name: str
    placeholder: str
    rest: str
    whole: Condition


def _partition(scope: Scope, text: str, partition_key: str) -> _Partition:
    """The one partition a key condition asks for."""
    try:
        asked = _key_condition_of(text)
    except InvalidExpressionError as error:
        raise refusal("Query", "ValidationException", f"Invalid KeyConditionExpression: {error}") from None
    known = scope.names.get(asked.name) == partition_key and asked.placeholder in scope.values
    if not known or " AND " in asked.rest or " OR " in asked.rest:
        raise refusal("Query", "ValidationException", f"Query key condition not supported: {text}")
    return _Partition(str(scope.values[asked.placeholder]["S"]), asked.whole if asked.rest else None)


@cache
def _key_condition_of(text: str) -> _KeyCondition:
    first, _, rest = text.partition(" AND ")
    name, _, placeholder = first.partition(" = ")
    return _KeyCondition(name=name, placeholder=placeholder, rest=rest, whole=condition_of(text))

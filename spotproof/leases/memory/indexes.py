"""Rows and sparse indexes of the in-memory table, each ordered by its sort key."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from spotproof import contract
from spotproof.leases.attribute_values import AttributeValue, Item
from spotproof.leases.memory.conditions import Scope, condition_of
from spotproof.leases.memory.validation import InvalidExpressionError, refusal

Key = tuple[str, str]


class Rows:
    """The items by partition and sort key."""

    def __init__(self) -> None:
        self._partitions: dict[str, dict[str, Item]] = {}

    def get(self, key: Key) -> Item | None:
        return self._partitions.get(key[0], {}).get(key[1])

    def put(self, key: Key, item: Item) -> None:
        self._partitions.setdefault(key[0], {})[key[1]] = item

    def partition(self, name: str) -> dict[str, Item]:
        return self._partitions.get(name, {})

    def matching(self, rows: "Rows", scope: Scope, text: str) -> list[Item]:
        """Items of one partition that the key condition selects, in order."""
        partition = rows.partition(_partition(scope, text, contract.PARTITION_KEY))
        condition = condition_of(text)
        return [item for _, item in sorted(partition.items()) if condition(scope._replace(item=item))]

    def order_of(self, item: Mapping[str, AttributeValue]) -> tuple[Any, ...]:
        return (item[contract.SORT_KEY]["S"],)

    def projected(self, item: Item) -> Item:
        return item

    def start_key(self, item: Item) -> Item:
        return {name: item[name] for name in (contract.PARTITION_KEY, contract.SORT_KEY)}


class Index:
    """Items that carry the index's partition and sort key."""

    def __init__(self, spec: contract.IndexSpec) -> None:
        self._spec = spec
        self._partitions: dict[str, set[Key]] = {}
        keys = (spec.partition_key, spec.sort_key, contract.PARTITION_KEY, contract.SORT_KEY)
        self._keys = tuple(dict.fromkeys(keys))
        self._projected = (*self._keys, *spec.include)

    def problem(self, item: Item) -> str | None:
        """Why the service would refuse the item because of this index."""
        for name, kind in ((self._spec.partition_key, "S"), (self._spec.sort_key, self._spec.sort_key_type)):
            value = item.get(name)
            if value is not None and (kind not in value or value[kind] == ""):
                return f"index key attribute {name} must be a non-empty {kind}"
        return None

    def move(self, key: Key, old: Item | None, new: Item) -> int:
        """Follow a write; the number of index writes it takes (a changed key: one delete, one put)."""
        before, after = self._entry(old), self._entry(new)
        if before == after:
            return 0
        rekeyed = before is not None and after is not None and self._placed(before) != self._placed(after)
        if before is not None:
            self._partitions[before[self._spec.partition_key]["S"]].discard(key)
        if after is not None:
            self._partitions.setdefault(after[self._spec.partition_key]["S"], set()).add(key)
        return 2 if rekeyed else 1

    def matching(self, rows: Rows, scope: Scope, text: str) -> list[Item]:
        """Items of one partition that the key condition selects, in order."""
        keys = self._partitions.get(_partition(scope, text, self._spec.partition_key), set())
        condition = condition_of(text)
        items = [item for key in keys if (item := rows.get(key)) and condition(scope._replace(item=item))]
        return sorted(items, key=self.order_of)

    def order_of(self, item: Mapping[str, AttributeValue]) -> tuple[Any, ...]:
        value = item[self._spec.sort_key]
        sort = Decimal(value["N"]) if self._spec.sort_key_type == "N" else value["S"]
        return sort, item[contract.PARTITION_KEY]["S"], item[contract.SORT_KEY]["S"]

    def projected(self, item: Item) -> Item:
        return {name: item[name] for name in self._projected if name in item}

    def start_key(self, item: Item) -> Item:
        return {name: item[name] for name in self._keys}

    def _entry(self, item: Item | None) -> Item | None:
        if item is None or self._spec.partition_key not in item or self._spec.sort_key not in item:
            return None
        return self.projected(item)

    def _placed(self, entry: Item) -> Item:
        return {name: entry[name] for name in self._keys}


def _partition(scope: Scope, text: str, partition_key: str) -> str:
    """The one partition a key condition asks for."""
    first, _, rest = text.partition(" AND ")
    name, _, placeholder = first.partition(" = ")
    try:
        condition_of(text)
    except InvalidExpressionError as error:
        raise refusal("Query", "ValidationException", f"Invalid KeyConditionExpression: {error}") from None
    if scope.names.get(name) != partition_key or placeholder not in scope.values or " AND " in rest or " OR " in rest:
        raise refusal("Query", "ValidationException", f"Query key condition not supported: {text}")
    return str(scope.values[placeholder]["S"])

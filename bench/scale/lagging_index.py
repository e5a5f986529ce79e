"""A sparse index that follows its table late, in the order of each item's writes."""

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator

from spotproof import contract
from spotproof.leases.attribute_values import Item

Key = tuple[str, str]
Order = tuple[float | str, str, str]


class LaggingIndex:
    """What queries of the index see. An entry is the item's projection at the time of its write."""

    def __init__(self, spec: contract.IndexSpec, lag_s: Callable[[], float]) -> None:
        self.spec = spec
        keys = (spec.partition_key, spec.sort_key, contract.PARTITION_KEY, contract.SORT_KEY)
        self._keys = tuple(dict.fromkeys(keys))
        self._projected = (*self._keys, *spec.include)
        self._lag_s = lag_s
        self._pending: list[tuple[float, int, Key, Item | None]] = []
        self._planned = 0
        self._visible_at: dict[Key, float] = {}  # of the newest change under way
        self._entries: dict[Key, Item] = {}
        self._order: dict[str, list[tuple[Order, Key]]] = {}

    def projected(self, item: Item | None) -> Item | None:
        """The index's view of an item; None if it is not in the index."""
        if item is None or self.spec.partition_key not in item or self.spec.sort_key not in item:
            return None
        return {name: item[name] for name in self._projected if name in item}

    def writes(self, before: Item | None, after: Item | None) -> int:
        """Index writes that a change takes: a changed key is one delete and one put."""
        if before == after:
            return 0
        moved = before and after and any(before[name] != after[name] for name in self._keys)
        return 2 if moved else 1

    def partition_of(self, *entries: Item | None) -> str:
        """The name of the partition that a change touches."""
        entry = next(entry for entry in entries if entry is not None)
        return f"{self.spec.name} {entry[self.spec.partition_key]['S']}"

    def follow(self, key: Key, after: Item | None, now: float) -> None:
        """A write has changed the item's projection; queries see it after the lag."""
        due = max(now + self._lag_s(), self._visible_at.get(key, 0.0))
        self._visible_at[key] = due
        self._planned += 1
        heapq.heappush(self._pending, (due, self._planned, key, after))

    def entries(self, partition: str, now: float) -> Iterator[Item]:
        """What a query sees now, in order."""
        self._catch_up(now)
        for _, key in self._order.get(partition, []):
            yield self._entries[key]

    def order_of(self, item: Item) -> Order:
        value = item[self.spec.sort_key]
        sort: float | str = float(value["N"]) if self.spec.sort_key_type == "N" else value["S"]
        return sort, item[contract.PARTITION_KEY]["S"], item[contract.SORT_KEY]["S"]

    def start_key(self, item: Item) -> Item:
        return {name: item[name] for name in self._keys}

    def _catch_up(self, now: float) -> None:
        pending = self._pending
        while pending and pending[0][0] <= now:
            due, _, key, after = heapq.heappop(pending)
            if self._visible_at.get(key) == due:
                del self._visible_at[key]
            before = self._entries.pop(key, None)
            if before is not None:
                places = self._order[before[self.spec.partition_key]["S"]]
                del places[bisect_left(places, (self.order_of(before), key))]
            if after is not None:
                self._entries[key] = after
                insort(self._order.setdefault(after[self.spec.partition_key]["S"], []), (self.order_of(after), key))

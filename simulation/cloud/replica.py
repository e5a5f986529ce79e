"""A copy of the table that runs behind: each item shows its versions in order, each some time after it was written."""

from collections.abc import Iterable
from typing import Final

from spotproof.leases.attribute_values import Item
from spotproof.leases.memory.table import InMemoryTable

PENDING_MAX: Final = 512  # writes kept for later until somebody reads: more are looked through for visible ones

Key = tuple[str, str]


class Replica:
    """Applies writes when it is read: of several versions of an item only the newest visible one counts."""

    def __init__(self, table: InMemoryTable) -> None:
        self._table = table
        self._pending: dict[Key, list[tuple[int, Item]]] = {}  # by item, oldest first: (visible from, version)
        self._count = 0
        self._count_max = PENDING_MAX

    def follow(self, key: Key, item: Item, *, now: int, lag: int) -> None:
        """Note a write that becomes visible `lag` (microseconds) from now, unless an earlier one of its item is later."""
        versions = self._pending.setdefault(key, [])
        versions.append((now + lag, item))
        self._count += 1
        if self._count > self._count_max:
            self._catch_up(now)
            self._count_max = max(PENDING_MAX, 2 * self._count)

    def at(self, moment: int) -> InMemoryTable:
        """The copy as it is seen at `moment`."""
        self._catch_up(moment)
        return self._table

    def replace(self, items: Iterable[Item]) -> None:
        self._table.replace(items)
        self._pending.clear()
        self._count = 0

    def _catch_up(self, moment: int) -> None:
        left: dict[Key, list[tuple[int, Item]]] = {}
        for key, versions in self._pending.items():
            visible = 0
            while visible < len(versions) and versions[visible][0] <= moment:
                visible += 1
            if visible:
                self._table.hold(key, versions[visible - 1][1])
            if visible < len(versions):
                left[key] = versions[visible:]
        self._pending = left
        self._count = sum(len(versions) for versions in left.values())

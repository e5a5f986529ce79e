"""The simulated table: the in-memory table, with replicas that lag, transactions that collide, and watchers."""

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

from simulation.cloud.replica import Replica
from simulation.faults.book import FaultBook
from simulation.intents import intent_of
from simulation.kernel.scheduler import Scheduler, microseconds
from spotproof.leases.attribute_values import Item
from spotproof.leases.memory.table import PAGE_BYTES_MAX, InMemoryTable
from spotproof.leases.memory.transactions import Write

LAG_S_MAX: Final = 8.0
Key = tuple[str, str]
Watcher = Callable[[Key, Item | None, Item, str], None]
Snapshot = tuple[Item, ...]


class SimTable:
    """A DynamoDB client of one table. Calls take no time: the gate adds it.

    Faults: A7 (a read that need not be consistent comes from a replica that lags), A13 (another transaction holds an
    item). Item and page limits are those of the in-memory table.
    """

    def __init__(
        self,
        name: str,
        *,
        scheduler: Scheduler,
        faults: FaultBook,
        rng: random.Random,
        page_bytes_max: int = PAGE_BYTES_MAX,
        lag_s_max: float = LAG_S_MAX,
    ) -> None:
        """`page_bytes_max`: a small one makes queries page (A15). `lag_s_max`: no replica is further behind."""
        self.name = name
        self.watch: list[Watcher] = []  # called at the moment of each effective write: key, old, new, intent
        self._faults = faults
        self._rng = rng
        self._lag_us_max = microseconds(lag_s_max)
        self._scheduler = scheduler
        self._table = InMemoryTable(name, page_bytes_max=page_bytes_max)
        self._table.listeners.append(self._wrote)
        self._replica = Replica(InMemoryTable(name, page_bytes_max=page_bytes_max))
        self._intents: Iterator[str] = iter(())  # of the writes under way, in order

    def get_item(self, **request: Any) -> dict[str, Any]:
        return self._reader("get_item", request).get_item(**request)

    def query(self, **request: Any) -> dict[str, Any]:
        return self._reader("query", request).query(**request)

    def put_item(self, **request: Any) -> dict[str, Any]:
        self._intents = iter((intent_of("dynamodb", "put_item", request),))
        return self._table.put_item(**request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        self._intents = iter((intent_of("dynamodb", "update_item", request),))
        return self._table.update_item(**request)

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        actions = request["TransactItems"]
        self._intents = iter([_intent(action) for action in actions])
        held = self._faults.strikes("A13", "dynamodb.transact_write_items")
        return self._table.transact_write_items(
            conflicts=(self._rng.randrange(len(actions)),) if held else (), **request
        )

    def items(self) -> Iterator[Item]:
        """Everything as it is now, by key: for checkers."""
        return self._table.items()

    def item(self, key: Key) -> Item | None:
        """One item as it is now: for checkers."""
        return self._table.item(key)

    def snapshot(self) -> Snapshot:
        """What a restore to this moment brings back."""
        return tuple(self._table.items())

    def overwrite(self, key: Key, item: Item) -> None:
        """Put an item past all conditions, here and in every replica. No watcher hears of it; the caller knows."""
        self._table.hold(key, item)
        self._replica.follow(key, item, now=self._scheduler.now, lag=0)

    def restore(self, snapshot: Snapshot) -> None:
        """Point-in-time restore (K3): everything since is gone. No watcher hears of it; the caller knows."""
        self._table.replace(snapshot)
        self._replica.replace(snapshot)

    def delete(self) -> None:
        """DeleteTable (K5): from now on every request is refused."""
        self._table = InMemoryTable("none")
        self._replica = Replica(self._table)

    def _reader(self, operation: str, request: dict[str, Any]) -> InMemoryTable:
        """The table, or the replica that this read happens to meet."""
        if request.get("ConsistentRead"):
            return self._table
        site = f"dynamodb.{operation} {intent_of('dynamodb', operation, request)}".rstrip()
        if self._faults.strikes("A7", site):
            return self._replica.at(self._scheduler.now)
        return self._table

    def _wrote(self, write: Write) -> None:
        draw = self._rng.random()
        lag = int(self._lag_us_max * draw * draw)
        self._replica.follow(write.key, write.new, now=self._scheduler.now, lag=lag)
        intent = next(self._intents)
        for watcher in self.watch:
            watcher(write.key, write.old, write.new, intent)


def _intent(action: dict[str, Any]) -> str:
    [(name, request)] = action.items()
    return intent_of("dynamodb", {"Put": "put_item", "Update": "update_item"}.get(name, ""), request)

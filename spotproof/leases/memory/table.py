"""The in-memory table: items, sparse indexes, conditional writes and paged queries, with DynamoDB's refusals."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from spotproof import contract
from spotproof.concurrency import ThreadSpawner
from spotproof.leases.attribute_values import AttributeValue, Item, attribute_bytes, item_bytes
from spotproof.leases.memory.conditions import Scope, condition_of
from spotproof.leases.memory.indexes import Index, Key, Rows
from spotproof.leases.memory.numbers import kept, kept_item
from spotproof.leases.memory.requests import KEY_NAMES, check_request, key_of
from spotproof.leases.memory.transactions import Write, planned_writes
from spotproof.leases.memory.updates import update_of
from spotproof.leases.memory.validation import InvalidExpressionError, refusal

ITEM_BYTES_MAX: Final = 400 * 1024  # "Service, account, and table quotas" of the developer guide
PAGE_BYTES_MAX: Final = 1024 * 1024  # of one query
TRANSACTED: Final = 2  # times the units: every item is prepared and committed


class InMemoryTable:
    """A client of one table that lives in this process. Items are values: nobody may change what it returns.

    Index reads are immediate, which on the service they are not; capacity is unlimited.
    """

    def __init__(
        self,
        name: str,
        *,
        indexes: Iterable[contract.IndexSpec] = contract.TABLE_INDEXES,
        page_bytes_max: int = PAGE_BYTES_MAX,
    ) -> None:
        self.name = name
        self.listeners: list[Callable[[Write], None]] = []  # each hears of every effective write, at its moment
        self._rows = Rows()
        self._indexes = {spec.name: Index(spec) for spec in indexes}
        self._page_bytes_max = page_bytes_max
        self._lock: AbstractContextManager[Any] = ThreadSpawner().lock()

    def get_item(self, **request: Any) -> dict[str, Any]:
        check_request("GetItem", request, self.name)
        key = key_of("GetItem", request["Key"], exact=True)
        with self._lock:
            item, size = self._rows.get(key), self._rows.size_bytes(key)
        units = _read_units(size, consistent=bool(request.get("ConsistentRead")))
        return _answer({"Item": item} if item else {}, units)

    def put_item(self, **request: Any) -> dict[str, Any]:
        with self._lock:
            return _answer({}, self._apply(self._plan("PutItem", request)))

    def update_item(self, **request: Any) -> dict[str, Any]:
        with self._lock:
            write = self._plan("UpdateItem", request)
            units = self._apply(write)
        return _answer({"Attributes": write.new} if request.get("ReturnValues") == "ALL_NEW" else {}, units)

    def transact_write_items(self, *, conflicts: Collection[int] = (), **request: Any) -> dict[str, Any]:
        """Puts and updates, all or none. `conflicts`: positions of items that another transaction holds."""
        with self._lock:
            writes = planned_writes(request, self._plan, conflicts)
            units = sum(self._apply(write) for write in writes)
        return {"ConsumedCapacity": [{"TableName": self.name, "CapacityUnits": TRANSACTED * units}]}

    def query(self, **request: Any) -> dict[str, Any]:
        check_request("Query", request, self.name)
        index = self._index(request)
        with self._lock:
            found = index.matching(self._rows, _scope(request, {}), request["KeyConditionExpression"])
        return self._page(request, index, found)

    def item(self, key: Key) -> Item | None:
        """One item, for onlookers, listeners among them: no request, and no lock."""
        return self._rows.get(key)

    def items(self) -> Iterator[Item]:
        """Everything, by key."""
        with self._lock:
            return iter(self._rows.items())

    def replace(self, items: Iterable[Item]) -> None:
        """Forget everything and hold these items: what a restore does. No listener hears of it."""
        with self._lock:
            self._rows = Rows()
            self._indexes = {name: Index(index.spec) for name, index in self._indexes.items()}
            for item in items:
                self._place(Write(key_of("PutItem", item, exact=False), None, item, item_bytes(item)))

    def hold(self, key: Key, item: Item) -> None:
        """Put an item that another table accepted: what replication does. No listener hears of it."""
        with self._lock:
            self._place(Write(key, self._rows.get(key), item, item_bytes(item)))

    # --- internals -----------------------------------------------------------------------------------------------

    def _plan(self, operation: str, request: Mapping[str, Any]) -> Write:
        """The write as it would be, or its refusal."""
        check_request(operation, request, self.name)
        put = operation == "PutItem"
        key = key_of(operation, request["Item" if put else "Key"], exact=not put)
        old = self._rows.get(key)
        scope = _scope(request, old or {})
        _check_condition(operation, request, old, scope)
        if put:
            new, size = kept_item(request["Item"]), item_bytes(request["Item"])
        elif old is None:
            new, size = _updated(request, scope._replace(item=dict(request["Key"])), item_bytes(request["Key"]))
        else:
            new, size = _updated(request, scope, self._rows.size_bytes(key))
        if size > ITEM_BYTES_MAX:
            raise refusal(operation, "ValidationException", "Item size has exceeded the maximum allowed size")
        for index in self._indexes.values():
            problem = index.problem(new)
            if problem:
                raise refusal(operation, "ValidationException", problem)
        return Write(key, old, new, size)

    def _apply(self, write: Write) -> float:
        """Make the write true; the write units this takes."""
        size = max(write.size_bytes, self._rows.size_bytes(write.key))
        written = self._place(write)
        for listener in self.listeners:
            listener(write)
        return _write_units(size) + written

    def _place(self, write: Write) -> int:
        """Put the item and its index entries; the number of index writes."""
        self._rows.put(write.key, write.new, size_bytes=write.size_bytes)
        return sum([index.move(write.key, write.old, write.new) for index in self._indexes.values()])

    def _index(self, request: Mapping[str, Any]) -> "Index | Rows":
        name = request.get("IndexName")
        if name is None:
            return self._rows
        if name not in self._indexes:
            raise refusal("Query", "ValidationException", f"The table does not have the specified index: {name}")
        if request.get("ConsistentRead"):
            raise refusal("Query", "ValidationException", "Consistent reads are not supported on global indexes")
        return self._indexes[name]

    def _page(self, request: Mapping[str, Any], index: "Index | Rows", found: list[Item]) -> dict[str, Any]:
        start = request.get("ExclusiveStartKey")
        after = index.order_of(start) if start else None
        limit = request.get("Limit", len(found) + 1)
        items: list[Item] = []
        size = 0
        last: Item | None = None
        for item in found:
            if after is not None and index.order_of(item) <= after:
                continue
            if size > self._page_bytes_max or len(items) == limit:
                last = items[-1]
                break
            items.append(index.projected(item))
            size += index.bytes_of(items[-1])
        if last is None and len(items) == limit:
            last = items[-1]  # the service stops at the limit without looking further
        answer: dict[str, Any] = {"Items": items, "Count": len(items)}
        if last is not None:
            answer["LastEvaluatedKey"] = index.start_key(last)
        return _answer(answer, _read_units(size, consistent=bool(request.get("ConsistentRead"))))


def _scope(request: Mapping[str, Any], item: Mapping[str, AttributeValue]) -> Scope:
    return Scope(item, request.get("ExpressionAttributeNames", {}), request.get("ExpressionAttributeValues", {}))


def _check_condition(operation: str, request: Mapping[str, Any], old: Item | None, scope: Scope) -> None:
    text = request.get("ConditionExpression")
    if text is None:
        return
    try:
        holds = condition_of(text)(scope)
    except InvalidExpressionError as error:
        raise refusal(operation, "ValidationException", f"Invalid ConditionExpression: {error}") from None
    if not holds:
        told = old if request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else None
        raise refusal(operation, "ConditionalCheckFailedException", "The conditional request failed", told)


def _updated(request: Mapping[str, Any], scope: Scope, size: int) -> tuple[Item, int]:
    """The item of `scope`, of `size` bytes, after the update, and its new size."""
    try:
        update = update_of(request["UpdateExpression"])
        changed = {scope.names[path] for path in update.paths}
        if not changed.isdisjoint(KEY_NAMES):
            raise InvalidExpressionError(f"can't update attribute {min(changed & KEY_NAMES)}: it is part of the key")
        new = update.apply(scope)
    except InvalidExpressionError as error:
        raise refusal("UpdateItem", "ValidationException", f"Invalid UpdateExpression: {error}") from None
    for name in changed:
        if name in new:
            new[name] = kept(new[name])
        size += attribute_bytes(new, name) - attribute_bytes(scope.item, name)
    return new, size


def _answer(answer: dict[str, Any], units: float) -> dict[str, Any]:
    answer["ConsumedCapacity"] = {"CapacityUnits": units}
    return answer


def _write_units(size: int) -> float:
    return float(max(1, -(-size // 1024)))


def _read_units(size: int, *, consistent: bool) -> float:
    units = float(max(1, -(-size // 4096)))
    return units if consistent else units / 2

"""The table of the model: the product's compiled expressions on items, with units, limits and late indexes.

What a request answers, and the units it takes, equal spotproof.leases.memory.table; a test compares them on random
requests. That table checks more than the model needs at ten million requests, forgets no row, and knows no limits.
"""

import marshal
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any, Final

from bench.scale.lagging_index import Key, LaggingIndex
from bench.scale.limits import (
    PARTITION_READS_PER_S,
    PARTITION_WRITES_PER_S,
    TABLE_READS_PER_S,
    TABLE_WRITES_PER_S,
    Limits,
)
from bench.scale.sizes import item_size, read_units, size_after, write_units
from spotproof import contract
from spotproof.leases.attribute_values import Item
from spotproof.leases.memory.conditions import Scope, condition_of
from spotproof.leases.memory.numbers import kept, kept_item
from spotproof.leases.memory.updates import update_of
from spotproof.leases.memory.validation import refusal
from spotproof.leases.model import ShardState

PAGE_BYTES_MAX: Final = 1024 * 1024  # of one query
THROTTLED: Final = "ProvisionedThroughputExceededException"
_FINAL: Final = ({"S": ShardState.DONE.value}, {"S": ShardState.QUARANTINED.value})
Row = tuple[Item | bytes, int]  # the item, packed once nobody will write it any more, and its size
Watch = Callable[[Item | None, Item], None]


class ScaleTable:
    """Serves the store's four requests at the moment `now` says; every write is shown to `watch`."""

    def __init__(
        self, *, name: str, now: Callable[[], float], lag_s: Callable[[], float], watch: Watch, limited: bool = True
    ) -> None:
        self.name = name
        self._now = now
        self._watch = watch
        self._partitions: dict[str, dict[str, Row]] = {}
        self._sorted: dict[str, list[str]] = {}  # sort keys of a partition, until it gets another item
        self._indexes = {spec.name: LaggingIndex(spec, lag_s) for spec in contract.TABLE_INDEXES}
        unlimited = 1.0 if limited else float("inf")
        self.writes = Limits(PARTITION_WRITES_PER_S * unlimited, TABLE_WRITES_PER_S * unlimited)
        self.reads = Limits(PARTITION_READS_PER_S * unlimited, TABLE_READS_PER_S * unlimited)

    def get_item(self, **request: Any) -> dict[str, Any]:
        pk, sk = _key(request["Key"])
        item, size = self._row(pk, sk)
        units = read_units(size, consistent=bool(request.get("ConsistentRead")))
        self._read("GetItem", pk, units)
        return _answer({"Item": item} if item else {}, units)

    def put_item(self, **request: Any) -> dict[str, Any]:
        key = _key(request["Item"])
        old, old_size = self._row(*key)
        self._check("PutItem", request, key, old, old_size)
        new = kept_item(request["Item"])
        return _answer({}, self._store("PutItem", key, (old, old_size), (new, item_size(new))))

    def update_item(self, **request: Any) -> dict[str, Any]:
        key = _key(request["Key"])
        old, old_size = self._row(*key)
        self._check("UpdateItem", request, key, old, old_size)
        scope = _scope(request, request["Key"] if old is None else old)
        update = update_of(request["UpdateExpression"])
        new = update.apply(scope)
        changed = [request["ExpressionAttributeNames"][path] for path in update.paths]
        for name in changed:
            if name in new:
                new[name] = kept(new[name])
        size = item_size(new) if old is None else size_after(old_size, old, new, changed)
        units = self._store("UpdateItem", key, (old, old_size), (new, size))
        return _answer({"Attributes": new}, units)

    def query(self, **request: Any) -> dict[str, Any]:
        if "IndexName" in request:
            return self._query_index(request, self._indexes[request["IndexName"]])
        return self._query_rows(request)

    def count_rows(self) -> int:
        return sum(len(rows) for rows in self._partitions.values())

    # --- writes ------------------------------------------------------------------------------------------------

    def _check(self, operation: str, request: Mapping[str, Any], key: Key, old: Item | None, old_size: int) -> None:
        now = self._now()
        if not self.writes.admits(now, key[0]):
            raise refusal(operation, THROTTLED, "too many writes to one partition")
        if not condition_of(request["ConditionExpression"])(_scope(request, old or {})):
            self.writes.take(now, key[0], write_units(old_size))
            raise refusal(operation, "ConditionalCheckFailedException", "The conditional request failed", old)

    def _store(self, operation: str, key: Key, before: tuple[Item | None, int], after: tuple[Item, int]) -> float:
        now = self._now()
        (old, old_size), (new, size) = before, after
        changes = [
            (index, was, will, index.writes(was, will))
            for index in self._indexes.values()
            if index.spec.partition_key in new or (old is not None and index.spec.partition_key in old)
            for was, will in ((index.projected(old), index.projected(new)),)
        ]
        touched = [(index.partition_of(was, will), count) for index, was, will, count in changes if count]
        if touched and not self.writes.admits(now, *(name for name, _ in touched)):
            raise refusal(operation, THROTTLED, "too many writes to one partition of an index")
        units = write_units(max(size, old_size))
        self.writes.take(now, key[0], units)
        for name, count in touched:
            self.writes.take(now, name, count)
            units += count
        for index, _was, will, count in changes:
            if count:
                index.follow(key, will, now)
        self._put(key, new, size)
        self._watch(old, new)
        return units

    def _put(self, key: Key, item: Item, size: int) -> None:
        rows = self._partitions.setdefault(key[0], {})
        if key[1] not in rows:
            self._sorted.pop(key[0], None)
        rows[key[1]] = (marshal.dumps(item) if item.get("shard_state") in _FINAL else item, size)

    # --- reads -------------------------------------------------------------------------------------------------

    def _row(self, pk: str, sk: str) -> tuple[Item | None, int]:
        row = self._partitions.get(pk, {}).get(sk)
        if row is None:
            return None, 0
        return _item(row), row[1]

    def _query_rows(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Pages of one partition; the product's queries of the table ask for whole partitions only."""
        [value] = request["ExpressionAttributeValues"].values()
        pk = value["S"]
        rows = self._partitions.get(pk, {})
        if pk not in self._sorted:
            self._sorted[pk] = sorted(rows)
        names = self._sorted[pk]
        start = request.get("ExclusiveStartKey")
        first = bisect_right(names, start[contract.SORT_KEY]["S"]) if start else 0
        size, last = 0, first
        while last < len(names) and size <= PAGE_BYTES_MAX:
            size += rows[names[last]][1]
            last += 1
        units = read_units(size, consistent=bool(request.get("ConsistentRead")))
        self._read("Query", pk, units)
        items = [_item(rows[name]) for name in names[first:last]]
        answer: dict[str, Any] = {"Items": items, "Count": len(items)}
        if last < len(names):
            answer["LastEvaluatedKey"] = {name: items[-1][name] for name in (contract.PARTITION_KEY, contract.SORT_KEY)}
        return _answer(answer, units) | {"Bytes": size}

    def _query_index(self, request: Mapping[str, Any], index: LaggingIndex) -> dict[str, Any]:
        """One page; it holds far less than a page's limit unless the query sets a smaller one."""
        text = request["KeyConditionExpression"]
        condition = condition_of(text)
        values = request["ExpressionAttributeValues"]
        partition = values[text.partition(" = ")[2].partition(" AND ")[0]]["S"]
        start = request.get("ExclusiveStartKey")
        after = index.order_of(start) if start else None
        limit = request.get("Limit", 1 << 30)
        items: list[Item] = []
        more = False
        for entry in index.entries(partition, self._now()):
            if after is not None and index.order_of(entry) <= after:
                continue
            if not condition(_scope(request, entry)):
                break  # entries are ordered by what the condition bounds from above
            if len(items) == limit:
                more = True
                break
            items.append(entry)
        size = sum(map(item_size, items))
        units = read_units(size, consistent=False)
        self._read("Query", f"{index.spec.name} {partition}", units)
        answer: dict[str, Any] = {"Items": items, "Count": len(items)}
        if more or len(items) == limit:
            answer["LastEvaluatedKey"] = index.start_key(items[-1])
        return _answer(answer, units)

    def _read(self, operation: str, partition: str, units: float) -> None:
        now = self._now()
        if not self.reads.admits(now, partition):
            raise refusal(operation, THROTTLED, "too many reads of one partition")
        self.reads.take(now, partition, units)


def _item(row: Row) -> Item:
    content = row[0]
    return marshal.loads(content) if isinstance(content, bytes) else content


def _key(item: Mapping[str, Any]) -> Key:
    return item[contract.PARTITION_KEY]["S"], item[contract.SORT_KEY]["S"]


def _scope(request: Mapping[str, Any], item: Mapping[str, Any]) -> Scope:
    return Scope(
        item=item,
        names=request.get("ExpressionAttributeNames", {}),
        values=request.get("ExpressionAttributeValues", {}),
    )


def _answer(answer: dict[str, Any], units: float) -> dict[str, Any]:
    return answer | {"ConsumedCapacity": {"CapacityUnits": units}}

"""The in-memory table: items, sparse indexes, conditional writes and paged queries, with DynamoDB's refusals."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any, Final

from spotproof import contract
from spotproof.concurrency import ThreadSpawner
from spotproof.leases.attribute_values import AttributeValue, Item, item_bytes
from spotproof.leases.expressions import names_in, placeholders_in
from spotproof.leases.memory.conditions import Scope, condition_of
from spotproof.leases.memory.indexes import Index, Rows
from spotproof.leases.memory.updates import update_of
from spotproof.leases.memory.validation import InvalidExpressionError, refusal

ITEM_BYTES_MAX: Final = 400 * 1024  # "Service, account, and table quotas" of the developer guide
PAGE_BYTES_MAX: Final = 1024 * 1024  # of one query
_WRITE: Final = frozenset({"ConditionExpression", "ReturnValuesOnConditionCheckFailure", "ReturnConsumedCapacity"})
_EXPRESSION: Final = frozenset({"ExpressionAttributeNames", "ExpressionAttributeValues"})
_ALLOWED: Final = {
    "GetItem": frozenset({"TableName", "Key", "ConsistentRead", "ReturnConsumedCapacity"}),
    "PutItem": frozenset({"TableName", "Item"}) | _WRITE | _EXPRESSION,
    "UpdateItem": frozenset({"TableName", "Key", "UpdateExpression", "ReturnValues"}) | _WRITE | _EXPRESSION,
    "Query": frozenset(
        {"TableName", "IndexName", "KeyConditionExpression", "ConsistentRead", "Limit", "ExclusiveStartKey"}
    )
    | {"ReturnConsumedCapacity"}
    | _EXPRESSION,
}


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
        self._rows = Rows()
        self._indexes = {spec.name: Index(spec) for spec in indexes}
        self._page_bytes_max = page_bytes_max
        self._lock: AbstractContextManager[Any] = ThreadSpawner().lock()

    def get_item(self, **request: Any) -> dict[str, Any]:
        self._check("GetItem", request)
        key = _key("GetItem", request["Key"], exact=True)
        with self._lock:
            item = self._rows.get(key)
        units = _read_units(item_bytes(item) if item else 0, consistent=bool(request.get("ConsistentRead")))
        return _answer({"Item": item} if item else {}, units)

    def put_item(self, **request: Any) -> dict[str, Any]:
        self._check("PutItem", request)
        key = _key("PutItem", request["Item"], exact=False)
        with self._lock:
            old = self._rows.get(key)
            self._check_condition("PutItem", request, old)
            return _answer({}, self._store("PutItem", key, old, request["Item"]))

    def update_item(self, **request: Any) -> dict[str, Any]:
        self._check("UpdateItem", request)
        key = _key("UpdateItem", request["Key"], exact=True)
        with self._lock:
            old = self._rows.get(key)
            self._check_condition("UpdateItem", request, old)
            new = self._updated(request, old)
            units = self._store("UpdateItem", key, old, new)
        return _answer({"Attributes": new} if request.get("ReturnValues") == "ALL_NEW" else {}, units)

    def query(self, **request: Any) -> dict[str, Any]:
        self._check("Query", request)
        index = self._index(request)
        with self._lock:
            found = index.matching(self._rows, self._scope(request, {}), request["KeyConditionExpression"])
        return self._page(request, index, found)

    # --- internals -----------------------------------------------------------------------------------------------

    def _check(self, operation: str, request: Mapping[str, Any]) -> None:
        unknown = request.keys() - _ALLOWED[operation]
        if unknown:
            raise refusal(operation, "ValidationException", f"unknown parameters {sorted(unknown)}")
        if request.get("TableName") != self.name:
            raise refusal(operation, "ResourceNotFoundException", "Requested resource not found")
        texts = [str(request[name]) for name in request if name.endswith("Expression")]
        self._check_placeholders(operation, request, texts)

    def _check_placeholders(self, operation: str, request: Mapping[str, Any], texts: list[str]) -> None:
        for given, used in (
            (request.get("ExpressionAttributeNames", {}), names_in(*texts)),
            (request.get("ExpressionAttributeValues", {}), placeholders_in(*texts)),
        ):
            if set(given) != set(used):
                odd = sorted(set(given) ^ set(used))
                raise refusal(operation, "ValidationException", f"placeholders unused or undefined: {odd}")

    def _scope(self, request: Mapping[str, Any], item: Mapping[str, AttributeValue]) -> Scope:
        return Scope(
            item=item,
            names=request.get("ExpressionAttributeNames", {}),
            values=request.get("ExpressionAttributeValues", {}),
        )

    def _check_condition(self, operation: str, request: Mapping[str, Any], old: Item | None) -> None:
        text = request.get("ConditionExpression")
        if text is None:
            return
        try:
            holds = condition_of(text)(self._scope(request, old or {}))
        except InvalidExpressionError as error:
            raise refusal(operation, "ValidationException", f"Invalid ConditionExpression: {error}") from None
        if not holds:
            told = old if request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" else None
            raise refusal(operation, "ConditionalCheckFailedException", "The conditional request failed", told)

    def _updated(self, request: Mapping[str, Any], old: Item | None) -> Item:
        try:
            update = update_of(request["UpdateExpression"])
            names = request.get("ExpressionAttributeNames", {})
            for path in update.paths():
                if names[path] in (contract.PARTITION_KEY, contract.SORT_KEY):
                    raise InvalidExpressionError(f"can't update attribute {names[path]}: it is part of the key")
            return update.apply(self._scope(request, dict(request["Key"]) if old is None else old))
        except InvalidExpressionError as error:
            raise refusal("UpdateItem", "ValidationException", f"Invalid UpdateExpression: {error}") from None

    def _store(self, operation: str, key: tuple[str, str], old: Item | None, new: Item) -> float:
        """Put the item and its index entries; the write units this takes."""
        size = item_bytes(new)
        if size > ITEM_BYTES_MAX:
            raise refusal(operation, "ValidationException", "Item size has exceeded the maximum allowed size")
        for index in self._indexes.values():
            problem = index.problem(new)
            if problem:
                raise refusal(operation, "ValidationException", problem)
        self._rows.put(key, new)
        written = sum(index.move(key, old, new) for index in self._indexes.values())
        return _write_units(max(size, item_bytes(old) if old else 0)) + written

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
            size += item_bytes(items[-1])
        if last is None and len(items) == limit:
            last = items[-1]  # the service stops at the limit without looking further
        answer: dict[str, Any] = {"Items": items, "Count": len(items)}
        if last is not None:
            answer["LastEvaluatedKey"] = index.start_key(last)
        return _answer(answer, _read_units(size, consistent=bool(request.get("ConsistentRead"))))


def _key(operation: str, item: Mapping[str, AttributeValue], *, exact: bool) -> tuple[str, str]:
    parts = []
    for name in (contract.PARTITION_KEY, contract.SORT_KEY):
        value = item.get(name, {}).get("S")
        if not value:
            raise refusal(operation, "ValidationException", f"key attribute {name} must be a non-empty string")
        parts.append(value)
    if exact and len(item) != len(parts):
        raise refusal(operation, "ValidationException", "The provided key element does not match the schema")
    return parts[0], parts[1]


def _answer(answer: dict[str, Any], units: float) -> dict[str, Any]:
    return answer | {"ConsumedCapacity": {"CapacityUnits": units}}


def _write_units(size: int) -> float:
    return float(max(1, -(-size // 1024)))


def _read_units(size: int, *, consistent: bool) -> float:
    units = Decimal(max(1, -(-size // 4096)))
    return float(units if consistent else units / 2)

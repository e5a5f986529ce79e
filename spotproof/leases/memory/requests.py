"""Which requests the service accepts before it looks at an item."""

from collections.abc import Mapping
from typing import Any, Final

from spotproof import contract
from spotproof.leases.attribute_values import AttributeValue
from spotproof.leases.expressions import name_placeholders_in, placeholders_in
from spotproof.leases.memory.validation import refusal

KEY_NAMES: Final = frozenset({contract.PARTITION_KEY, contract.SORT_KEY})
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
_TEXTS: Final = ("ConditionExpression", "UpdateExpression", "KeyConditionExpression")


def check_request(operation: str, request: Mapping[str, Any], table: str) -> None:
    """Raises ClientError for parameters, tables and placeholders that the service would refuse."""
    if not _ALLOWED[operation].issuperset(request):
        unknown = sorted(request.keys() - _ALLOWED[operation])
        raise refusal(operation, "ValidationException", f"unknown parameters {unknown}")
    if request.get("TableName") != table:
        raise refusal(operation, "ResourceNotFoundException", "Requested resource not found")
    texts = [request[name] for name in _TEXTS if name in request]
    _check_placeholders(operation, request.get("ExpressionAttributeNames", {}), name_placeholders_in(*texts))
    _check_placeholders(operation, request.get("ExpressionAttributeValues", {}), placeholders_in(*texts))


def _check_placeholders(operation: str, given: Mapping[str, Any], used: frozenset[str]) -> None:
    if given.keys() != used:
        odd = sorted(given.keys() ^ used)
        raise refusal(operation, "ValidationException", f"placeholders unused or undefined: {odd}")


def key_of(operation: str, item: Mapping[str, AttributeValue], *, exact: bool) -> tuple[str, str]:
    """Partition and sort key; `exact`: the item is a key and nothing else. Raises ClientError for another shape."""
    partition = _key_part(operation, item, contract.PARTITION_KEY)
    sort = _key_part(operation, item, contract.SORT_KEY)
    if exact and len(item) != len(KEY_NAMES):
        raise refusal(operation, "ValidationException", "The provided key element does not match the schema")
    return partition, sort


def _key_part(operation: str, item: Mapping[str, AttributeValue], name: str) -> str:
    value = item.get(name)
    part: str | None = None if value is None else value.get("S")
    if not part:
        raise refusal(operation, "ValidationException", f"key attribute {name} must be a non-empty string")
    return part

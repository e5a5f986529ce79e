"""The table behind the lease store: conditional writes, strongly consistent reads, paged queries; requests counted."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from spotproof.leases.attribute_values import Item, Plain, to_attribute_value
from spotproof.leases.expressions import CONSTANTS, CREATE, Selection, Statement
from spotproof.retries import Retrier, as_aws_error, error_code

CONDITION_FAILED: Final = "ConditionalCheckFailedException"


class TableClient(Protocol):
    """The four requests the store makes; botocore's DynamoDB client and the in-memory table have them."""

    @property
    def get_item(self) -> Callable[..., Any]: ...

    @property
    def put_item(self) -> Callable[..., Any]: ...

    @property
    def update_item(self) -> Callable[..., Any]: ...

    @property
    def query(self) -> Callable[..., Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The write took effect; `item` is the new item of an update."""

    item: Item


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The condition failed on `old` (None: no such item). `repeated`: an earlier try of this write may have worked."""

    old: Item | None
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a store has asked of the table so far; units as the service reports them (refused writes it does not)."""

    requests: int
    refused: int
    write_units: float
    read_units: float


@dataclass
class UsageMeter:
    """Adds up requests and units; shared by the threads of a worker."""

    lock: AbstractContextManager[Any]
    requests: int = 0
    refused: int = 0
    units: dict[bool, float] = field(default_factory=lambda: {True: 0.0, False: 0.0})

    def count(self, answer: Mapping[str, Any], *, write: bool) -> None:
        with self.lock:
            self.requests += 1
            self.units[write] += float((answer.get("ConsumedCapacity") or {}).get("CapacityUnits", 0.0))

    def count_refusal(self) -> None:
        with self.lock:
            self.requests += 1
            self.refused += 1

    def usage(self) -> Usage:
        with self.lock:
            return Usage(
                requests=self.requests,
                refused=self.refused,
                write_units=self.units[True],
                read_units=self.units[False],
            )


class Table:
    """One DynamoDB table, or what behaves like it."""

    def __init__(self, *, client: TableClient, name: str, retrier: Retrier, meter: UsageMeter) -> None:
        self.name = name
        self.meter = meter
        self._client = client
        self._retrier = retrier

    def put(self, item: Item, *, what: str) -> Applied | Refused:
        """Put the item if there is none with its key."""
        parameters = {"Item": item, "ConditionExpression": CREATE.condition, "ExpressionAttributeNames": CREATE.names}
        outcome = self._write(f"create {what}", self._client.put_item, parameters)
        return Applied(item=item) if isinstance(outcome, Applied) else outcome

    def update(self, statement: Statement, key: Item, values: Mapping[str, Plain]) -> Applied | Refused:
        """Apply the statement to the item; its own refusal tells the stored item."""
        parameters = {
            "Key": key,
            "ConditionExpression": statement.condition,
            "UpdateExpression": statement.update,
            "ExpressionAttributeNames": statement.names,
            "ExpressionAttributeValues": _values(statement, values),
            "ReturnValues": "ALL_NEW",
        }
        return self._write(statement.name, self._client.update_item, parameters)

    def get(self, key: Item, *, what: str) -> Item | None:
        """The item, strongly consistent."""
        answer = self._call(f"read {what}", self._client.get_item, {"Key": key, "ConsistentRead": True})
        self.meter.count(answer, write=False)
        item: Item | None = answer.get("Item")
        return item

    def query(
        self,
        selection: Selection,
        values: Mapping[str, Plain],
        *,
        consistent: bool = False,
        limit: int | None = None,
    ) -> Iterator[Item]:
        """Items page by page in sort key order, at most `limit`."""
        parameters: dict[str, Any] = {
            "KeyConditionExpression": selection.key,
            "ExpressionAttributeNames": selection.names,
            "ExpressionAttributeValues": _values(selection, values),
        }
        if selection.index is not None:
            parameters["IndexName"] = selection.index
        if consistent:
            parameters["ConsistentRead"] = True
        left = limit
        while left is None or left > 0:
            if left is not None:
                parameters["Limit"] = left
            answer = self._call(f"query {selection.name}", self._client.query, parameters)
            self.meter.count(answer, write=False)
            yield from answer["Items"]
            if left is not None:
                left -= len(answer["Items"])
            if "LastEvaluatedKey" not in answer:
                return
            parameters["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _write(self, doing: str, request: Callable[..., Any], parameters: dict[str, Any]) -> Applied | Refused:
        tries = 0

        def once(**sent: Any) -> Any:
            nonlocal tries
            tries += 1
            return request(**sent)

        try:
            answer = self._call(doing, once, parameters | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"})
        except ConditionFailedError as failed:
            self.meter.count_refusal()
            return Refused(old=failed.old, repeated=tries > 1)
        self.meter.count(answer, write=True)
        return Applied(item=answer.get("Attributes", {}))

    def _call(self, doing: str, request: Callable[..., Any], parameters: dict[str, Any]) -> Any:
        try:
            return self._retrier.call(
                f"{doing} in table {self.name}",
                request,
                TableName=self.name,
                ReturnConsumedCapacity="TOTAL",
                **parameters,
            )
        except ClientError as error:
            if error_code(error) == CONDITION_FAILED:
                old: Any = error.response.get("Item")
                raise ConditionFailedError(old or None) from None
            raise as_aws_error(error, doing=f"{doing} in table {self.name}") from error


class ConditionFailedError(Exception):
    """The stored item (None: there is none) did not satisfy a write's condition; never leaves this module."""

    def __init__(self, old: Item | None) -> None:
        super().__init__()
        self.old = old


def _values(expression: Statement | Selection, values: Mapping[str, Plain]) -> Item:
    """Exactly the values the expression uses: the caller's and the constants.

    Raises:
        KeyError: the caller left one out.
    """
    placeholders = expression.placeholders
    assert values.keys() <= placeholders, f"{expression.name}: {values.keys() - placeholders}"
    given = _constants(placeholders) | {name: to_attribute_value(value) for name, value in values.items()}
    if len(given) < len(placeholders):
        raise KeyError(f"{expression.name}: {sorted(placeholders - given.keys())}")
    return given


@cache
def _constants(placeholders: frozenset[str]) -> Item:
    return {name: to_attribute_value(CONSTANTS[name]) for name in sorted(placeholders & CONSTANTS.keys())}

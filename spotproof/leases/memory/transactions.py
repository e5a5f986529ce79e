"""Transactions: every write holds its condition, or none takes effect."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

from botocore.exceptions import ClientError

from spotproof.leases.attribute_values import Item
from spotproof.leases.memory.indexes import Key
from spotproof.leases.memory.requests import key_of
from spotproof.leases.memory.validation import refusal

ACTIONS_MAX: Final = 100  # "TransactWriteItems" of the API reference
_OPERATION: Final = "TransactWriteItems"
_ACTIONS: Final = {"Put": ("PutItem", "Item"), "Update": ("UpdateItem", "Key")}
_CONDITION_FAILED: Final = "ConditionalCheckFailedException"


class Write(NamedTuple):
    """A write whose condition holds: the item before (None: there is none) and after."""

    key: Key
    old: Item | None
    new: Item
    size_bytes: int  # of the new item


def planned_writes(
    request: Mapping[str, Any], plan: Callable[[str, Mapping[str, Any]], Write], conflicts: Collection[int] = ()
) -> list[Write]:
    """All writes of a transaction. `plan` gives the write of one action or raises its refusal.

    Args:
        conflicts: positions of actions whose item another transaction holds right now.

    Raises:
        ClientError: TransactionCanceledException with a reason for every action, or ValidationException.
    """
    if set(request) - {"TransactItems", "ReturnConsumedCapacity"}:
        raise refusal(_OPERATION, "ValidationException", f"unknown parameters in {sorted(request)}")
    actions = [_action(entry) for entry in request["TransactItems"]]
    if not 0 < len(actions) <= ACTIONS_MAX:
        raise refusal(_OPERATION, "ValidationException", f"a transaction has 1 to {ACTIONS_MAX} actions")
    keys = {key_of(operation, parameters[part], exact=part == "Key") for operation, part, parameters in actions}
    if len(keys) != len(actions):
        raise refusal(_OPERATION, "ValidationException", "a transaction cannot have several operations on one item")
    writes: list[Write] = []
    reasons: list[dict[str, Any]] = []
    for position, (operation, _, parameters) in enumerate(actions):
        try:
            writes.append(plan(operation, parameters))
            reasons.append(_conflict() if position in conflicts else {"Code": "None"})
        except ClientError as error:
            reasons.append(_reason(error))
    if any(reason["Code"] != "None" for reason in reasons):
        raise _cancelled(reasons)
    return writes


def _action(entry: Mapping[str, Any]) -> tuple[str, str, Mapping[str, Any]]:
    """The operation, the name of the parameter that tells the item, and the parameters."""
    [(name, parameters)] = entry.items()
    if name not in _ACTIONS:
        raise refusal(_OPERATION, "ValidationException", f"action {name} is outside our subset")
    return *_ACTIONS[name], parameters


def _reason(error: ClientError) -> dict[str, Any]:
    """The reason of one action; raises what refuses the whole request."""
    if error.response["Error"]["Code"] != _CONDITION_FAILED:
        raise error
    reason = {"Code": "ConditionalCheckFailed", "Message": error.response["Error"]["Message"]}
    old: Any = error.response.get("Item")
    return reason if old is None else reason | {"Item": old}


def _conflict() -> dict[str, Any]:
    return {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}


def _cancelled(reasons: list[dict[str, Any]]) -> ClientError:
    codes = ", ".join(str(reason["Code"]) for reason in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    error = refusal(_OPERATION, "TransactionCanceledException", message)
    response: Any = error.response
    response["CancellationReasons"] = reasons
    return error

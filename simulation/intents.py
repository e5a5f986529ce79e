"""What a call is for, in the protocol's words: read from the statement's text or the object's key."""

from typing import Any, Final

from spotproof import contract
from spotproof.leases import expressions
from spotproof.leases.expressions import Selection, Statement

_STATEMENTS: Final = {
    (value.condition, value.update): value.name
    for value in vars(expressions).values()
    if isinstance(value, Statement) and value.update
}
_SELECTIONS: Final = {
    (value.index, value.key): value.name for value in vars(expressions).values() if isinstance(value, Selection)
}
_FOLDERS: Final = (
    (contract.CHECKPOINTS_PREFIX, "checkpoint"),
    (contract.STAGING_PREFIX, "staging"),
    (contract.CONTROL_PREFIX, "stop file"),
    (contract.RUNS_PREFIX, "plan"),
)


def intent_of(service: str, operation: str, parameters: dict[str, Any]) -> str:
    """A short stable name; empty where the operation says it all."""
    if service == "dynamodb":
        return _table_intent(operation, parameters)
    if service == "s3":
        return _object_intent(parameters)
    return ""


def _table_intent(operation: str, parameters: dict[str, Any]) -> str:
    if operation == "update_item":
        key = (parameters.get("ConditionExpression", ""), parameters.get("UpdateExpression", ""))
        return _STATEMENTS.get(key, "top-up")
    if operation == "query":
        return _SELECTIONS.get((parameters.get("IndexName"), parameters["KeyConditionExpression"]), "")
    if operation in ("put_item", "get_item"):
        item = parameters["Item"] if operation == "put_item" else parameters["Key"]
        return _kind_of(item["pk"]["S"], item["sk"]["S"])
    return ""


def _kind_of(partition: str, sort: str) -> str:
    if sort == contract.RUN_SK:
        return "run"
    if sort.startswith(contract.SHARD_SK_PREFIX):
        return "shard"
    if "#SESSIONS#" in partition:
        return "session"
    if partition.endswith("#HISTORY"):
        return "history"
    return "top-up"


def _object_intent(parameters: dict[str, Any]) -> str:
    key = str(parameters.get("Key") or parameters.get("Prefix") or "")
    if not key and "Delete" in parameters:
        key = str(parameters["Delete"]["Objects"][0]["Key"])
    for folder, name in _FOLDERS:
        if key.startswith(folder):
            return name
    if key.endswith(contract.SUCCESS_NAME):
        return "_SUCCESS"
    return "data"

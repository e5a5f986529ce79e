"""Request parameters of AWS Batch, checked against botocore's own model."""

import functools
import re
from collections.abc import Mapping
from typing import Any

import botocore.session
import botocore.validate
from botocore.model import OperationModel, ServiceModel, Shape

RETRY_ATTEMPTS_MAX = 10
EVALUATE_ON_EXIT_MAX = 5
ARRAY_SIZE_MIN, ARRAY_SIZE_MAX = 2, 10_000
TIMEOUT_MIN_S = 60
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_STATUS_PATTERN = re.compile(r"[A-Za-z0-9.:\s]{0,511}\*?")
_CODE_PATTERN = re.compile(r"[0-9]{0,511}\*?")


class ClientException(Exception):  # noqa: N818 - the name Batch itself uses
    """The request is wrong; Batch answers 400 with this text."""


@functools.cache
def service_model() -> ServiceModel:
    """botocore's model of AWS Batch."""
    return botocore.session.get_session().get_service_model("batch")


@functools.cache
def operations_by_path() -> Mapping[tuple[str, str], str]:
    """Operation name by HTTP method and path."""
    model = service_model()
    names = {name: model.operation_model(name).http for name in model.operation_names}
    return {(http["method"], http["requestUri"].lower()): name for name, http in names.items()}


def checked(operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` with CloudFormation's strings cast to the API's types.

    Raises:
        ClientException: unknown, missing or wrongly typed parameters, all named in one message.
    """
    model: OperationModel = service_model().operation_model(operation)
    shape = model.input_shape
    if shape is None:
        return {}
    parameters: dict[str, Any] = _cast(dict(given), shape)
    report = botocore.validate.ParamValidator().validate(parameters, shape)
    if report.has_errors():
        problems = "; ".join(report.generate_report().splitlines())
        raise ClientException(f"Error executing request, Exception : {problems}")
    return parameters


def require_name(name: str, what: str) -> str:
    """`name`, if Batch would accept it.

    Raises:
        ClientException: otherwise.
    """
    if not _NAME.fullmatch(name):
        raise ClientException(
            f"{what} {name!r} must start with a letter or digit and hold 1-128 letters, digits, '-' or '_'"
        )
    return name


def require_retry_strategy(strategy: Mapping[str, Any] | None) -> None:
    """Refuse a retry strategy that Batch would refuse.

    Raises:
        ClientException: attempts out of range, too many or malformed conditions.
    """
    if not strategy:
        return
    attempts, conditions = strategy.get("attempts"), strategy.get("evaluateOnExit") or []
    if attempts is not None and not 1 <= attempts <= RETRY_ATTEMPTS_MAX:
        raise ClientException(f"retryStrategy.attempts must be between 1 and {RETRY_ATTEMPTS_MAX}, got {attempts}")
    if conditions and attempts is None:
        raise ClientException("retryStrategy.attempts is required when evaluateOnExit is given")
    if len(conditions) > EVALUATE_ON_EXIT_MAX:
        raise ClientException(f"evaluateOnExit holds at most {EVALUATE_ON_EXIT_MAX} conditions, got {len(conditions)}")
    for condition in conditions:
        _require_condition(condition)


def _require_condition(condition: Mapping[str, Any]) -> None:
    if str(condition["action"]).upper() not in ("RETRY", "EXIT"):
        raise ClientException(f"evaluateOnExit.action must be RETRY or EXIT, got {condition['action']!r}")
    patterns = (("onStatusReason", _STATUS_PATTERN), ("onReason", _STATUS_PATTERN), ("onExitCode", _CODE_PATTERN))
    for field, pattern in patterns:
        if field in condition and not pattern.fullmatch(condition[field]):
            raise ClientException(f"evaluateOnExit.{field} {condition[field]!r} doesn't match {pattern.pattern}")


def require_timeout(timeout: Mapping[str, Any] | None) -> None:
    """Refuse a timeout below Batch's minimum.

    Raises:
        ClientException: if it is.
    """
    seconds = (timeout or {}).get("attemptDurationSeconds")
    if seconds is not None and seconds < TIMEOUT_MIN_S:
        raise ClientException(f"timeout.attemptDurationSeconds must be at least {TIMEOUT_MIN_S}, got {seconds}")


def _cast(value: Any, shape: Shape) -> Any:
    match shape.type_name:
        case "structure" if isinstance(value, dict):
            members = shape.members  # type: ignore[attr-defined]
            return {
                key: _cast(item, members[key]) if key in members else item
                for key, item in value.items()
                if item is not None
            }
        case "list" if isinstance(value, list):
            return [_cast(item, shape.member) for item in value]  # type: ignore[attr-defined]
        case "map" if isinstance(value, dict):
            return {key: _cast(item, shape.value) for key, item in value.items()}  # type: ignore[attr-defined]
        case _:
            return _cast_scalar(value, shape.type_name)


def _cast_scalar(value: Any, kind: str) -> Any:
    if isinstance(value, str):
        if kind in ("integer", "long") and re.fullmatch(r"-?\d+(\.0+)?", value):
            return int(float(value))
        if kind in ("float", "double") and re.fullmatch(r"-?\d+(\.\d+)?", value):
            return float(value)
        if kind == "boolean" and value.lower() in ("true", "false"):
            return value.lower() == "true"
    if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return value

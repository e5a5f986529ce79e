"""Refusals of the in-memory table, in the form botocore gives them."""

from typing import Any

from botocore.exceptions import ClientError

from spotproof.leases.attribute_values import Item


def refusal(operation: str, code: str, message: str, item: Item | None = None) -> ClientError:
    """The error that the service would answer with."""
    response: dict[str, Any] = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    if item is not None:
        response["Item"] = item
    return ClientError(response, operation)  # type: ignore[arg-type]


class InvalidExpressionError(Exception):
    """An expression the service would refuse, or one outside the subset the protocol uses."""

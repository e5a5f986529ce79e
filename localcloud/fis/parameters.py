"""Requests to the Fault Injection Service, found and checked in botocore's own model."""

import functools
import re
from collections.abc import Mapping
from typing import Any

import botocore.session
import botocore.validate
from botocore.model import ServiceModel

_NUMBERS = ("maxResults", "logSchemaVersion")


class FisError(Exception):
    """The request is refused; `code` is FIS's name for why."""

    def __init__(self, text: str, *, code: str = "ValidationException", status: int = 400) -> None:
        super().__init__(text)
        self.code = code
        self.status = status


def not_found(what: str, resource_id: str) -> FisError:
    """What FIS answers about an id that it doesn't know."""
    return FisError(f"{what} {resource_id} does not exist.", code="ResourceNotFoundException", status=404)


@functools.cache
def service_model() -> ServiceModel:
    """botocore's model of FIS."""
    return botocore.session.get_session().get_service_model("fis")


def find_operation(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """The operation that a request means, with the parameters in its path."""
    for name, wanted, pattern in _routes():
        found = pattern.fullmatch(path)
        if wanted == method and found is not None:
            return name, found.groupdict()
    return None


@functools.cache
def _routes() -> tuple[tuple[str, str, re.Pattern[str]], ...]:
    routes = []
    for name in service_model().operation_names:
        http = service_model().operation_model(name).http
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", http["requestUri"])
        if pattern.startswith("/tags/"):
            pattern = "/tags/(?P<resourceArn>.+)"  # holds a slash
        routes.append((name, http["method"], re.compile(pattern)))
    return tuple(routes)


def checked(operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, if FIS would take it; numbers that came as text are numbers.

    Raises:
        FisError: unknown, missing or wrongly typed parameters, all named in one message.
    """
    shape = service_model().operation_model(operation).input_shape
    parameters = {name: int(value) if name in _NUMBERS else value for name, value in given.items()}
    if shape is None:
        return parameters
    members = {name: member.serialization.get("name", name) for name, member in shape.members.items()}
    by_location = {location: name for name, location in members.items()}
    parameters = {by_location.get(name, name): value for name, value in parameters.items()}
    if "clientToken" in members:
        parameters.setdefault("clientToken", "none")  # the command line tools make one up
    report = botocore.validate.ParamValidator().validate(parameters, shape)
    unknown = sorted(parameters.keys() - members.keys())
    if report.has_errors() or unknown:
        problems = [*report.generate_report().splitlines(), *(f"unknown parameter {name}" for name in unknown)]
        raise FisError("; ".join(problems))
    return parameters

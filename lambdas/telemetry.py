"""Logs and metrics of the functions: our event names as messages, few dimensions, refused events counted."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from spotproof import contract, events
from spotproof.errors import EventRejectedError
from spotproof.settings import environment

E = TypeVar("E", covariant=True)

# Each combination of dimension values is a metric to pay for: ids are fields of log lines, never dimensions.
STACK_DIMENSION = "Stack"


class Context(Protocol):
    """What we read of the context object that Lambda passes."""

    invoked_function_arn: str
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


class Parser(Protocol[E]):
    """A parser of spotproof.interruptions.eventbridge."""

    def __call__(self, event: object, *, account: str, now: datetime) -> E: ...


def make_logger(service: str) -> Logger:
    """A JSON logger; messages are names of spotproof.events."""
    return Logger(service=service, level=environment().get(contract.ENV_LOG_LEVEL, "INFO") or "INFO")


def adopt_library_logs(logger: Logger) -> None:
    """Let the library's own log events come out through `logger`: composition roots call it, not imports."""
    library = logging.getLogger("spotproof")
    library.handlers = list(logger.handlers)
    library.setLevel(logger.log_level)
    library.propagate = False


def make_metrics(service: str) -> Metrics:
    """EMF on standard output, in our namespace, by stack and function."""
    metrics = Metrics(namespace=contract.METRIC_NAMESPACE, service=service)
    metrics.set_default_dimensions(**{STACK_DIMENSION: environment().get(contract.ENV_STACK, "") or "unknown"})
    return metrics


def account_of(context: Context) -> str:
    """The account of the invoked function, from arn:aws:lambda:region:account:function:name."""
    return context.invoked_function_arn.split(":")[4]


def accept(
    parser: Parser[E],
    event: object,
    context: Context,
    *,
    now: Callable[[], datetime],
    logger: Logger,
    metrics: Metrics,
) -> E | None:
    """The parsed event, or None if it was refused: that is counted and logged, because a retry would not help."""
    try:
        return parser(event, account=account_of(context), now=now())
    except EventRejectedError as error:
        logger.warning(events.EVENT_REJECTED, error=str(error))
        count(metrics, events.METRIC_EVENTS_REJECTED)
        return None


def count(metrics: Metrics, name: str, value: int = 1) -> None:
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def latency_ms(metrics: Metrics, name: str, value: float) -> None:
    metrics.add_metric(name=name, unit=MetricUnit.Milliseconds, value=value)

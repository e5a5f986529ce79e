"""Logs and metrics of the functions: our event names as messages, few dimensions, refused events counted."""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from spotproof import contract, events
from spotproof.errors import EventRejectedError
from spotproof.metrics import STACK
from spotproof.settings import environment

E = TypeVar("E", covariant=True)

CALLER: Final = 3  # stack level: a log line's location is the code that called us


class Context(Protocol):
    """What we read of the context object that Lambda passes."""

    invoked_function_arn: str
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int: ...


class Parser(Protocol[E]):
    """A parser of spotproof.interruptions.eventbridge."""

    def __call__(self, event: object, *, account: str, now: datetime) -> E: ...


class Telemetry(Protocol):
    """Where a function's log events and metrics go; names are those of spotproof.events."""

    def info(self, event: str, /, **fields: object) -> None: ...

    def warning(self, event: str, /, **fields: object) -> None: ...

    def error(self, event: str, /, **fields: object) -> None: ...

    def count(self, metric: str, value: int = 1) -> None: ...

    def latency_ms(self, metric: str, value: float) -> None: ...

    def seconds(self, metric: str, value: float) -> None: ...

    def number(self, metric: str, value: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PowertoolsTelemetry:
    """JSON lines and EMF on standard output, metrics in our namespace, by stack alone: one value for one alarm."""

    logger: Logger
    metrics: Metrics

    @classmethod
    def of(cls, service: str) -> "PowertoolsTelemetry":
        """As the environment says; without variables at level INFO and stack "unknown"."""
        # Each combination of dimension values is a metric to pay for. Named, a service would be a dimension: the
        # function is told by the log group.
        metrics = Metrics(namespace=contract.METRIC_NAMESPACE, service="")
        metrics.set_default_dimensions(**{STACK: environment().get(contract.ENV_STACK, "") or "unknown"})
        level = environment().get(contract.ENV_LOG_LEVEL, "INFO") or "INFO"
        return cls(logger=Logger(service=service, level=level), metrics=metrics)

    def adopt_library_logs(self) -> None:
        """Let the library's own log events come out here: shells call it, not imports."""
        library = logging.getLogger("spotproof")
        library.handlers = list(self.logger.handlers)
        library.setLevel(self.logger.log_level)
        library.propagate = False

    def info(self, event: str, /, **fields: object) -> None:
        self.logger.info(event, stacklevel=CALLER, extra=fields)

    def warning(self, event: str, /, **fields: object) -> None:
        self.logger.warning(event, stacklevel=CALLER, extra=fields)

    def error(self, event: str, /, **fields: object) -> None:
        self.logger.error(event, stacklevel=CALLER, extra=fields)

    def count(self, metric: str, value: int = 1) -> None:
        self.metrics.add_metric(name=metric, unit=MetricUnit.Count, value=value)

    def latency_ms(self, metric: str, value: float) -> None:
        self.metrics.add_metric(name=metric, unit=MetricUnit.Milliseconds, value=value)

    def seconds(self, metric: str, value: float) -> None:
        self.metrics.add_metric(name=metric, unit=MetricUnit.Seconds, value=value)

    def number(self, metric: str, value: float) -> None:
        """Dollars, of which CloudWatch knows nothing, and shares."""
        self.metrics.add_metric(name=metric, unit="None", value=value)


def account_of(context: Context) -> str:
    """The account of the invoked function, from arn:aws:lambda:region:account:function:name."""
    return context.invoked_function_arn.split(":")[4]


def accept(parser: Parser[E], event: object, context: Context, *, now: datetime, telemetry: Telemetry) -> E | None:
    """The parsed event, or None if it was refused: that is counted and logged, because a retry would not help."""
    try:
        return parser(event, account=account_of(context), now=now)
    except EventRejectedError as error:
        telemetry.warning(events.EVENT_REJECTED, error=str(error))
        telemetry.count(events.METRIC_EVENTS_REJECTED)
        return None

"""The seven functions, for whoever runs them elsewhere than in Lambda."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from lambdas import (
    controller,
    finalizer,
    instance_state_change,
    job_state_change,
    queue_blocked,
    rebalance_recommendation,
    spot_interruption,
)
from lambdas.telemetry import Context, Telemetry
from lambdas.wiring import Wiring

F = TypeVar("F")
Handler = Callable[[dict[str, Any], Context], dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Function(Generic[F]):
    """One function: what it keeps while warm, and what it does with an event."""

    service: str  # also the name of its module
    build: Callable[[Wiring], F]
    handle: Callable[[Wiring, F, Telemetry, dict[str, Any], Context], dict[str, Any]]

    def start(self, wiring: Wiring, telemetry: Telemetry) -> Handler:
        """A new execution environment: what is returned handles its events, one at a time.

        Raises:
            ConfigurationError: a setting that this function needs is empty.
        """
        flow = self.build(wiring)

        def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
            return self.handle(wiring, flow, telemetry, event, context)

        return handler


SPOT_INTERRUPTION: Final = Function(
    service=spot_interruption.SERVICE, build=spot_interruption.build, handle=spot_interruption.handle
)
REBALANCE_RECOMMENDATION: Final = Function(
    service=rebalance_recommendation.SERVICE,
    build=rebalance_recommendation.build,
    handle=rebalance_recommendation.handle,
)
INSTANCE_STATE_CHANGE: Final = Function(
    service=instance_state_change.SERVICE, build=instance_state_change.build, handle=instance_state_change.handle
)
JOB_STATE_CHANGE: Final = Function(
    service=job_state_change.SERVICE, build=job_state_change.build, handle=job_state_change.handle
)
QUEUE_BLOCKED: Final = Function(service=queue_blocked.SERVICE, build=queue_blocked.build, handle=queue_blocked.handle)
FINALIZER: Final = Function(service=finalizer.SERVICE, build=finalizer.build, handle=finalizer.handle)
CONTROLLER: Final = Function(service=controller.SERVICE, build=controller.build, handle=controller.handle)

FUNCTIONS: Final[tuple[Function[Any], ...]] = (
    SPOT_INTERRUPTION,
    REBALANCE_RECOMMENDATION,
    INSTANCE_STATE_CHANGE,
    JOB_STATE_CHANGE,
    QUEUE_BLOCKED,
    FINALIZER,
    CONTROLLER,
)

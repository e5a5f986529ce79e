"""One event in the hands of the function service, and the context object a handler gets with it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from lambdas.functions import Function
from simulation.cloud.aws_event import ACCOUNT, REGION
from simulation.kernel.scheduler import MICROSECONDS, Scheduler
from stacks.routes import LAMBDA_AGE_S_MAX, EventRoute

UNLIMITED: Final = 1_000  # concurrent invocations of an account that is not new


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """A function as the events stack configures it."""

    function: Function[Any]
    name: str
    timeout_us: int
    retries: int  # after an invocation failed
    age_us_max: int  # an older event is given up

    @property
    def service(self) -> str:
        return self.function.service

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.name}"


def deployed(route: EventRoute, stack: str, functions: Iterable[Function[Any]]) -> Deployed:
    """The function behind a route; raises KeyError if it is not among `functions`."""
    by_handler = {f"lambdas.{function.service}.handler": function for function in functions}
    return Deployed(
        function=by_handler[route.handler],
        name=f"{stack}-{route.name}",
        timeout_us=route.timeout_s * MICROSECONDS,
        retries=route.retries,
        age_us_max=min(route.age_s_max, LAMBDA_AGE_S_MAX) * MICROSECONDS,
    )


@dataclass(slots=True, kw_only=True)
class Invocation:
    """An accepted event. Tries of one event share the request id, as on AWS."""

    deployed: Deployed
    event: str  # JSON
    request_id: str
    accepted_at: int  # microseconds
    failures: int = 0
    throttles: int = 0
    is_copy: bool = False  # another try of the same event answers for it

    @property
    def service(self) -> str:
        return self.deployed.service


class SimContext:
    """lambdas.telemetry.Context of one invocation in one process."""

    def __init__(self, invocation: Invocation, scheduler: Scheduler, deadline: int) -> None:
        """`deadline`: when the service ends the process, microseconds."""
        self.invoked_function_arn = invocation.deployed.arn
        self.aws_request_id = invocation.request_id
        self.function_name = invocation.deployed.name
        self.deadline = deadline
        self._scheduler = scheduler

    def get_remaining_time_in_millis(self) -> int:
        return max(0, (self.deadline - self._scheduler.now) // 1000)

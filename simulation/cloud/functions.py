"""The function service: asynchronous invocations of the product's real handlers, and every way they fail."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from lambdas.functions import FUNCTIONS, Function
from lambdas.handler_settings import HandlerSettings
from simulation.cloud.aws_event import new_uuid
from simulation.cloud.dead_letters import DeadLetterQueue
from simulation.cloud.deliveries import backoff_s
from simulation.cloud.environment import Environment
from simulation.cloud.environments import Environments
from simulation.cloud.invocation import UNLIMITED, Invocation, deployed
from simulation.cloud.mishaps import draw_mishap
from simulation.cloud.throttling import Shortage, Throttling
from simulation.faults.book import FaultBook
from simulation.faults.calls import Call
from simulation.gate import Gate
from simulation.kernel.process import Process
from simulation.kernel.scheduler import Scheduler
from simulation.kernel.trace import Trace
from spotproof.errors import SpotproofError
from stacks.routes import EVENT_ROUTES, EventRoute

RETRY_AFTER_S: Final = 60.0  # times the number of failures: one minute, then two
QUEUE_S: Final = 0.01
TWO_VERSIONS: Final = "L7"


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionError:
    """An exception that escaped a handler."""

    service: str
    request_id: str
    moment: int  # microseconds
    error: BaseException


class Functions:
    """Queues events, retries, gives up. Sites of faults are function names.

    Faults: L1 hangs to its time-out, L2 given up but lives on, L3 throttled for a while, L4 cold start longer than a
    notice, L5 dead letter sent again hours later, L7 handled by two versions at once, L8 out of memory.
    """

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        trace: Trace,
        rng: random.Random,
        faults: FaultBook,
        gate: Gate,
        services: Mapping[str, Any],
        settings: HandlerSettings,
        concurrency_max: int = UNLIMITED,
        prepare: Callable[[Process], None] = lambda _: None,
        routes: Sequence[EventRoute] = EVENT_ROUTES,
        functions: Sequence[Function[Any]] = FUNCTIONS,
    ) -> None:
        """Take part in a world.

        Args:
            services: targets of AWS calls by service name; read when an environment starts, so that the bus, which
                needs the functions, may be added after.
            concurrency_max: invocations of the account at once; new accounts have 10.
            prepare: called with every new process before it runs.
        """
        self.invocations = 0
        self.invariant_errors: list[FunctionError] = []  # AssertionErrors: the product's own invariants
        self.surprises: list[FunctionError] = []  # other exceptions, unless they are the product's
        self.failed = DeadLetterQueue(
            "failed events", scheduler=scheduler, trace=trace, rng=rng, faults=faults, again=self.accept
        )
        self.environments = Environments(
            scheduler=scheduler, rng=rng, faults=faults, gate=gate, services=services, settings=settings,
            prepare=prepare, employer=self,
        )  # fmt: skip
        self._deployed = {
            each.service: each for each in (deployed(route, settings.stack, functions) for route in routes)
        }
        self._throttling = Throttling(scheduler=scheduler, trace=trace, rng=rng, faults=faults)
        self._under_way: dict[Environment, Invocation] = {}
        self._scheduler = scheduler
        self._trace = trace
        self._rng = rng
        self._faults = faults
        self._concurrency_max = concurrency_max
        gate.observers.append(self)

    def accept(self, service: str, event: str) -> bool:
        """Queue an event (JSON); False if even that is refused. Raises KeyError for a function that is not deployed."""
        there = self._deployed[service]
        self._throttling.draw(service)
        if self._throttling.now(service) is Shortage.REQUESTS:
            return False
        invocation = Invocation(
            deployed=there, event=event, request_id=new_uuid(self._rng), accepted_at=self._scheduler.now
        )
        self._scheduler.after(QUEUE_S, lambda: self._try(invocation))
        return True

    @property
    def running(self) -> int:
        return len(self._under_way)

    # From the queue into an environment.

    def _try(self, invocation: Invocation) -> None:
        """Begin now, later, or never."""
        shortage = self._throttling.now(invocation.service)
        if self._scheduler.now - invocation.accepted_at > invocation.deployed.age_us_max:
            self._give_up(invocation, "too old")
        elif shortage is Shortage.RESERVED:
            self._give_up(invocation, "reserved concurrency is 0")
        elif shortage is Shortage.CONCURRENCY or self.running >= self._concurrency_max:
            invocation.throttles += 1
            self._scheduler.after(backoff_s(invocation.throttles, self._rng), lambda: self._try(invocation))
        else:
            self._begin(invocation)

    def _begin(self, invocation: Invocation) -> None:
        environment = self.environments.warm(invocation.service) or self.environments.start(invocation.deployed)
        self._employ(environment, invocation)
        if self._faults.strikes(TWO_VERSIONS, invocation.service):
            self._employ(self.environments.start(invocation.deployed), replace(invocation, is_copy=True))

    def _employ(self, environment: Environment, invocation: Invocation) -> None:
        self._under_way[environment] = invocation
        environment.invoke(invocation)

    def _failed(self, environment: Environment, why: str) -> None:
        """The environment's invocation is over without success; nothing if it was given up before."""
        invocation = self._under_way.pop(environment, None)
        if invocation is None or invocation.is_copy:
            return
        invocation.failures += 1
        if invocation.failures > invocation.deployed.retries:
            self._give_up(invocation, f"{why}, failed {invocation.failures}x")
            return
        delay_s = RETRY_AFTER_S * invocation.failures
        self._note(invocation.service, f"retry in {delay_s:.0f} s", f"{invocation.request_id}: {why}")
        self._scheduler.after(delay_s, lambda: self._try(invocation))

    def _give_up(self, invocation: Invocation, reason: str) -> None:
        self.failed.keep(invocation.service, invocation.event, f"{invocation.request_id}: {reason}")

    # What environments report.

    def began(self, environment: Environment, invocation: Invocation) -> None:
        self.invocations += 1
        self._note(environment.process.name, "invoked", invocation.request_id)
        environment.mishap = draw_mishap(self._faults, self._rng, invocation.service)
        self._scheduler.at(environment.deadline, lambda: self._at_deadline(environment, invocation))

    def returned(self, environment: Environment, answer: dict[str, Any]) -> None:
        on_time = self._under_way.pop(environment, None) is not None
        self._note(environment.process.name, "returned" if on_time else "returned too late", json.dumps(answer))

    def raised(self, environment: Environment, error: Exception) -> None:
        self._note(environment.process.name, "raised", f"{type(error).__name__}: {error}"[:200])
        self._record(environment, error)
        self._failed(environment, "raised an error")

    def died(self, environment: Environment) -> None:
        process = environment.process
        if process.crash is not None:
            self._record(environment, process.crash)
        self._failed(environment, process.why)

    def _at_deadline(self, environment: Environment, invocation: Invocation) -> None:
        if self._under_way.get(environment) is not invocation:
            return
        self._note(environment.process.name, "timed out", "and lives on" if environment.lives_on else "")
        if environment.lives_on:
            self._failed(environment, "timed out")
        else:
            environment.process.kill("timed out")

    def _record(self, environment: Environment, error: BaseException) -> None:
        invocation = self._under_way.get(environment)
        found = FunctionError(
            service=environment.service,
            request_id="" if invocation is None else invocation.request_id,
            moment=self._scheduler.now,
            error=error,
        )
        if isinstance(error, AssertionError):
            self.invariant_errors.append(found)
        elif not isinstance(error, SpotproofError):
            self.surprises.append(found)

    def _note(self, who: str, what: str, detail: str = "") -> None:
        self._trace.note(self._scheduler.now, who, what, detail)

    # simulation.gate.CallObserver: a mishap strikes at the call it was drawn for.

    def calling(self, call: Call) -> None:
        environment = self.environments.of(call.process)
        if environment is None or environment.mishap is None:
            return
        environment.mishap.calls_left -= 1
        if environment.mishap.calls_left <= 0:
            environment.meet_mishap()

    def answered_call(self, call: Call) -> None:
        """A mishap at the end of an invocation is the environment's."""

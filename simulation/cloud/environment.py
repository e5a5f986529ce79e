"""An execution environment of a function: one process that starts cold, handles events one by one, and idles."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from lambdas.functions import Handler
from simulation.cloud.invocation import Invocation, SimContext
from simulation.cloud.mishaps import Mishap, MishapKind
from simulation.kernel.process import Process
from simulation.kernel.scheduler import MICROSECONDS


@dataclass(slots=True)
class CountingTelemetry:
    """lambdas.telemetry.Telemetry that adds up metrics and says nothing: what happened is in the trace."""

    metrics: Counter[str] = field(default_factory=Counter)

    def info(self, event: str, /, **fields: object) -> None:
        """Said to nobody."""

    def warning(self, event: str, /, **fields: object) -> None:
        """Said to nobody."""

    def error(self, event: str, /, **fields: object) -> None:
        """Said to nobody."""

    def count(self, metric: str, value: int = 1) -> None:
        self.metrics[metric] += value

    def latency_ms(self, metric: str, value: float) -> None:
        """Latencies do not add up."""

    def seconds(self, metric: str, value: float) -> None:
        """Neither do ages."""

    def number(self, metric: str, value: float) -> None:
        """The manifest says what a run cost."""


class Employer(Protocol):
    """The function service, as an environment sees it."""

    def began(self, environment: "Environment", invocation: Invocation) -> None: ...

    def returned(self, environment: "Environment", answer: dict[str, Any]) -> None: ...

    def raised(self, environment: "Environment", error: Exception) -> None: ...

    def died(self, environment: "Environment") -> None: ...


class Environment:
    """Runs the product's handler in a process of its own."""

    def __init__(
        self,
        process: Process,
        employer: Employer,
        service: str,
        make_handler: Callable[[], Handler],
        *,
        cold_start_s: float,
    ) -> None:
        self.process = process
        self.service = service
        self.idle_since = 0  # microseconds
        self.began = 0  # of the invocation: microseconds, like its deadline
        self.deadline = 0
        self.mishap: Mishap | None = None
        self.lives_on = False  # it will outlive its deadline
        self._employer = employer
        self._make_handler = make_handler
        self._cold_start_s = cold_start_s
        self._invocation: Invocation | None = None
        self._called = process.spawner.flag()
        process.start(self._main)

    @property
    def is_idle(self) -> bool:
        return self._invocation is None

    def invoke(self, invocation: Invocation) -> None:
        """Handle this event next; only for an idle environment."""
        assert self._invocation is None, "an environment handles one event at a time"
        self._invocation = invocation
        self._called.set()

    def meet_mishap(self) -> None:
        """From inside the process: what was drawn for this invocation happens now."""
        mishap, self.mishap = self.mishap, None
        if mishap is None:
            return
        if mishap.kind is MishapKind.OUT_OF_MEMORY:
            self.process.kill("out of memory")
        left_s = max(0, self.deadline - self.process.scheduler.now) / MICROSECONDS
        self.lives_on = mishap.kind is MishapKind.LIVES_ON
        self.process.freeze(left_s + mishap.lives_on_s)

    def _main(self) -> int:
        self.process.wait(self._cold_start_s)
        handler = self._make_handler()
        while not self.lives_on:
            self._called.wait()
            self._called = self.process.spawner.flag()
            self._handle(handler)
            self._invocation = None
            self.idle_since = self.process.scheduler.now
        return 0

    def _handle(self, handler: Handler) -> None:
        invocation = self._invocation
        assert invocation is not None, "an environment wakes up for an event"
        self.began = self.process.scheduler.now
        self.deadline = self.began + invocation.deployed.timeout_us
        self._employer.began(self, invocation)
        context = SimContext(invocation, self.process.scheduler, self.deadline)
        try:
            answer = handler(json.loads(invocation.event), context)
        except Exception as error:
            self.meet_mishap()
            self._employer.raised(self, error)
        else:
            self.meet_mishap()
            self._employer.returned(self, answer)

"""All execution environments of the functions: started cold, kept warm, taken down when idle."""

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from lambdas.functions import Handler
from lambdas.handler_settings import HandlerSettings
from lambdas.wiring import make_wiring
from simulation.cloud.environment import CountingTelemetry, Employer, Environment
from simulation.cloud.invocation import Deployed
from simulation.faults.book import FaultBook
from simulation.gate import Gate, GatedClients
from simulation.kernel.process import Process
from simulation.kernel.scheduler import Scheduler, microseconds

COLD_START_S: Final = (0.2, 1.3)
SLOW_START: Final = "L4"
SLOW_START_S: Final = (121.0, 180.0)  # more than a notice is ahead of the end
IDLE_S_MAX: Final = 600.0


class Environments:
    """Makes processes with gated clients around the product's functions."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        rng: random.Random,
        faults: FaultBook,
        gate: Gate,
        services: Mapping[str, Any],
        settings: HandlerSettings,
        prepare: Callable[[Process], None],
        employer: Employer,
    ) -> None:
        self.telemetry = CountingTelemetry()
        self._pools: dict[str, list[Environment]] = {}
        self._by_process: dict[Process, Environment] = {}
        self._started = 0
        self._scheduler = scheduler
        self._rng = rng
        self._faults = faults
        self._gate = gate
        self._services = services
        self._settings = settings
        self._prepare = prepare
        self._employer = employer

    def of(self, process: Process) -> Environment | None:
        """The environment whose process this is; None for processes of others."""
        return self._by_process.get(process)

    def warm(self, service: str) -> Environment | None:
        """An idle one, the last that was used; those that idled too long are taken down."""
        idle = [each for each in self._pools.get(service, ()) if each.is_idle]
        oldest = self._scheduler.now - microseconds(IDLE_S_MAX)
        for environment in idle:
            if environment.idle_since < oldest:
                self._forget(environment)
                environment.process.end(0, "taken down")
        kept = [each for each in idle if each.idle_since >= oldest]
        return max(kept, key=lambda each: each.idle_since, default=None)

    def start(self, deployed: Deployed) -> Environment:
        """A new one, which takes its time."""
        self._started += 1
        service = deployed.service
        process = Process(
            self._scheduler,
            name=f"{service} {self._started}",
            kind=service,
            rng=self._new_rng(),
            on_exit=self._ended,
        )
        self._prepare(process)
        make_handler = partial(self._handler, deployed, process, self._new_rng())
        environment = Environment(process, self._employer, service, make_handler, cold_start_s=self._cold_s(service))
        self._pools.setdefault(service, []).append(environment)
        self._by_process[process] = environment
        return environment

    def _cold_s(self, service: str) -> float:
        shortest, longest = SLOW_START_S if self._faults.strikes(SLOW_START, service) else COLD_START_S
        return shortest + (longest - shortest) * self._rng.random()

    def _handler(self, deployed: Deployed, process: Process, rng: random.Random) -> Handler:
        clients = GatedClients(self._gate, process, dict(self._services))
        wiring = make_wiring(
            settings=self._settings,
            clock=process.clock,
            ids=process.ids,
            spawner=process.spawner,
            clients=clients,
            rng=rng,
        )
        return deployed.function.start(wiring, self.telemetry)

    def _ended(self, process: Process) -> None:
        environment = self._by_process.get(process)
        if environment is not None:
            self._forget(environment)
            self._employer.died(environment)

    def _forget(self, environment: Environment) -> None:
        self._pools[environment.service].remove(environment)
        del self._by_process[environment.process]

    def _new_rng(self) -> random.Random:
        return random.Random(self._rng.getrandbits(64))

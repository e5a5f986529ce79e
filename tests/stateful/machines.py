"""All machines, each with the histories that a normal test run spends on it."""

from dataclasses import dataclass
from typing import Final

from tests.stateful.campaign import CountedMachine
from tests.stateful.lease_machine import Leases


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    machine: type[CountedMachine]
    examples: int


BUDGETS: Final = (Budget(machine=Leases, examples=200),)

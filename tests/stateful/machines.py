"""All machines, each with the histories that a normal test run spends on it."""

from dataclasses import dataclass
from typing import Final

from tests.stateful.campaign import CountedMachine
from tests.stateful.checkpoint_machine import Checkpoints
from tests.stateful.format_machine import Formats
from tests.stateful.lease_machine import Leases
from tests.stateful.ledger_machine import Ledgers
from tests.stateful.plan_machine import Plans


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    machine: type[CountedMachine]
    examples: int


BUDGETS: Final = (
    Budget(machine=Leases, examples=200),
    Budget(machine=Plans, examples=150),
    Budget(machine=Checkpoints, examples=100),
    Budget(machine=Formats, examples=60),
    Budget(machine=Ledgers, examples=150),
)

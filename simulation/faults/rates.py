"""How often which fault strikes in a world: each at none, a tenth or all of its full rate."""

import random
from collections.abc import Mapping
from typing import Final

from simulation.cloud.batch_attempts import ContainerFate
from simulation.cloud.batch_blocked import UNDETERMINED
from simulation.cloud.fates import Fate
from simulation.faults.calls import CallFault
from simulation.workload import HANGS

# Chance per AWS call.
CALLS: Final = {
    CallFault.THROTTLED: 0.010,
    CallFault.FAILED_BEFORE: 0.010,
    CallFault.UNREACHABLE: 0.006,
    CallFault.SLOW_DOWN: 0.012,
    CallFault.FAILED_AFTER: 0.010,
    CallFault.TIMED_OUT_AFTER: 0.006,
    CallFault.KILLED_BEFORE: 0.003,
    CallFault.KILLED_AFTER: 0.003,
    CallFault.PAUSED_BEFORE: 0.002,
    CallFault.PAUSED_AFTER: 0.002,
    CallFault.SENT_TWICE: 0.010,
    CallFault.CONFLICTED: 0.010,
    CallFault.CUT: 0.010,
    CallFault.EXPIRED: 0.001,
    CallFault.SKEWED: 0.001,
    CallFault.DENIED: 0.002,
    CallFault.OUTAGE: 0.0005,
    CallFault.SLOW: 0.002,
    CallFault.REFUSED: 0.2,
}
# Chance per opportunity of everything else; the place that asks says what an opportunity is.
OTHERS: Final = {
    # per event and function
    "E1": 0.2,
    "E2": 0.1,
    "E3": 0.2,
    "E4": 0.2,
    "E5": 0.05,
    "E6": 0.05,
    "E7": 0.2,
    "E11": 0.15,
    "A2 entry refused": 0.1,  # per event of our own
    "E4 notice not in metadata": 0.3,  # per notice
    # per invocation, environment or dead letter
    "L1": 0.03,
    "L2": 0.03,
    "L3": 0.05,
    "L4": 0.1,
    "L5": 0.9,
    "L7": 0.05,
    "L8": 0.03,
    # reading
    "A7": 0.3,  # per eventually consistent read
    "A7 job not listed yet": 0.1,
    "A9": 0.03,  # per request to instance metadata
    "A13": 0.3,  # per transaction
    "D1 damaged when handed on": 1.0,  # per shard that waits for another worker with a checkpoint
    # per launch, attempt, or kill
    "P11 no spot capacity": 0.05,
    "P11 no on-demand capacity": 0.4,
    UNDETERMINED: 0.3,  # per blocked queue
    "P1 boot failed": 0.05,
    "P8 cannot pull": 0.05,
    "P1 host too": 0.2,
    # per batch of records
    HANGS: 0.08,
    "P7 raises": 0.01,
    "P7 exits": 0.005,
    "P5 disk full": 0.005,
    "A13 huge error": 0.004,
}
# Chance per world and quarter of a minute (deeds.py).
DEEDS: Final = {
    "A12 checkpoint vanished": 0.02,
    "A12 stop file vanished": 0.04,
    "C2 clock jumped": 0.03,
    "D1 checkpoint damaged": 0.03,
    "D1 checkpoint forged": 0.02,
    "D2 newer checkpoint": 0.02,
    "D6 input changed": 0.006,
    "K1 submitted twice": 0.01,
    "K2 cancelled": 0.005,
    "K3 table restored": 0.006,
    "K6 newer row": 0.005,
    "P6 heartbeat died": 0.02,
}
STORM: Final = 8.0  # times as many interruptions
# Chance per instance-hour, and per container-hour.
HOURLY: Final = {
    **{
        str(fate): rate
        for fate, rate in {
            Fate.NOTICE: 8.0,
            Fate.REBALANCE_THEN_NOTICE: 4.0,
            Fate.LATE_NOTICE: 4.0,
            Fate.REBALANCE_ONLY: 3.0,
            Fate.WARNING_ONLY: 2.0,
            Fate.RECLAIMED_UNANNOUNCED: 4.0,
            Fate.HOST_FAILURE: 4.0,
            Fate.SUSPENDED: 4.0,
            Fate.ALL_NOTICED: 2.0,
            Fate.ALL_FAILED: 1.0,
        }.items()
    },
    **{
        str(fate): rate
        for fate, rate in {
            ContainerFate.STOPPED: 4.0,
            ContainerFate.OUT_OF_MEMORY: 4.0,
            ContainerFate.TAKEN_FOR_LOST: 4.0,
        }.items()
    },
}


FULL: Final = {**{fault.value: rate for fault, rate in CALLS.items()}, **OTHERS, **DEEDS, **HOURLY}
SHARES: Final = (0.0, 0.1, 1.0, 1.0)  # of the full rate, as likely each


def draw_rates(rng: random.Random) -> dict[str, float]:
    """The rates of one world."""
    return {name: rate * rng.choice(SHARES) for name, rate in FULL.items()}


def in_a_storm(rates: Mapping[str, float]) -> dict[str, float]:
    """The same with interruptions every few minutes: jobs here are short beside an hour."""
    return {name: rate * STORM if name in HOURLY else rate for name, rate in rates.items()}

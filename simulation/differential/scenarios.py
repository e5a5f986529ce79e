"""Worlds that can be played on any data plane: without the faults that only the simulated one has."""

from dataclasses import replace
from typing import Final

from simulation.cloud.s3_listing import KEYS_MAX
from simulation.scenario import Scenario, draw_scenario
from spotproof.commits.buckets import DEFAULT_SIZES
from spotproof.leases.memory.table import PAGE_BYTES_MAX

# What other data planes do not do at a seed's command, and why.
OFF: Final = {
    "A7": "emulators have no replicas that lag",
    "A13": "emulators run one request at a time: no transaction ever meets another",
    "A12 checkpoint vanished": "no request is made: it is the bucket's lifecycle",
    "A12 stop file vanished": "no request is made: it is the bucket's lifecycle",
    "D1 checkpoint damaged": "no request changes bytes and leaves the entity tag",
    "D1 damaged when handed on": "no request changes bytes and leaves the entity tag",
    "K3 table restored": "a restore makes another table, here it changes the one",
    "K6 newer row": "written past all conditions and requests",
}
# Besides, pages have the service's own size (A15), and nothing is written in parts (A6): servers refuse parts so small.


def comparable_scenario(seed: int) -> Scenario:
    """The seed's scenario with all faults that strike alike on every data plane."""
    drawn = draw_scenario(seed)
    return replace(
        drawn,
        rates={name: 0.0 if name in OFF else rate for name, rate in drawn.rates.items()},
        page_bytes_max=PAGE_BYTES_MAX,
        page_keys_max=KEYS_MAX,
        in_parts=DEFAULT_SIZES,
    )

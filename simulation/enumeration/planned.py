"""Faults by call number: what an enumeration decides instead of a seed."""

from collections.abc import Iterable, Mapping
from typing import Final

from simulation.faults.calls import BASIC, Call, CallFault

Plan = Mapping[int, CallFault]  # call number, from 1 -> what befalls it
# Operations without any effect: whether they fail, or their caller dies, before or after it is the same world.
READS: Final = frozenset(
    {
        "get_item",
        "query",
        "get_object",
        "head_object",
        "list_objects_v2",
        "describe_spot_price_history",
        "describe_jobs",
        "list_jobs",
        "get_job_queue_snapshot",
        "describe_job_queues",
        "describe_compute_environments",
        "describe_instance_types",
        "describe_scaling_activities",
    }
)
SAME_FOR_READS: Final = {
    CallFault.FAILED_AFTER: CallFault.FAILED_BEFORE,
    CallFault.KILLED_AFTER: CallFault.KILLED_BEFORE,
}
_OF_READS: Final = tuple(fault for fault in BASIC if fault not in SAME_FOR_READS)


def faults_at(site: str) -> tuple[CallFault, ...]:
    """The basic faults of a call that differ from each other."""
    return _OF_READS if operation_of(site) in READS else BASIC


def operation_of(site: str) -> str:
    """`worker s3.get_object plan` -> `get_object`."""
    return site.split(" ")[1].partition(".")[2]


class PlannedFaults:
    """simulation.gate.CallFaults of one plan; keeps a list of the calls that were made."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.sites: list[str] = []  # of calls 1, 2, 3, ...

    def at_call(self, call: Call) -> CallFault | None:
        self.sites.append(call.site)
        return self._plan.get(call.number)


def plan_text(plan: Plan) -> str:
    """`12=killed_before,40=failed_after`: for the command line."""
    return ",".join(f"{number}={fault.name.lower()}" for number, fault in sorted(plan.items()))


def parse_plan(text: str) -> dict[int, CallFault]:
    """The plan of a text as `plan_text` gives it.

    Raises:
        ValueError: it is none; the text says why.
    """
    return dict(_parse_fault(part) for part in text.split(",") if part)


def _parse_fault(part: str) -> tuple[int, CallFault]:
    number, _, name = part.partition("=")
    names: Iterable[str] = [fault.name.lower() for fault in BASIC]
    if not (number.isascii() and number.isdigit()) or name not in names:
        raise ValueError(f"{part!r} is not NUMBER=FAULT with a FAULT of {', '.join(names)}")
    return int(number), CallFault[name.upper()]

"""No silently dead faults: each kind must have struck at each place where it can."""

from typing import Final

from simulation.campaign import Tally
from simulation.faults.calls import CallFault
from simulation.faults.drawn import NOT_S3, S3_ONLY, WRITES

SEEN_MIN: Final = 400  # calls from a site before a fault that never struck there counts as dead


def dead_faults(tally: Tally) -> list[str]:
    """What should have struck and did not, in words."""
    return [
        f"{fault.value} never struck at {site} ({calls} calls)"
        for site, calls in sorted(tally.sites.items())
        if calls >= SEEN_MIN
        for fault in CallFault
        if _can_strike(fault, site) and not tally.struck[(fault.value, site)]
    ]


def _can_strike(fault: CallFault, site: str) -> bool:
    service, _, operation = site.split(" ")[1].partition(".")
    if fault in (S3_ONLY if service != "s3" else NOT_S3):
        return False
    return fault is not CallFault.SENT_TWICE or operation in WRITES

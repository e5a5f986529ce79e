"""When the finalizer is to clean up after an ended run."""

from dataclasses import dataclass
from typing import Final

from spotproof.commits.finalizer import QUIET
from spotproof.leases.model import Run

CLEANING_S: Final = 3600.0  # what could not be cleaned for so long is tried less often from then on
CLEANING_EVERY_MINUTES: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class CleaningDecision:
    """Whether the finalizer is to clean up after an ended run now, and why."""

    due: bool
    reason: str


def decide_cleaning(run: Run, *, now_ms: int) -> CleaningDecision:
    """The finalizer cleans a run that it ends at once; whatever came or was left later is for a pass of its own.

    That one waits until nobody writes for the run any more. What S3 refuses for an hour it will refuse for longer: a
    listing and tagging a minute would cost more than the objects.
    """
    rested_s = (now_ms - (run.ended_at or now_ms)) / 1000
    if rested_s < QUIET.total_seconds():
        return CleaningDecision(due=False, reason="fenced workers may still write")
    if run.finalizer_until is not None and run.finalizer_until >= now_ms:
        return CleaningDecision(due=False, reason="a finalizer is at it")
    if rested_s >= CLEANING_S and now_ms // 60_000 % CLEANING_EVERY_MINUTES:
        return CleaningDecision(due=False, reason="could not be cleaned for long: once an hour")
    return CleaningDecision(due=True, reason="not called clean yet")

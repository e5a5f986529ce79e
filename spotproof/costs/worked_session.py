"""A worker's life as the cost sees it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

SPOT: Final = "spot"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkedSession:
    """One worker process's life as the table recorded it. Moments are aware UTC."""

    session_id: str
    run_id: str
    instance_id: str  # empty = unknown: counts as a host of its own
    instance_type: str
    zone: str
    lifecycle: str  # spot | on-demand
    vcpus: float  # this worker's share of the host; 0 = unknown, counts as the whole host
    started_at: datetime
    ended_at: datetime  # of a live one: now
    memory_mib: int = 0  # this worker's share of the host's memory; 0 = unknown
    launched_at: datetime | None = None  # of the host; None = unknown
    reclaimed_at: datetime | None = None  # EC2 announced that it takes the host then
    alive: bool = False
    work_ms: int = 0
    redone_ms: int = 0
    checkpoint_ms: int = 0
    idle_ms: int = 0

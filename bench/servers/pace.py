"""A network in miniature: so long until an answer starts, so many bytes per second on a connection."""

import time
from dataclasses import dataclass
from typing import Final

SLICE_BYTES: Final = 256 * 1024  # what travels at once on a paced connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What each connection of a server is like."""

    latency_s: float = 0.0  # between a whole request and its answer
    bytes_per_s: float = 0.0  # in each direction; 0: as fast as it goes


class Pace:
    """One connection's traffic, slowed to its shape."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._free_at = 0.0

    @property
    def is_slowed(self) -> bool:
        return self._shape.bytes_per_s > 0

    def answer(self) -> None:
        """Wait as long as the way there and back takes."""
        if self._shape.latency_s:
            time.sleep(self._shape.latency_s)

    def carry(self, size_bytes: int) -> None:
        """Wait until so many more bytes have passed. What a late wake-up lost is caught up with."""
        now = time.perf_counter()
        self._free_at = max(self._free_at, now - 0.05) + size_bytes / self._shape.bytes_per_s
        if self._free_at > now:
            time.sleep(self._free_at - now)

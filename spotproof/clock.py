"""Time: the one place that reads the machine's clock."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the product needs from time. The simulator passes a virtual one."""

    def now(self) -> datetime:
        """Wall-clock time, aware, UTC. A hint between machines, never a guarantee."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back within one process."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let at least `seconds` pass; zero or less returns at once."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


def to_epoch_ms(moment: datetime) -> int:
    """Milliseconds since 1970 UTC, as stored in the table.

    Raises:
        ValueError: if `moment` is naive.
    """
    if moment.tzinfo is None:
        raise ValueError(f"naive datetime {moment.isoformat()}: give it a time zone")
    return round(moment.timestamp() * 1000)


def from_epoch_ms(epoch_ms: int) -> datetime:
    """The aware UTC moment of a stored number of milliseconds."""
    return datetime.fromtimestamp(epoch_ms / 1000, UTC)


def parse_utc(text: str) -> datetime:
    """An aware UTC moment from ISO 8601 text such as AWS events and IMDS carry.

    Raises:
        ValueError: if the text is not ISO 8601 or has no time zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time {text!r} has no time zone")
    return moment.astimezone(UTC)

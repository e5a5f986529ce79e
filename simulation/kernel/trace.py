"""What happened in a simulated world, in order: the same seed gives the same digest everywhere."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from simulation.kernel.scheduler import MICROSECONDS

LAST: Final = 40  # lines shown with a failure


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened; `what` and `detail` are words without addresses, hashes or local paths."""

    moment: int  # microseconds
    who: str
    what: str
    detail: str

    def words(self) -> str:
        return f"{self.moment / MICROSECONDS:12.6f}  {self.who:<28} {self.what} {self.detail}".rstrip()


class Trace:
    """Append only."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, str, str, str]] = []

    def note(self, moment: int, who: str, what: str, detail: str = "") -> None:
        self._entries.append((moment, who, what, detail))

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return (Entry(*entry) for entry in self._entries)

    def digest(self) -> str:
        """SHA-256 over everything noted, hexadecimal."""
        return hashlib.sha256(repr(self._entries).encode()).hexdigest()

    def last(self, count: int = LAST) -> list[Entry]:
        return [Entry(*entry) for entry in self._entries[-count:]]

"""What every tracker does."""

from typing import Protocol

from spotproof.checkpoints.memory.pages import Numbers


class Tracker(Protocol):
    """Tells which pages of an image may have changed. One thread uses it at a time; between safe points nobody writes."""

    @property
    def name(self) -> str:
        """ "compare" or "pagemap"."""
        ...

    def collect(self) -> Numbers:
        """Pages that may differ from the shadow: (n,) int64, sorted, unique.

        `pagemap` reports a page again only if it was written again, so the caller keeps what a failed save carried.
        `compare` is exact, against the shadow of this moment, every time.
        """
        ...

    def dirty_bytes(self) -> int | None:
        """At most these many bytes would be collected now. Changes nothing; None if that can't be known cheaply."""
        ...

    def arm(self) -> None:
        """Live bytes and shadow are equal now: forget everything."""
        ...

    def close(self) -> None:
        """Let go of the kernel's resources; a second time does nothing."""
        ...

"""The portable tracker: compares every page with the shadow."""

from collections.abc import Callable

from spotproof.checkpoints.memory.pages import Bytes8, Numbers, Source, changed_pages


class CompareTracker:
    """Needs nothing of the kernel and keeps nothing; `collect` reads the live bytes and the shadow once."""

    name = "compare"

    def __init__(self, source: Source, shadow: Callable[[], Bytes8]) -> None:
        self._source = source
        self._shadow = shadow

    def collect(self) -> Numbers:
        return changed_pages(self._source.pieces(), self._shadow())

    def dirty_bytes(self) -> int | None:
        return None

    def arm(self) -> None:
        """Nothing to forget: equal bytes are not reported."""

    def close(self) -> None:
        """Nothing to let go of."""

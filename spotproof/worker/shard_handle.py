"""What a user's function receives as `shard`."""

from collections.abc import Iterator
from typing import IO, Any, Protocol

from spotproof.interruptions.monitor import Monitor


class Reader(Protocol):
    """Reads one shard's part of the input, pinned to what the plan saw."""

    @property
    def fraction_done(self) -> float: ...

    def batches(self, after: Any = None, records: int = 1000) -> Iterator[Any]: ...

    def objects(self) -> Iterator[tuple[str, IO[bytes]]]: ...


class Output(Protocol):
    """Collects a shard's output files."""

    def open(self, name: str) -> Any: ...


class ShardHandle:
    """One shard as its function sees it.

    Attributes:
        index: position in the plan, from 0.
        id: stable text id of the shard.
        options: the run's options that are not Spotproof's own, as given at submit.
        output: `output.open(name)` writes a file of the shard's output.
    """

    def __init__(
        self, *, index: int, shard_id: str, options: dict[str, str], reader: Reader, output: Output, monitor: Monitor
    ) -> None:
        self.index = index
        self.id = shard_id
        self.options = options
        self.output = output
        self._reader = reader
        self._monitor = monitor

    def batches(self, after: Any = None, records: int = 1000) -> Iterator[Any]:
        """The shard's records in order, a batch at a time.

        Args:
            after: a batch's `end`; reading goes on right behind it. None starts at the beginning.
            records: at most so many records a batch.

        Raises:
            InputChangedError: an object differs from the plan's pin.
            InputError: an object can't be read.
        """
        return self._reader.batches(after=after, records=records)

    def objects(self) -> Iterator[tuple[str, IO[bytes]]]:
        """The shard's objects as (URI, open binary stream), for formats of your own."""
        return self._reader.objects()

    def sleep(self, seconds: float) -> None:
        """Wait, e.g. for a rate limit; ends early when the worker must stop. `yield` afterwards."""
        self._monitor.pause(seconds)

    @property
    def fraction_done(self) -> float:
        """How much of the shard's input was read, 0 to 1, by bytes."""
        return self._reader.fraction_done

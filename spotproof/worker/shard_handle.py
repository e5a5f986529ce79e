"""What a user's function receives as `shard`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from spotproof.clock import Clock
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
        at_safe_point: what `safe_point` does; the worker sets it.
    """

    def __init__(
        self,
        *,
        index: int,
        shard_id: str,
        options: dict[str, str],
        reader: Reader,
        output: Output,
        monitor: Monitor,
        scratch: Callable[[], Path],
        clock: Clock,
    ) -> None:
        self.index = index
        self.id = shard_id
        self.options = options
        self.output = output
        self.at_safe_point: Callable[[], None] = lambda: None
        self._reader = reader
        self._monitor = monitor
        self._scratch = scratch
        self._clock = clock

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

    def safe_point(self) -> None:
        """What `yield` does, for code that can't yield, such as a callback: the state may be saved here.

        Raises:
            WorkerStopped: this worker must let go of the shard. Let it pass.
        """
        self.at_safe_point()

    @property
    def stopping(self) -> bool:
        """Whether this worker must leave soon: tell a program or a loop to save and end. Then `yield`."""
        return self._monitor.stop() is not None

    @property
    def window_s(self) -> float:
        """Seconds until the host is gone; infinite if nothing is known of that."""
        stop = self._monitor.stop()
        if stop is None or stop.deadline is None:
            return float("inf")
        return (stop.deadline - self._clock.now()).total_seconds()

    @property
    def scratch_dir(self) -> Path:
        """A folder of this shard's own on this host, removed when the worker is through with the shard.

        Raises:
            ScratchFullError: the disk is full.
        """
        return self._scratch()

    @property
    def fraction_done(self) -> float:
        """How much of the shard's input was read, 0 to 1, by bytes."""
        return self._reader.fraction_done

"""What a user's function receives as `shard`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from spotproof.clock import Clock
from spotproof.interruptions.monitor import Monitor
from spotproof.shards.model import InputFormat


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
        input_format: what the input's records are, if it has any.
        sharding: how the input is cut, as `shard_by` text with "auto" resolved.
        ready_to_leave: a job that has wrapped up because of a stop sets it: what is left of the window is of no use to
            it. The next safe point saves and lets go.
        at_safe_point: what `safe_point` does; the worker sets it.
        spare: what `spare_s` tells; the worker sets it.
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
        input_format: InputFormat = InputFormat.ANY,
        sharding: str = "objects",
    ) -> None:
        self.index = index
        self.id = shard_id
        self.options = options
        self.output = output
        self.input_format = input_format
        self.sharding = sharding
        self.ready_to_leave = False
        self.at_safe_point: Callable[[], None] = lambda: None
        self.spare: Callable[[], float] = lambda: self.window_s
        self._fraction_done: float | None = None
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
    def spare_s(self) -> float:
        """Seconds until the last save of this shard must begin, by what saves took lately; infinite without a deadline."""
        return self.spare()

    @property
    def scratch_dir(self) -> Path:
        """A folder of this shard's own on this host, removed when the worker is through with the shard.

        Raises:
            ScratchFullError: the disk is full.
        """
        return self._scratch()

    @property
    def fraction_done(self) -> float:
        """How much of the shard is done, 0 to 1: of its input's bytes what was read, unless the job says otherwise."""
        return self._reader.fraction_done if self._fraction_done is None else self._fraction_done

    @fraction_done.setter
    def fraction_done(self, fraction: float) -> None:
        """For jobs whose work only begins when their input was read. A number that stays says: unknown."""
        self._fraction_done = fraction

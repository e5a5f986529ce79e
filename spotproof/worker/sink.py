"""A shard's output on its way: scratch files, staged objects, final keys."""

from typing import Any

from spotproof.commits.buckets import OutputBuckets
from spotproof.commits.encoding import encode_value
from spotproof.commits.output import OutputWriter
from spotproof.commits.publish import Publisher
from spotproof.commits.staging import stage
from spotproof.leases.model import Lease, OutputPointer, Run


class ShardSink:
    """What one lease produces; `writer` is the user's `shard.output`."""

    def __init__(self, *, lease: Lease, run: Run, buckets: OutputBuckets, scratch_dir: str) -> None:
        self.writer = OutputWriter(index=lease.index, scratch_dir=scratch_dir)
        self._lease = lease
        self._run = run
        self._buckets = buckets

    @property
    def started(self) -> bool:
        return self.writer.started

    def stage(self, value: Any) -> OutputPointer:
        """Encode the returned value, upload it and the written files; durable when it returns.

        Raises:
            OutputValueError: the value or a file can't be an output.
            ConfigurationError: the value is a table, and the library that writes it is missing.
            ScratchFullError: the scratch disk is full.
            OutputConflictError: other bytes sit where this attempt stages.
            LeaseLostError: what was uploaded was cleaned up: somebody else has done the shard.
            AwsError: the bucket refused or stayed unavailable.
        """
        files = [*encode_value(value, self._lease.index), *self.writer.files()]
        return stage(self._buckets.work, self._lease, files)

    def publish(self, pointer: OutputPointer) -> None:
        """Copy the committed output to its final keys; errors as Publisher.publish."""
        Publisher(self._buckets).publish(self._run, self._lease.index, pointer)

    def discard(self) -> None:
        self.writer.discard()

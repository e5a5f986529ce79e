"""What checkpoints and commits need from a bucket."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from spotproof.errors import CheckpointCorruptError

Buffer: TypeAlias = bytes | bytearray | memoryview  # C-contiguous
OCTETS: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFacts:
    """What a bucket says about an object without reading it."""

    key: str
    size_bytes: int
    etag: str = ""  # empty from a listing
    content_type: str = ""  # empty from a listing
    metadata: Mapping[str, str] = field(default_factory=dict)  # empty from a listing
    modified: datetime | None = field(default=None, compare=False)  # by the bucket's clock; only from a listing


@dataclass(frozen=True, slots=True, kw_only=True)
class Undeleted:
    """A key that a bucket refused to delete, and what it said."""

    key: str
    code: str
    message: str = ""


class ObjectStore(Protocol):
    """One bucket, for any number of threads at once. Reads see every write that was answered before.

    Every method may raise AwsAccessError, AwsMissingError (the bucket is gone) or AwsUnavailableError.
    """

    def put(self, key: str, data: Buffer) -> None:
        """Write the object, replacing what is there. Keys of ours are unique, so a repeat writes the same bytes.

        Nothing may change `data` before this returns.
        """
        ...

    def put_if_absent(
        self, key: str, content: Buffer | Path, *, content_type: str = OCTETS, metadata: Mapping[str, str] | None = None
    ) -> bool:
        """Write the object unless the key is taken; False if it is, by whomever: a lost reply of ours included."""
        ...

    def get(self, key: str, *, size_max: int) -> bytes | None:
        """The object's bytes; None if there is none.

        Raises:
            CheckpointCorruptError: it is larger than `size_max` bytes; nothing of it was read.
        """
        ...

    def get_into(self, key: str, target: memoryview, *, offset: int = 0) -> bool:
        """Fill `target` with the object's bytes from `offset` on; False if there is no such object.

        Args:
            target: writable, C-contiguous; after an error or False its content is undefined.
            offset: of the first byte in the object, >= 0.

        Raises:
            CheckpointCorruptError: the object ends before the target is full.
        """
        ...

    def head(self, key: str) -> ObjectFacts | None:
        """What is known about the object; None if there is none."""
        ...

    def delete_many(self, keys: Iterable[str]) -> None:
        """Delete the objects, a thousand per request; missing ones are fine.

        Raises:
            AwsError: some could not be deleted; the text names the first.
        """
        ...

    def list(self, prefix: str) -> Iterator[ObjectFacts]:
        """The objects under the prefix in key order."""
        ...


def check_size(key: str, size_bytes: int, *, size_max: int) -> None:
    """Refuse an object that is larger than expected: CheckpointCorruptError."""
    if size_bytes > size_max:
        raise CheckpointCorruptError(f"object {key} has {size_bytes} bytes, more than the {size_max} expected")


def check_range(key: str, *, offset: int, wanted: int, got: int) -> None:
    """Refuse a range that is not as long as was asked for: CheckpointCorruptError."""
    if got != wanted:
        raise CheckpointCorruptError(f"object {key} has {got} bytes from byte {offset} on, where {wanted} should be")


def delete_all(objects: ObjectStore, prefix: str) -> int:
    """Delete every object under the prefix and return how many there were.

    Raises:
        ValueError: the prefix does not end with a slash; it could hit a neighbour.
    """
    if not prefix.endswith("/") or prefix == "/":
        raise ValueError(f"prefix to delete must be a folder ending in a slash, got {prefix!r}")
    keys = [facts.key for facts in objects.list(prefix)]
    if keys:
        objects.delete_many(keys)
    return len(keys)

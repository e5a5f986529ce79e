"""What checkpoints and commits need from a bucket."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

OCTETS: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFacts:
    """What a bucket says about an object without reading it."""

    key: str
    size_bytes: int
    etag: str = ""  # empty from a listing
    content_type: str = ""  # empty from a listing
    metadata: Mapping[str, str] = field(default_factory=dict)  # empty from a listing


class ObjectStore(Protocol):
    """One bucket. Reads see every write that was answered before.

    Every method may raise AwsAccessError, AwsMissingError (the bucket is gone) or AwsUnavailableError.
    """

    def put(self, key: str, data: bytes) -> None:
        """Write the object, replacing what is there. Keys of ours are unique, so a repeat writes the same bytes."""
        ...

    def put_if_absent(
        self, key: str, content: bytes | Path, *, content_type: str = OCTETS, metadata: Mapping[str, str] | None = None
    ) -> bool:
        """Write the object unless the key is taken; False if it is, by whomever: a lost reply of ours included."""
        ...

    def get(self, key: str, *, size_max: int) -> bytes | None:
        """The object's bytes; None if there is none.

        Raises:
            CheckpointCorruptError: it is larger than `size_max` bytes; nothing of it was read.
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

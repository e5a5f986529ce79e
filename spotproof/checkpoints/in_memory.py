"""A bucket in memory, for tests and the simulation."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from spotproof.checkpoints.store import OCTETS, Buffer, ObjectFacts, Undeleted, check_range, check_size
from spotproof.clock import Clock
from spotproof.concurrency import ThreadSpawner


class InMemoryObjectStore:
    """Behaves like S3, towards many threads too."""

    def __init__(self, clock: Clock | None = None) -> None:
        """`clock`: says when objects are written; without one nobody knows."""
        self.objects: dict[str, bytes] = {}
        self.modified: dict[str, datetime | None] = {}
        self._clock = clock
        self.metadata: dict[str, dict[str, str]] = {}
        self.content_types: dict[str, str] = {}
        self._creating = ThreadSpawner().lock()

    def put(self, key: str, data: Buffer) -> None:
        self._write(key, bytes(data), OCTETS, {})

    def put_if_absent(
        self, key: str, content: Buffer | Path, *, content_type: str = OCTETS, metadata: Mapping[str, str] | None = None
    ) -> bool:
        data = content.read_bytes() if isinstance(content, Path) else bytes(content)
        with self._creating:
            if key in self.objects:
                return False
            self._write(key, data, content_type, dict(metadata or {}))
        return True

    def get(self, key: str, *, size_max: int) -> bytes | None:
        data = self.objects.get(key)
        if data is not None:
            check_size(key, len(data), size_max=size_max)
        return data

    def get_into(self, key: str, target: memoryview, *, offset: int = 0) -> bool:
        data = self.objects.get(key)
        if data is None:
            return False
        found = data[offset : offset + target.nbytes]
        check_range(key, offset=offset, wanted=target.nbytes, got=len(found))
        target.cast("B")[:] = found
        return True

    def head(self, key: str) -> ObjectFacts | None:
        data = self.objects.get(key)
        if data is None:
            return None
        return ObjectFacts(
            key=key,
            size_bytes=len(data),
            etag=_etag(data),
            content_type=self.content_types.get(key, OCTETS),
            metadata=self.metadata.get(key, {}),
        )

    def delete_many(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)
            self.metadata.pop(key, None)
            self.content_types.pop(key, None)
            self.modified.pop(key, None)

    def delete_batch(self, keys: Sequence[str]) -> list[Undeleted]:
        self.delete_many(keys)
        return []

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectFacts]:
        for key in sorted(key for key in list(self.objects) if key.startswith(prefix) and key > after):
            if key in self.objects:  # still: what is deleted while we list is on no later page
                yield ObjectFacts(key=key, size_bytes=len(self.objects[key]), modified=self.modified.get(key))

    def _write(self, key: str, data: bytes, content_type: str, metadata: dict[str, str]) -> None:
        self.objects[key] = data
        self.modified[key] = None if self._clock is None else self._clock.now()
        self.content_types[key] = content_type
        self.metadata[key] = metadata


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'

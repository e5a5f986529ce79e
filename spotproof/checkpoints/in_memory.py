"""A bucket in memory, for tests and the simulation."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from spotproof.checkpoints.store import OCTETS, ObjectFacts
from spotproof.errors import CheckpointCorruptError


class InMemoryObjectStore:
    """Behaves like S3 towards one caller at a time."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.content_types: dict[str, str] = {}

    def put(self, key: str, data: bytes) -> None:
        self._write(key, data, OCTETS, {})

    def put_if_absent(
        self, key: str, content: bytes | Path, *, content_type: str = OCTETS, metadata: Mapping[str, str] | None = None
    ) -> bool:
        if key in self.objects:
            return False
        data = content if isinstance(content, bytes) else content.read_bytes()
        self._write(key, data, content_type, dict(metadata or {}))
        return True

    def get(self, key: str, *, size_max: int) -> bytes | None:
        data = self.objects.get(key)
        if data is not None and len(data) > size_max:
            raise CheckpointCorruptError(f"object {key} has {len(data)} bytes, more than the {size_max} expected")
        return data

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

    def list(self, prefix: str) -> Iterator[ObjectFacts]:
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            yield ObjectFacts(key=key, size_bytes=len(self.objects[key]))

    def _write(self, key: str, data: bytes, content_type: str, metadata: dict[str, str]) -> None:
        self.objects[key] = bytes(data)
        self.content_types[key] = content_type
        self.metadata[key] = metadata


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'

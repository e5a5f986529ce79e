"""Counts what checkpoints ask of a bucket: requests and bytes, as published and as the stop decision needs them."""

from collections.abc import Collection
from dataclasses import dataclass

from spotproof.checkpoints.store import Buffer, ObjectStore
from spotproof.concurrency import ThreadSpawner


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Requests and payload bytes; retries of a request are not counted."""

    requests: int = 0
    size_bytes: int = 0

    def since(self, earlier: "Traffic") -> "Traffic":
        return Traffic(requests=self.requests - earlier.requests, size_bytes=self.size_bytes - earlier.size_bytes)


class MeteredStore:
    """The part of an ObjectStore that checkpoints use, with a meter. No request of any thread is lost to it."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self.traffic = Traffic()
        self._counting = ThreadSpawner().lock()

    def put(self, key: str, data: Buffer) -> None:
        self._count(memoryview(data).nbytes)
        self._objects.put(key, data)

    def put_if_absent(self, key: str, data: Buffer) -> bool:
        self._count(memoryview(data).nbytes)
        return self._objects.put_if_absent(key, data)

    def get(self, key: str, *, size_max: int) -> bytes | None:
        data = self._objects.get(key, size_max=size_max)
        self._count(len(data or b""))
        return data

    def get_into(self, key: str, target: memoryview, *, offset: int = 0) -> bool:
        found = self._objects.get_into(key, target, offset=offset)
        self._count(target.nbytes if found else 0)
        return found

    def delete_many(self, keys: Collection[str]) -> None:
        self._count(0)
        self._objects.delete_many(keys)

    def keys(self, prefix: str) -> list[str]:
        self._count(0)
        return [facts.key for facts in self._objects.list(prefix)]

    def _count(self, size_bytes: int) -> None:
        with self._counting:
            counted = self.traffic
            self.traffic = Traffic(requests=counted.requests + 1, size_bytes=counted.size_bytes + size_bytes)

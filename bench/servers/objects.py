"""Objects in memory whose buffers are used again: fresh pages would cost a server more than the bytes in them."""

import threading
from collections import defaultdict
from typing import Final

KEPT_MIN_BYTES: Final = 1 << 20  # smaller buffers are not worth keeping


class Buffers:
    """Buffers by size. One that nobody uses any more comes back by itself."""

    def __init__(self) -> None:
        self._free: dict[int, list[bytearray]] = defaultdict(list)

    def take(self, size_bytes: int) -> bytearray:
        """A buffer of this size; its content is undefined."""
        if size_bytes >= KEPT_MIN_BYTES:
            try:
                return self._free[size_bytes].pop()
            except IndexError:
                pass
        return bytearray(size_bytes)

    def give_back(self, buffer: bytearray) -> None:
        if len(buffer) >= KEPT_MIN_BYTES:
            self._free[len(buffer)].append(buffer)


class StoredObject:
    """Bytes, type and metadata. When the last reader lets go of it, its buffer is free again."""

    __slots__ = ("_buffers", "data", "etag", "headers")

    def __init__(self, data: bytearray, *, etag: str, headers: dict[str, str], buffers: Buffers) -> None:
        self.data = data
        self.etag = etag
        self.headers = headers
        self._buffers = buffers

    def __del__(self) -> None:
        self._buffers.give_back(self.data)


class Objects:
    """One account's objects by bucket and key."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, StoredObject]] = {}
        self.uploads: dict[str, tuple[str, str, dict[str, str], dict[int, bytearray]]] = {}
        self.buffers = Buffers()
        self._lock = threading.Lock()
        self._count = 0

    def number(self) -> int:
        """1, 2, 3 …"""
        with self._lock:
            self._count += 1
            return self._count

    def write(
        self, bucket: str, key: str, data: bytearray, headers: dict[str, str], *, if_absent: bool
    ) -> StoredObject | None:
        """The object as it is now there; None if the key was taken."""
        stored = StoredObject(data, etag=f'"{self.number():032x}"', headers=headers, buffers=self.buffers)
        with self._lock:
            shelf = self.buckets[bucket]
            if if_absent and key in shelf:
                return None
            replaced, shelf[key] = shelf.get(key), stored
        del replaced  # outside the lock: its buffer goes back
        return stored

    def delete(self, bucket: str, key: str) -> None:
        self.buckets[bucket].pop(key, None)

    def below(self, bucket: str, prefix: str) -> list[tuple[str, StoredObject]]:
        """In the order of the keys' UTF-8 bytes."""
        with self._lock:
            found = [item for item in self.buckets[bucket].items() if item[0].startswith(prefix)]
        return sorted(found, key=lambda item: item[0].encode())

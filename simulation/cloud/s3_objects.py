"""Stored objects: their bytes in key order, and the rules of entity tags, conditions and ranges."""

import hashlib
import re
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from simulation.cloud.s3_requests import refusal

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


class StoredObject(NamedTuple):
    """One object. A value: a change of it is another one."""

    data: bytes
    etag: str  # with quotes
    content_type: str
    metadata: Mapping[str, str]
    tags: tuple[tuple[str, str], ...]
    last_modified: datetime  # whole seconds, as HTTP has them


class Shelf:
    """The objects of one bucket, found by key or walked in order (of code points, which is that of UTF-8)."""

    def __init__(self) -> None:
        self._objects: dict[str, StoredObject] = {}
        self._keys: list[str] = []  # sorted

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: str) -> StoredObject | None:
        return self._objects.get(key)

    def put(self, key: str, stored: StoredObject) -> None:
        if key not in self._objects:
            insort(self._keys, key)
        self._objects[key] = stored

    def pop(self, key: str) -> StoredObject | None:
        stored = self._objects.pop(key, None)
        if stored is not None:
            del self._keys[bisect_left(self._keys, key)]
        return stored

    def walk(self, prefix: str, *, after: str = "") -> Iterator[tuple[str, StoredObject]]:
        """Keys that start with the prefix and come after `after`; the shelf must not change meanwhile."""
        place = max(bisect_left(self._keys, prefix), bisect_left(self._keys, f"{after}\0") if after else 0)
        while place < len(self._keys) and self._keys[place].startswith(prefix):
            yield self._keys[place], self._objects[self._keys[place]]
            place += 1


def etag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


def etag_of_parts(etags: list[str]) -> str:
    """The tag of an object put together from parts: the MD5 of their MD5s, and their number."""
    digests = b"".join(bytes.fromhex(etag.strip('"')) for etag in etags)
    return f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(etags)}"'


def same_etag(given: str, stored: str) -> bool:
    return given.strip('"') == stored.strip('"')


def matches(given: str, stored: str) -> bool:
    """Whether If-Match or If-None-Match of a read means this object."""
    return given == "*" or same_etag(given, stored)


def check_read(operation: str, request: Mapping[str, Any], stored: StoredObject) -> None:
    """Raise what the conditions of a read ask for: 412, or 304 for a caller who has this object already."""
    if "IfMatch" in request and not matches(request["IfMatch"], stored.etag):
        raise refusal(operation, "PreconditionFailed")
    if "IfNoneMatch" in request and matches(request["IfNoneMatch"], stored.etag):
        raise refusal(operation, "304")


def check_write(operation: str, request: Mapping[str, Any], stored: StoredObject | None) -> None:
    """Raise what the conditions of a write ask for: 412, or 404 for If-Match of nothing."""
    if "IfNoneMatch" in request:
        if request["IfNoneMatch"] != "*" or "IfMatch" in request:
            raise refusal(operation, "NotImplemented")
        if stored is not None:
            raise refusal(operation, "PreconditionFailed")
    elif "IfMatch" in request:
        if stored is None:
            raise refusal(operation, "NoSuchKey")
        if not same_etag(request["IfMatch"], stored.etag):
            raise refusal(operation, "PreconditionFailed")


def range_of(operation: str, text: str, size_bytes: int) -> tuple[int, int]:
    """First byte and the one after the last that a Range header asks for.

    Raises:
        ClientError: InvalidRange, nothing of it is in the object.
        NotImplementedError: several ranges, or none that HTTP knows; S3 would send the whole object.
    """
    found = _RANGE.fullmatch(text)
    if found is None or text == "bytes=-" or (found[1] and found[2] and int(found[1]) > int(found[2])):
        raise NotImplementedError(f"the simulated S3 does not understand Range {text!r}")
    if not found[1]:
        start, stop = max(0, size_bytes - int(found[2])), size_bytes
    else:
        start, stop = int(found[1]), min(int(found[2]) + 1 if found[2] else size_bytes, size_bytes)
    if start >= stop:
        raise refusal(operation, "InvalidRange")
    return start, stop

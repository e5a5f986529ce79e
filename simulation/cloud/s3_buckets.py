"""The buckets of the simulated S3: every effect goes through here, wanted or done to them."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

from botocore.exceptions import ParamValidationError

from simulation.cloud.s3_objects import Shelf, StoredObject, check_write, etag_of
from simulation.cloud.s3_requests import check_key, refusal

_NAME: Final = re.compile(r"[a-zA-Z0-9.\-_]{1,255}")  # botocore.handlers.VALID_BUCKET
_CONDITIONS: Final = frozenset({"IfMatch", "IfNoneMatch"})

Watch: TypeAlias = Callable[[str, str, bytes | None, bytes | None, str], None]
"""Bucket, key, bytes before and after (None: no object), and the operation that did it."""


class Damage(StrEnum):
    """What can happen to stored bytes."""

    FLIP = "flip"  # one bit of the byte in the middle
    TRUNCATE = "truncate"  # the second half is lost
    SWAP = "swap"  # another object's bytes


class Buckets:
    """All buckets, the conflicts that are due, and who watches."""

    def __init__(self, names: Iterable[str], *, now: Callable[[], datetime]) -> None:
        self.watch: list[Watch] = []
        self.conflicts: set[tuple[str, str]] = set()
        self.cuts: dict[tuple[str, str], int] = {}
        self.undeletable: dict[tuple[str, str], str] = {}  # bucket and prefix -> error code
        self._shelves = {name: Shelf() for name in names}
        self._now = now

    def __contains__(self, name: str) -> bool:
        return name in self._shelves

    def shelf(self, operation: str, bucket: str) -> Shelf:
        shelf = self._shelves.get(bucket)
        if shelf is not None:
            return shelf
        if not _NAME.fullmatch(bucket):
            raise ParamValidationError(report=f"Invalid bucket name {bucket!r}")
        raise refusal(operation, "NoSuchBucket")

    def create(self, name: str) -> None:
        if name in self._shelves:
            raise refusal("CreateBucket", "BucketAlreadyOwnedByYou")
        self._shelves[name] = Shelf()

    def drop(self, name: str) -> None:
        if len(self.shelf("DeleteBucket", name)):
            raise refusal("DeleteBucket", "BucketNotEmpty")
        del self._shelves[name]

    def read(self, operation: str, bucket: str, key: str) -> StoredObject:
        stored = self.shelf(operation, bucket).get(key)
        if stored is None:
            raise refusal(operation, "NoSuchKey")
        return stored

    def write(self, operation: str, request: Mapping[str, Any], *, data: bytes, etag: str = "", **facts: Any) -> str:
        """Store an object if the request's conditions hold, and tell who watches; its entity tag.

        Args:
            facts: the other fields of StoredObject but `last_modified`; those not given are as S3 has them.

        Raises:
            ClientError: 412, 404 or 409 for the condition, or a key that is too long.
        """
        bucket, key = request["Bucket"], request["Key"]
        shelf = self.shelf(operation, bucket)
        check_key(operation, key)
        old = shelf.get(key)
        self._check_write(operation, request, old)
        new = StoredObject(
            data=data,
            etag=etag or etag_of(data),
            content_type=facts.get("content_type") or "binary/octet-stream",
            metadata=facts.get("metadata") or {},
            tags=facts.get("tags", ()),
            last_modified=self.second(),
        )
        shelf.put(key, new)
        self._tell(bucket, key, old, new, operation)
        return new.etag

    def tag(self, operation: str, bucket: str, key: str, tags: tuple[tuple[str, str], ...]) -> None:
        """Replace the tags; the bytes and LastModified stay."""
        old = self.read(operation, bucket, key)
        new = old._replace(tags=tags)
        self.shelf(operation, bucket).put(key, new)
        self._tell(bucket, key, old, new, operation)

    def delete(self, operation: str, bucket: str, key: str) -> str | None:
        """Delete the object if there is one; the error code if this key can't be deleted."""
        for (refused_bucket, prefix), code in self.undeletable.items():
            if bucket == refused_bucket and key.startswith(prefix):
                return code
        self.remove(operation, bucket, key)
        return None

    def remove(self, operation: str, bucket: str, key: str) -> None:
        """Remove the object if there is one, refused or not."""
        old = self.shelf(operation, bucket).pop(key)
        if old is not None:
            self._tell(bucket, key, old, None, operation)

    def damage(self, bucket: str, key: str, how: Damage, other: str | None) -> None:
        """Change stored bytes behind everybody's back: tag, type, metadata and time stay as they were."""
        old = self.read("Corrupt", bucket, key)
        new = old._replace(data=self._damaged(bucket, old.data, how, other))
        if new.data == old.data:
            raise ValueError(f"{how} leaves s3://{bucket}/{key} as it was; choose another object")
        self.shelf("Corrupt", bucket).put(key, new)
        self._tell(bucket, key, old, new, "Corrupt")

    def second(self) -> datetime:
        """Now, in whole seconds."""
        return self._now().replace(microsecond=0)

    # --- internals -----------------------------------------------------------------------------------------------

    def _check_write(self, operation: str, request: Mapping[str, Any], old: StoredObject | None) -> None:
        if _CONDITIONS.isdisjoint(request):
            return
        place = (request["Bucket"], request["Key"])
        if place in self.conflicts:
            self.conflicts.discard(place)
            raise refusal(operation, "ConditionalRequestConflict")
        check_write(operation, request, old)

    def _damaged(self, bucket: str, data: bytes, how: Damage, other: str | None) -> bytes:
        match how:
            case Damage.FLIP:
                middle = len(data) // 2
                return data[:middle] + bytes(byte ^ 1 for byte in data[middle : middle + 1]) + data[middle + 1 :]
            case Damage.TRUNCATE:
                return data[: len(data) // 2]
            case Damage.SWAP:
                if other is None:
                    raise ValueError("to swap an object's bytes, name the key that holds the other bytes")
                return self.read("Corrupt", bucket, other).data

    def _tell(self, bucket: str, key: str, old: StoredObject | None, new: StoredObject | None, operation: str) -> None:
        for watch in self.watch:
            watch(bucket, key, old and old.data, new and new.data, operation)

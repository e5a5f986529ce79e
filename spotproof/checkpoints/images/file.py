"""A file of the shard's scratch folder."""

import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from spotproof.checkpoints.entries import ImageKind
from spotproof.checkpoints.memory.arena import allocate_on_disk
from spotproof.checkpoints.memory.pages import Bytes8, Piece
from spotproof.errors import CheckpointCorruptError, ScratchFullError

KIND: Final[ImageKind] = "file"
MODE_DEFAULT: Final = 0o644


class LiveFile:
    """One file, looked at only during a save. Its shadow is on the same disk, so big files cost no memory."""

    kind: ImageKind = KIND

    def __init__(self, path: Path, *, scratch_dir: str) -> None:
        self.path = path
        self._scratch_dir = scratch_dir
        self._map: mmap.mmap | None = None

    def describe(self) -> dict[str, Any]:
        try:
            return {"mode": os.stat(self.path).st_mode & 0o7777, "exists": True}
        except FileNotFoundError:
            return {"mode": MODE_DEFAULT, "exists": False}

    def pieces(self) -> Sequence[Piece]:
        self.release()
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size == 0:
                    return []
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            return []
        return [Piece(offset=0, data=np.frombuffer(self._map, np.uint8))]

    def release(self) -> None:
        self._map = None  # closed with the last view of it

    def allocate_shadow(self, size_bytes: int) -> Bytes8:
        return allocate_on_disk(self._scratch_dir, size_bytes)

    def memory(self) -> Bytes8 | None:
        return None

    def load(self, shadow: Bytes8, start: int, stop: int) -> None:
        with self.path.open("r+b") as file:
            file.seek(start)
            file.write(shadow[start:stop].data)


def restored_file(path: Path, descr: dict[str, Any], length: int, *, scratch_dir: str) -> LiveFile:
    """The file that a manifest describes, of the right size and mode; its bytes are loaded afterwards.

    Raises:
        CheckpointCorruptError: the description is none.
        ScratchFullError: the disk is full.
    """
    mode, exists = descr.get("mode"), descr.get("exists")
    if type(mode) is not int or not 0 <= mode <= 0o7777 or type(exists) is not bool or (length and not exists):
        raise CheckpointCorruptError(f"no description of a file: {descr}")
    live = LiveFile(path, scratch_dir=scratch_dir)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if exists:
            with path.open("wb") as file:
                file.truncate(length)
            path.chmod(mode | 0o600)
    except OSError as error:
        raise ScratchFullError(f"cannot restore {path.name}: {error}") from error
    return live

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
from spotproof.errors import CheckpointCorruptError, ScratchFullError, UnsavableValueError

KIND: Final[ImageKind] = "file"
MODE_DEFAULT: Final = 0o644


class LiveFile:
    """One file, looked at only during a save. Its shadow is on the same disk, so big files cost no memory."""

    kind: ImageKind = KIND

    def __init__(self, path: Path, *, scratch_dir: str, loading: int | None = None) -> None:
        """`loading`: a descriptor that restored bytes are written by; closed by `release`."""
        self.path = path
        self._scratch_dir = scratch_dir
        self._map: mmap.mmap | None = None
        self._loading = loading

    def describe(self) -> dict[str, Any]:
        try:
            return {"mode": os.stat(self.path).st_mode & 0o7777, "exists": True}
        except FileNotFoundError:
            return {"mode": MODE_DEFAULT, "exists": False}
        except OSError as error:
            raise self._unreadable(error) from error

    def pieces(self) -> Sequence[Piece]:
        self.release()
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size == 0:
                    return []
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unreadable(error) from error
        return [Piece(offset=0, data=np.frombuffer(self._map, np.uint8))]

    def release(self) -> None:
        self._map = None  # closed with the last view of it
        if self._loading is not None:
            os.close(self._loading)
            self._loading = None

    def allocate_shadow(self, size_bytes: int) -> Bytes8:
        return allocate_on_disk(self._scratch_dir, size_bytes)

    def memory(self) -> Bytes8 | None:
        return None

    def load(self, shadow: Bytes8, start: int, stop: int) -> None:
        assert self._loading is not None, "only a restored file is loaded"
        while start < stop:
            try:
                start += os.pwrite(self._loading, shadow[start:stop].data, start)
            except OSError as error:
                raise ScratchFullError(f"cannot restore {self.path.name}: {error}") from error

    def check_loaded(self) -> None:
        """Any bytes are a file."""

    def _unreadable(self, error: OSError) -> UnsavableValueError:
        return UnsavableValueError(f"state.file({self.path.name!r}) can't be read: {error.strerror}")


def restored_file(path: Path, descr: dict[str, Any], length: int, *, scratch_dir: str) -> LiveFile:
    """The file that a manifest describes, of the right size and mode; its bytes are loaded afterwards.

    Raises:
        CheckpointCorruptError: the description is none.
        ScratchFullError: the disk is full.
    """
    mode, exists = descr.get("mode"), descr.get("exists")
    if type(mode) is not int or not 0 <= mode <= 0o7777 or type(exists) is not bool or (length and not exists):
        raise CheckpointCorruptError(f"no description of a file: {descr}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not exists:
            return LiveFile(path, scratch_dir=scratch_dir)
        loading = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.fchmod(loading, mode)  # the descriptor writes on, whatever the mode allows
        os.truncate(loading, length)
    except OSError as error:
        raise ScratchFullError(f"cannot restore {path.name}: {error}") from error
    return LiveFile(path, scratch_dir=scratch_dir, loading=loading)

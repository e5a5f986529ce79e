"""The folder in which simulated containers keep their files."""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

PREFIX: Final = "spotproof-simulation-"


@cache
def scratch_folder() -> str:
    """One folder for all worlds of this process and of those it forks from now on; gone when this process ends.

    In memory where there is such a file system: files come and go a thousand times a second.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=memory if memory.is_dir() else None)
    atexit.register(_remove, folder, maker=os.getpid())
    return folder


@contextlib.contextmanager
def scratch_kept() -> Iterator[None]:
    """Around processes that share the folder: made before they are forked, and removed whatever ends them.

    Processes of a pool are killed in the end; they remove nothing themselves.
    """
    folder = scratch_folder()
    try:
        yield
    finally:
        scratch_folder.cache_clear()
        _remove(folder, maker=os.getpid())


def _remove(folder: str, *, maker: int) -> None:
    if os.getpid() == maker:
        shutil.rmtree(folder, ignore_errors=True)

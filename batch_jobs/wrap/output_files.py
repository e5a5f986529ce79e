"""A program's output folder as the shard's output."""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Final, Protocol

from spotproof.checkpoints.directory_files import regular_files
from spotproof.errors import OutputValueError

COPY_BYTES: Final = 2**20


class Output(Protocol):
    """What is needed of `shard.output`."""

    def open(self, name: str) -> AbstractContextManager[IO[bytes]]: ...


def hand_over(folder: Path, output: Output) -> None:
    """Give every file below the folder to the shard's output, by its path; each is gone from the folder then.

    Raises:
        OutputValueError: something in it is no file or folder, or has a name that an output can't have.
        ScratchFullError: the disk is full.
    """
    files = list(regular_files(folder))
    for name, entry in files:
        if not entry.is_file(follow_symlinks=False):
            raise OutputValueError(f"output {name!r} is a link or a special file: write regular files")
    for name, entry in files:
        with Path(entry.path).open("rb") as source, output.open(name) as target:
            shutil.copyfileobj(source, target, COPY_BYTES)
        Path(entry.path).unlink()  # it is on the disk once, not twice

"""What a function gets as `shard.output`: files of its own beside the returned value."""

import errno
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from spotproof.commits.names import check_file_name, file_name
from spotproof.commits.staged_file import StagedFile
from spotproof.errors import OutputValueError, ScratchFullError

FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class OutputWriter:
    """Collects one shard's files on scratch disk; nothing is visible to others before the commit.

    Files are no part of the state. From the first `open` on, progress is durable again only with the commit, so open
    them late: what can be kept in the state until the last `yield` should be.
    """

    def __init__(self, *, index: int, scratch_dir: str) -> None:
        self._index = index
        self._scratch_dir = scratch_dir
        self._folder: Path | None = None
        self._paths: dict[str, Path] = {}
        self._open: set[str] = set()

    @property
    def started(self) -> bool:
        """Whether any file was opened: from then on no checkpoint may be taken."""
        return self._folder is not None

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """A new binary file of the output, kept if the `with` block ends without an error.

        Args:
            name: relative path with forward slashes; appears as part-<index>/<name> below the run's output.

        Raises:
            OutputValueError: the name is unusable or was used before.
            ScratchFullError: the scratch disk is full.
        """
        check_file_name(name)
        if name in self._paths or name in self._open:
            raise OutputValueError(f"output file {name!r} was opened before; every file is written once")
        path = self._next_path()
        self._open.add(name)
        try:
            with io.BufferedWriter(ScratchFile(path, "xb")) as file:
                yield file
            self._paths[name] = path
        finally:
            self._open.discard(name)

    def files(self) -> list[StagedFile]:
        """All finished files, by name.

        Raises:
            OutputValueError: one is still open.
        """
        if self._open:
            raise OutputValueError(f"output file {min(self._open)!r} is still open at the end of the function")
        return [StagedFile.of_path(file_name(self._index, name), path) for name, path in sorted(self._paths.items())]

    def discard(self) -> None:
        """Remove the scratch files; what could not be removed goes with the container."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None
        self._paths.clear()

    def _next_path(self) -> Path:
        if self._folder is None:
            try:
                self._folder = Path(tempfile.mkdtemp(prefix="spotproof-output-", dir=self._scratch_dir))
            except OSError as error:
                raise _scratch_error(error, self._scratch_dir) from error
        return self._folder / f"{len(list(self._folder.iterdir())):06d}"


class ScratchFile(io.FileIO):
    """A file whose full disk is reported as what it is."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            raise _scratch_error(error, str(self.name)) from error


def _scratch_error(error: OSError, place: str) -> Exception:
    if error.errno in FULL:
        return ScratchFullError(f"the scratch disk is full at {place}: give the job more ephemeral storage")
    return error

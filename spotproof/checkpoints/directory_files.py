"""A folder on this host: looked at for a save, and made again from what was saved."""

import errno
import os
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from spotproof.checkpoints.directory_entries import BIG, FILE, FOLDER, LINK, Entry, flaw_in_link, mode_of
from spotproof.checkpoints.names import flaw_in_path
from spotproof.errors import ScratchFullError, UnsavableValueError

SMALL_BYTES: Final = 64 * 2**10  # a bigger file is an image, of which only changed blocks travel
STAYS_BIG_BYTES: Final = SMALL_BYTES // 2  # below it an image becomes a small file again


def scan(name: str, root: Path, *, big: Collection[str]) -> dict[str, Entry]:
    """Everything below the folder, by relative path. Links are not followed; sockets, pipes and devices are left out.

    What vanishes during the look is left out as well: whoever wants one consistent moment holds the writers still.

    Args:
        name: of the folder, for messages.
        big: files that are images already.

    Raises:
        UnsavableValueError: something can't be read, or could not be restored; the text says what to do.
    """
    found: dict[str, Entry] = {}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for each in _listed(name, root, folder):
            path = f"{folder}/{each.name}" if folder else each.name
            entry = _look(name, each, path, big)
            if entry is not None:
                found[path] = entry
                if entry[0] == FOLDER:
                    waiting.append(path)
    return found


def restore(root: Path, entries: Mapping[str, Entry]) -> None:
    """Make the folder's content; files whose bytes are images are there already. `entries` have no flaw.

    Raises:
        ScratchFullError: the disk is full, or does not take them.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        folders = sorted(path for path, entry in entries.items() if entry[0] == FOLDER)
        for path in folders:
            (root / path).mkdir(exist_ok=True)
        for path, entry in entries.items():
            _restore_file(root / path, entry)
        for path, entry in entries.items():
            if entry[0] == LINK:
                (root / path).symlink_to(entry[1])
        for path in reversed(folders):  # the deepest first: a folder may forbid what comes behind it
            (root / path).chmod(entries[path][1])
    except OSError as error:
        raise ScratchFullError(f"cannot restore {error.filename or root}: {error.strerror}") from error


def regular_files(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything below the folder that is no folder, by relative path, in order of the names."""
    for each in sorted(os.scandir(root), key=lambda entry: entry.name):
        if each.is_dir(follow_symlinks=False):
            for path, entry in regular_files(Path(each.path)):
                yield f"{each.name}/{path}", entry
        else:
            yield each.name, each


def _listed(name: str, root: Path, folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root / folder) as listing:
            return sorted(listing, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(name, folder, error) from None


def _look(name: str, each: os.DirEntry[str], path: str, big: Collection[str]) -> Entry | None:
    try:
        status = each.stat(follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return _look_at_link(name, each, path)
        if stat.S_ISDIR(status.st_mode):
            return (FOLDER, mode_of(status.st_mode))
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size > (STAYS_BIG_BYTES if path in big else SMALL_BYTES):
            return _big(name, path, status)
        data = _read_small(each.path)
        if len(data) > SMALL_BYTES:
            return _big(name, path, status)
        return (FILE, mode_of(status.st_mode), status.st_mtime_ns, data)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(name, path, error) from None


def _look_at_link(name: str, each: os.DirEntry[str], path: str) -> Entry:
    target = os.readlink(each.path)
    flaw = flaw_in_link(path, target)
    if flaw is not None:
        raise UnsavableValueError(f"state.directory({name!r}): {path!r} {flaw}")
    return (LINK, target)


def _big(name: str, path: str, status: os.stat_result) -> Entry:
    flaw = flaw_in_path(f"{name}/{path}")
    if flaw is not None:
        raise UnsavableValueError(f"state.directory({name!r}): a file of more than {SMALL_BYTES // 1024} KiB {flaw}")
    return (BIG, mode_of(status.st_mode), status.st_mtime_ns)


def _read_small(path: str) -> bytes:
    """At most one byte more than a small file has, so that growth is seen."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        data = b""
        while len(data) <= SMALL_BYTES and (more := os.read(file, SMALL_BYTES + 1 - len(data))):
            data += more
        return data
    finally:
        os.close(file)


def _restore_file(path: Path, entry: Entry) -> None:
    if entry[0] not in (FILE, BIG):
        return
    if entry[0] == FILE:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(path, "wb", opener=lambda name, _: os.open(name, flags, 0o600)) as file:
            file.write(entry[3])
    path.chmod(entry[1])
    os.utime(path, ns=(entry[2], entry[2]), follow_symlinks=False)


def _unreadable(name: str, path: str, error: OSError) -> UnsavableValueError:
    hint = "let its owner read it" if error.errno in (errno.EACCES, errno.EPERM) else "it can't be saved"
    return UnsavableValueError(f"state.directory({name!r}): cannot read {path!r}: {error.strerror}; {hint}")

"""What a saved folder holds, as values: files, folders, links; and what of it may be restored."""

import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spotproof.checkpoints.names import PATH_PART_BYTES_MAX

PATH_BYTES_MAX: Final = 4096  # PATH_MAX of Linux
NANOSECONDS_MAX: Final = 2**63
MODE_MAX: Final = 0o7777
Entry = tuple[Any, ...]  # as a state.map keeps it; its first item is one of the kinds below
FOLDER: Final = "folder"  # (FOLDER, mode)
FILE: Final = "file"  # (FILE, mode, mtime_ns, bytes)
BIG: Final = "big"  # (BIG, mode, mtime_ns): the bytes are an image of the state
LINK: Final = "link"  # (LINK, target)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlawedEntry:
    """Why an entry of a folder can't be saved, or must not be restored."""

    path: str
    reason: str

    @property
    def text(self) -> str:
        return f"{self.path!r} {self.reason}"


def mode_of(status_mode: int) -> int:
    """Permission bits, set-id and sticky bits included."""
    return stat.S_IMODE(status_mode)


def flaw_in_link(path: str, target: str) -> str | None:
    """Why a symbolic link might lead out of its folder; None if it can't, whatever else is in there.

    A target may climb only at its beginning, and no higher than the folder: behind a name, `..` could follow another
    link to anywhere.
    """
    if not target or target.startswith("/") or "\0" in target or not _fits(target):
        return f"is a link to {target!r:.80}: only relative links that stay inside the folder are saved"
    climbs, names = 0, False
    for part in target.split("/"):
        if part == ".." and names:
            return f"is a link to {target!r:.80}: '..' behind a name may lead anywhere; write the link without it"
        if part == "..":
            climbs += 1
        elif part not in ("", "."):
            names = True
    if climbs > path.count("/"):
        return f"is a link to {target!r:.80}, which leads out of the folder: copy what it names into the folder instead"
    return None


def find_flaw(entries: Mapping[Any, Any], big: Collection[str]) -> FlawedEntry | None:
    """The first entry that no worker would have written: such a folder is not restored at all.

    Args:
        entries: path to entry, as read back.
        big: paths of the files whose bytes are images.
    """
    for path, entry in entries.items():
        reason = _flaw_in_path(path, entries) or _flaw_in_entry(path, entry, big)
        if reason is not None:
            return FlawedEntry(path=str(path), reason=reason)
    for path in big:
        if entries.get(path, ("",))[0] != BIG:
            return FlawedEntry(path=path, reason="has content, but is no entry")
    return None


def _flaw_in_path(path: object, entries: Mapping[Any, Any]) -> str | None:
    if not isinstance(path, str) or not path or "\0" in path:
        return "is no path"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "is no relative path without empty, '.' or '..' parts"
    if not _fits(path):
        return "is longer than a path can be, or has characters that no file name has"
    above = "/".join(parts[:-1])
    if above and entries.get(above, ("",))[0] != FOLDER:
        return "lies below something that is no folder"
    return None


def _flaw_in_entry(path: str, entry: object, big: Collection[str]) -> str | None:
    match entry:
        case ("link", str() as target):
            return flaw_in_link(path, target)
        case ("folder", int() as mode):
            moment = 0
        case ("file", int() as mode, int() as moment, bytes()):
            pass
        case ("big", int() as mode, int() as moment):
            if path not in big:
                return "has no content"
        case _:
            return "is no file, folder or link"
    if not 0 <= mode <= MODE_MAX or not abs(moment) < NANOSECONDS_MAX:
        return "has a mode or a time that no file has"
    return None


def _fits(path: str) -> bool:
    """Whether a file system takes these characters, and so many of them."""
    try:
        sizes = [len(part.encode("utf-8", "surrogateescape")) for part in path.split("/")]
    except UnicodeEncodeError:
        return False
    return max(sizes) <= PATH_PART_BYTES_MAX and sum(sizes) + len(sizes) <= PATH_BYTES_MAX

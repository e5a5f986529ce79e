"""What parts of a state may be called: on the way in from the user, and again on the way back from the bucket."""

from collections.abc import Iterable
from typing import Final

MAP_NAME_MAX: Final = 200  # characters
PATH_MAX: Final = 1024  # characters
PATH_PART_BYTES_MAX: Final = 255  # what Linux file systems take for one name
PATH_BYTES_MAX: Final = 1024  # leaves room for the folder that the path is below


def flaw_in_name(name: object, *, length_max: int) -> str | None:
    """Why this is no name for a part of a state; None if it is one."""
    if isinstance(name, str) and 0 < len(name) <= length_max and name.isprintable():
        return None
    return f"takes a name of 1 to {length_max:,} printable characters, got {_shown(name)}"


def flaw_in_path(path: object) -> str | None:
    """Why this is no path of a file below a folder of ours; None if it is one. It never leads out of that folder."""
    flaw = flaw_in_name(path, length_max=PATH_MAX)
    if flaw is not None or not isinstance(path, str):
        return flaw
    parts = path.split("/")
    if "\\" in path or any(part in ("", ".", "..") for part in parts):
        return f"takes a relative path without empty, '.' or '..' parts and without backslashes, got {_shown(path)}"
    if len(path.encode()) > PATH_BYTES_MAX or any(len(part.encode()) > PATH_PART_BYTES_MAX for part in parts):
        return (
            f"takes a path of at most {PATH_BYTES_MAX:,} bytes, {PATH_PART_BYTES_MAX} in each part, got {_shown(path)}"
        )
    return None


def flaw_in_paths(paths: Iterable[str]) -> str | None:
    """Why these files can't exist side by side; None if they can: no file is another one's folder."""
    files = set(paths)
    for path in sorted(files):
        parts = path.split("/")
        folders = {"/".join(parts[:depth]) for depth in range(1, len(parts))}
        if folders & files:
            return f"{_shown(path)} lies below another file"
    return None


def _shown(name: object) -> str:
    text = repr(name)
    return text if len(text) <= 80 else f"{text[:77]}..."

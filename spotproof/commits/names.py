"""Names of a shard's output: predictable, safe as keys, one folder or file per shard."""

import re
from typing import Final

from spotproof.contract import SUCCESS_NAME
from spotproof.errors import OutputValueError

NAME_BYTES_MAX: Final = 512  # S3 keys have 1,024; the run's output prefix needs its share
_PART: Final = re.compile(r"part-(\d{8,})(?:\.[a-z]+|/.+)", re.DOTALL)


def value_name(index: int, extension: str) -> str:
    """Where the returned value of shard `index` goes, relative to the run's output."""
    return f"part-{index:08d}.{extension}"


def file_name(index: int, name: str) -> str:
    """Where a file that the function wrote goes, relative to the run's output."""
    return f"part-{index:08d}/{name}"


def index_of(name: str) -> int | None:
    """The shard whose output has this name; None for anything else."""
    match = _PART.fullmatch(name)
    return int(match[1]) if match else None


def is_own_name(name: str) -> bool:
    """Whether a worker could have given this name to a shard's output."""
    try:
        check_file_name(name.partition("/")[2] or name)
    except OutputValueError:
        return False
    return True


def check_file_name(name: object) -> str:
    """The name, if it may be given to a file of the output.

    Names are relative paths with forward slashes, such as "plots/delay.png".

    Raises:
        OutputValueError: empty, absolute, too long, reserved, or with odd characters or parts; the text says which.
    """
    if not isinstance(name, str) or not name:
        raise OutputValueError(f"an output file needs a name, got {name!r}")
    if not name.isprintable() or "\\" in name:
        raise OutputValueError(f"output file name {name!r} has control characters, lone surrogates or backslashes")
    if len(name.encode()) > NAME_BYTES_MAX:
        raise OutputValueError(f"output file name {name[:40]!r}… is longer than {NAME_BYTES_MAX} bytes")
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise OutputValueError(f"output file name {name!r} must be a relative path without empty, . or .. parts")
    if SUCCESS_NAME in parts:
        raise OutputValueError(f"output file name {name!r} is reserved: {SUCCESS_NAME} marks a finished run")
    return name

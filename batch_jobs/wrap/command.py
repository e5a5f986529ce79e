"""The words of a wrapped command: where its program is, and which variables they name."""

import os
import re
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from spotproof.errors import ConfigurationError

_NAME: Final = re.compile(r"\$(?:\{(SPOTPROOF_[A-Z_]+)\}|(SPOTPROOF_[A-Z_]+)\b)")


def find_program(words: Sequence[str], *, base: Path, search_path: str) -> list[str]:
    """The words with the program as an absolute path.

    Args:
        words: what to run; the first word names the program: a bare name is looked for on `search_path`, a path from
            `base`.
        base: where the program files are: the unpacked worker bundle, or where the user stands.

    Raises:
        ConfigurationError: there is no such program, or it can't be run.
    """
    if not words or not words[0]:
        raise ConfigurationError("no program given: write it behind --, such as -- ./solver input.dat")
    word = words[0]
    if "/" not in word:
        found = shutil.which(word, path=search_path)
        if found is None:
            raise ConfigurationError(
                f"there is no program {word!r} on PATH; put it into the image, or into the worker bundle and name its path"
            )
        return [found, *words[1:]]
    path = base / word
    if not path.is_file():
        raise ConfigurationError(f"there is no program {word!r} below {base}; is it in the worker bundle or the image?")
    _make_runnable(path)
    return [str(path), *words[1:]]


def _make_runnable(path: Path) -> None:
    """The worker bundle keeps no permissions: what is named as the program may be run."""
    if os.access(path, os.X_OK):
        return
    try:
        path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    except OSError as error:
        raise ConfigurationError(f"program {path} is not executable: chmod +x it ({error.strerror})") from error


def fill_in(words: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The words with $NAME and ${NAME} replaced for these variables, and left alone for all others.

    Options are not among them: their values come from whoever submits, and a word may be a shell's program.
    """

    def value(match: re.Match[str]) -> str:
        return variables.get(match[1] or match[2], match[0])

    return [_NAME.sub(value, word) for word in words]

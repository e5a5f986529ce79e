"""A planted bug: a patch with two lines on top that say what it breaks and which checker must notice."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
_BUG: Final = "Bug: "
_CAUGHT_BY: Final = "Caught by: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`caught_by`: the invariants as violations name them; any of them counts, nothing else does."""

    name: str
    bug: str
    caught_by: frozenset[str]
    diff: str


def read_mutant(path: Path) -> Mutant:
    """The mutant in a patch file.

    Raises:
        ValueError: the two lines on top are not there.
    """
    text = path.read_text(encoding="utf-8")
    bug, caught_by, *_ = text.splitlines()
    if not bug.startswith(_BUG) or not caught_by.startswith(_CAUGHT_BY):
        raise ValueError(f"{path.name} must begin with '{_BUG}…' and '{_CAUGHT_BY}…', one line each")
    invariants = frozenset(caught_by.removeprefix(_CAUGHT_BY).split(", "))
    return Mutant(name=path.stem, bug=bug.removeprefix(_BUG), caught_by=invariants, diff=text)


def all_mutants(folder: Path = FOLDER) -> list[Mutant]:
    return [read_mutant(path) for path in sorted(folder.glob("*.patch"))]

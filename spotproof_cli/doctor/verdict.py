"""What a check says: how bad it is, what was found, and what mends it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"  # works, but not as well as it could, or could not be looked at
    FAIL = "fail"  # something does not work, or will not
    SKIP = "skip"  # can't be looked at before another check is mended


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One line of the doctor."""

    level: Level
    text: str
    fix: str = ""  # of a warning or a fault, and only of those


def ok(text: str) -> Verdict:
    return Verdict(level=Level.OK, text=text)


def warn(text: str, *, fix: str) -> Verdict:
    return Verdict(level=Level.WARN, text=text, fix=fix)


def fail(text: str, *, fix: str) -> Verdict:
    return Verdict(level=Level.FAIL, text=text, fix=fix)


def skip(text: str) -> Verdict:
    return Verdict(level=Level.SKIP, text=text)

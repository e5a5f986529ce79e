"""Text from elsewhere, made safe for a terminal: no escape sequences, no control or direction characters."""

import re
from typing import Final
from unicodedata import category

_SEQUENCES: Final = re.compile(
    r"""
    (?:\x1b\[|\x9b) [0-?]* [ -/]* [@-~]?                              # CSI: colours, cursor
  | (?:\x1b\]|\x9d) [^\x07\x1b\x9c]* (?:\x07|\x1b\\|\x9c)?            # OSC: titles, links, clipboard
  | (?:\x1b[PX^_]|[\x90\x98\x9e\x9f]) [^\x1b\x9c]* (?:\x1b\\|\x9c)?   # DCS, SOS, PM, APC
  | \x1b [ -/]* [0-~]?                                                # everything else that starts with ESC
    """,
    re.VERBOSE,
)
_SPACES: Final = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_INVISIBLE: Final = frozenset(
    {"Cc", "Cf", "Cs"}
)  # Unicode's categories: control, format (directions), half a character


def clean(text: object) -> str:
    """One line of `text` that moves no cursor, sets no colour and reads in the order it is written."""
    without_sequences = _SEQUENCES.sub("", str(text))
    line = _SPACES.sub(" ", without_sequences)
    if line.isprintable():
        return line
    return "".join(each for each in line if category(each) not in _INVISIBLE)


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` characters, the cut marked by an ellipsis."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def span(seconds: float) -> str:
    """A length of time as people write it: 45 s, 7 m 40 s, 3 h 5 m, 2 d 4 h."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def size(size_bytes: int) -> str:
    """A number of bytes as people write it: 512 B, 4.0 KiB, 1.2 GiB."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"

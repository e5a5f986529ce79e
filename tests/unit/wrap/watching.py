"""Waiting for real processes, and looking at them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIMIT_S = 20.0


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`, asked again and again."""
    deadline = time.monotonic() + LIMIT_S
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {LIMIT_S:g} s"
        time.sleep(0.005)
    return value


def numbers_in(path: Path) -> list[int]:
    """Process ids that a program wrote into a file, one a line; none while there is no whole line."""
    text = path.read_text() if path.exists() else ""
    return [int(line) for line in text.split("\n")[:-1]]


def state_of(pid: int) -> str:
    """The kernel's letter for the process; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    return state_of(pid) not in ("", "Z", "X")

"""What is changed before a save: always rows of 1 KiB, always to new random bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

ROW_BYTES: Final = 1024
Rows = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One case."""

    name: str
    apply: Callable[[Rows, np.random.Generator], int]  # the bytes it changed


def _nothing(rows: Rows, rng: np.random.Generator) -> int:  # noqa: ARG001 - one of several
    return 0


def _scattered(share: float) -> Callable[[Rows, np.random.Generator], int]:
    def apply(rows: Rows, rng: np.random.Generator) -> int:
        chosen = rng.choice(len(rows), int(len(rows) * share), replace=False)
        rows[chosen] = rng.integers(0, 256, (len(chosen), ROW_BYTES), dtype=np.uint8)
        return len(chosen) * ROW_BYTES

    return apply


def _contiguous(share: float) -> Callable[[Rows, np.random.Generator], int]:
    def apply(rows: Rows, rng: np.random.Generator) -> int:
        count = int(len(rows) * share)
        first = int(rng.integers(0, len(rows) - count))
        rows[first : first + count] = rng.integers(0, 256, (count, ROW_BYTES), dtype=np.uint8)
        return count * ROW_BYTES

    return apply


def fill(rows: Rows, rng: np.random.Generator) -> int:
    """Every byte anew."""
    for first in range(0, len(rows), 4096):
        part = rows[first : first + 4096]
        part[:] = rng.integers(0, 256, part.shape, dtype=np.uint8)
    return rows.nbytes


CHANGES: Final = (
    Change(name="nothing", apply=_nothing),
    Change(name="1 % of rows, scattered", apply=_scattered(0.01)),
    Change(name="1 % of rows, side by side", apply=_contiguous(0.01)),
    Change(name="5 % of rows, scattered", apply=_scattered(0.05)),
    Change(name="everything", apply=fill),
)

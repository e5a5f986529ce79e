"""What a save's stall costs: CPU of collecting, finding and copying what changed, for both trackers.

Run: python -m bench.trackers [--mib 1024] [--rounds 7]. Claims: at most 25 ms CPU per GiB with pagemap where 1 % of the
state changed in scattered rows of 1 KiB. Each round writes, takes the stall as the engine does (slice by slice), then makes
live and shadow equal again, not measured. Trackers take turns, so that both see the same load of the machine; CPU is the
process', so waiting for a core does not count. Whether both found the same blocks is checked before anything is published.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.machine import publish, spread
from spotproof.checkpoints.memory.arena import allocate, prefault
from spotproof.checkpoints.memory.pages import (
    BLOCK,
    PAGE,
    Bytes8,
    Numbers,
    Piece,
    changed_blocks,
    copy_blocks,
    padded,
)
from spotproof.checkpoints.memory.trackers.base import Tracker
from spotproof.checkpoints.memory.trackers.compare import CompareTracker
from spotproof.checkpoints.memory.trackers.pagemap import PagemapTracker, pagemap_works

SEED = 7
ROW = 1024
SLICE_PAGES = (16 << 20) // PAGE
GIB = 1 << 30
Rows = npt.NDArray[np.int64]


class Image:
    def __init__(self, size: int) -> None:
        self.live, self.shadow_bytes, self.pool = allocate(size), allocate(padded(size)), allocate(size)
        for memory in (self.live, self.shadow_bytes, self.pool):
            prefault(memory)
        self.live[:] = 3
        self.shadow_bytes[:] = 3

    def pieces(self) -> Sequence[Piece]:
        return [Piece(offset=0, data=self.live)]

    def shadow(self) -> Bytes8:
        return self.shadow_bytes

    def add(self, rows: Rows, value: int) -> None:
        """Change every byte of these rows; in small parts, to need no memory."""
        for at in range(0, len(rows), 4096):
            self.live.reshape(-1, ROW)[rows[at : at + 4096]] += np.uint8(value)


@dataclass(frozen=True, kw_only=True)
class Stall:
    """CPU milliseconds of one stall's steps."""

    collect_ms: float
    changed_blocks_ms: float
    copy_blocks_ms: float
    blocks: int

    @property
    def total_ms(self) -> float:
        return self.collect_ms + self.changed_blocks_ms + self.copy_blocks_ms


def scattered(share: float) -> Callable[[int, np.random.Generator], Rows]:
    return lambda rows, random: np.sort(random.choice(rows, int(rows * share), replace=False))


def contiguous(share: float) -> Callable[[int, np.random.Generator], Rows]:
    return lambda rows, random: int(random.integers(rows - int(rows * share))) + np.arange(int(rows * share))


CASES = {
    "nothing": scattered(0),
    "1 % scattered rows": scattered(0.01),
    "1 % contiguous": contiguous(0.01),
    "5 % scattered rows": scattered(0.05),
    "everything": scattered(1),
}


def slices(pages: Numbers, count: int) -> list[Numbers]:
    edges = np.searchsorted(pages, np.arange(0, count + SLICE_PAGES, SLICE_PAGES))
    return [pages[a:b] for a, b in itertools.pairwise(edges)]


def stall(image: Image, tracker: Tracker) -> Stall:
    started = time.process_time()
    pages = tracker.collect()
    collected = time.process_time()
    parts = slices(pages, len(image.shadow_bytes) // PAGE)
    blocks = [changed_blocks(image.pieces(), image.shadow_bytes, part) for part in parts]
    found = time.process_time()
    at = 0
    for numbers in blocks:
        copy_blocks(image.pieces(), numbers, image.pool[at : at + len(numbers) * BLOCK])
        at += len(numbers) * BLOCK
    copied = time.process_time()
    return Stall(
        collect_ms=(collected - started) * 1e3,
        changed_blocks_ms=(found - collected) * 1e3,
        copy_blocks_ms=(copied - found) * 1e3,
        blocks=at // BLOCK,
    )


def rounds(image: Image, choose: Callable[[int, np.random.Generator], Rows], count: int) -> dict[str, list[Stall]]:
    """`count` stalls of each tracker, after one that does not count."""
    random = np.random.default_rng(SEED)
    taken: dict[str, list[Stall]] = {"pagemap": [], "compare": []}
    for _ in range(count + 1):
        for name, stalls in taken.items():
            tracker = PagemapTracker(image.live) if name == "pagemap" else CompareTracker(image, image.shadow)
            tracker.arm()
            rows = choose(len(image.live) // ROW, random)
            image.add(rows, 1)
            stalls.append(stall(image, tracker))
            tracker.close()
            if stalls[-1].blocks != len(rows) * ROW // BLOCK:
                raise SystemExit(f"{name} found {stalls[-1].blocks} changed blocks of {len(rows) * ROW // BLOCK}")
            image.add(rows, 255)  # modulo 256
    return {name: stalls[1:] for name, stalls in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    refusal = pagemap_works()
    if refusal is not None:
        raise SystemExit(f"pagemap does not work here: {refusal}")
    image = Image(arguments.mib << 20)
    per_gib = GIB / len(image.live)
    cases = {}
    for case, choose in CASES.items():
        cases[case] = {
            name: {
                "stall": spread([one.total_ms * per_gib for one in stalls]),
                "collect": spread([one.collect_ms * per_gib for one in stalls]),
                "changed_blocks": spread([one.changed_blocks_ms * per_gib for one in stalls]),
                "copy_blocks": spread([one.copy_blocks_ms * per_gib for one in stalls]),
            }
            for name, stalls in rounds(image, choose, arguments.rounds).items()
        }
    publish(
        "trackers",
        {"seed": SEED, "state_mib": arguments.mib, "row_bytes": ROW, "numpy": np.__version__, "cpu_ms_per_gib": cases},
    )


if __name__ == "__main__":
    main()

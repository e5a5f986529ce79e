"""Wall and CPU seconds of a block of code in this process, all its threads together."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Took:
    """What a block took; complete once it has ended."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def took() -> Iterator[Took]:
    measured = Took()
    wall, cpu = time.perf_counter(), time.process_time()
    yield measured
    measured.wall_s, measured.cpu_s = time.perf_counter() - wall, time.process_time() - cpu

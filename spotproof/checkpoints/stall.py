"""The time a job stands still for a save."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def garbage_waits() -> Iterator[None]:
    """Python's cyclic garbage collector has its turn afterwards: a full collection looks at every object of the process, the
    job's too, and takes 66 ms for a million lists (measured). Whoever switched it off finds it off.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

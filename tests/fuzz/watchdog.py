"""A limit on the CPU time of one input: a hang becomes a finding instead of a job that never ends."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TookTooLongError(BaseException):
    """An input used up its CPU seconds. No `except Exception` of the product swallows it."""


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Interrupt what runs inside once the process has used `seconds` of CPU; for the main thread only.

    Raises:
        TookTooLongError: inside, at the limit.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise TookTooLongError(f"more than {seconds:g} s of CPU for one input")

    before = signal.signal(signal.SIGVTALRM, interrupt)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)

"""What the end of a program means for its shard."""

import signal
from typing import Final

from batch_jobs.wrap.program import Ended
from spotproof.contract import EXIT_INTERRUPTED
from spotproof.errors import UserCodeError

TEXT_MAX: Final = 180  # of the program's own words: the row's error has 300 characters
_HINTS: Final = {
    signal.SIGKILL: ": out of memory, or kill -9",
    signal.SIGSEGV: ": it touched memory that is not its own",
    signal.SIGBUS: ": the disk is full, or a mapped file was cut",
    signal.SIGABRT: ": it gave up by itself",
    signal.SIGXCPU: ": over its limit of CPU time",
    signal.SIGXFSZ: ": over its limit of file size",
}


class ProgramFailedError(UserCodeError):
    """A wrapped program ended with another exit code than 0 although nobody had asked it to stop."""


def check_end(ended: Ended) -> None:
    """Nothing, if the program is done.

    Raises:
        ProgramFailedError: it is not; the text says how it ended, and what it said last.
    """
    if ended.code == 0:
        return
    words = " | ".join(line.strip() for line in ended.errors if line.strip())
    said = words if len(words) <= TEXT_MAX else f"…{words[-TEXT_MAX + 1 :]}"
    raise ProgramFailedError(f"{how_it_ended(ended.code)}" + (f"; it said: {said}" if said else ""))


def how_it_ended(code: int, *, asked: bool = False) -> str:
    """The exit code, or minus the signal, in words. `asked`: to stop."""
    if code == EXIT_INTERRUPTED:
        return f"exit code {code}, {'as it was asked to' if asked else 'but nothing had asked it to stop'}"
    if code >= 0:
        return f"exit code {code}"
    try:
        name, hint = signal.Signals(-code).name, _HINTS.get(signal.Signals(-code), "")
    except ValueError:
        name, hint = f"signal {-code}", ""
    return f"killed by {name}{hint}"

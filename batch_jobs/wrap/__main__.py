"""Entry point of a wrapped program: `python -m batch_jobs.wrap --job NAME … -- CMD…`, a worker like any other."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from batch_jobs import worker_main
from batch_jobs.wrap.command import find_program
from batch_jobs.wrap.job import WrappedProgram
from spotproof import contract
from spotproof.clock import SystemClock
from spotproof.concurrency import ThreadSpawner
from spotproof.errors import ConfigurationError, SpotproofError
from spotproof.process import leave
from spotproof.settings import environment
from spotproof.worker.registry import job

DIVIDER: Final = "--"
MODULE: Final = "batch_jobs.wrap"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one worker whose job is the command behind `--`; the exit code is Batch's signal (contract.EXIT_*)."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if DIVIDER not in given:
            raise ConfigurationError("no program given: write it behind --, such as -- ./solver input.dat")
        at = given.index(DIVIDER)
        arguments = [*given[:at], "--module", MODULE]
        name = worker_main.parse_arguments(arguments).job
        job(name)(wrapped_program(given[at + 1 :], environment()))
    except SpotproofError as error:
        return worker_main.refuse(error)
    return worker_main.main(arguments)


def wrapped_program(words: Sequence[str], env: Mapping[str, str]) -> WrappedProgram:
    """The job function that runs these words.

    Raises:
        ConfigurationError: there is no such program, or this is not Linux.
    """
    if sys.platform != "linux":
        raise ConfigurationError("wrapped programs need Linux, to hold a program still while its folder is saved")
    code = Path(env.get(contract.ENV_CODE_DIR) or Path.cwd())
    return WrappedProgram(
        find_program(words, base=code, search_path=env.get("PATH", "")),
        code=code,
        environment=env,
        clock=SystemClock(),
        spawner=ThreadSpawner(),
    )


if __name__ == "__main__":
    leave(main())

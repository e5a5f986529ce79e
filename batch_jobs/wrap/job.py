"""The job function of a wrapped program: restore, start, watch, save, stop, hand over."""

import logging
import signal
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from batch_jobs.wrap.command import fill_in
from batch_jobs.wrap.exits import check_end, how_it_ended
from batch_jobs.wrap.input_files import place_input
from batch_jobs.wrap.output_files import hand_over
from batch_jobs.wrap.places import Places, option_variables
from batch_jobs.wrap.program import Program
from spotproof import events
from spotproof.checkpoints.state import State
from spotproof.clock import Clock
from spotproof.concurrency import Spawner
from spotproof.worker.shard_handle import ShardHandle

logger = logging.getLogger("spotproof.program")
TICK_S: Final = 0.2  # between safe points; how late a stop is noticed
PATIENCE_S: Final = 10.0  # for a program that was asked to stop, when no deadline says more or less


class WrappedProgram:
    """One command; called as a job function for each shard."""

    def __init__(
        self, words: Sequence[str], *, code: Path, environment: Mapping[str, str], clock: Clock, spawner: Spawner
    ) -> None:
        """What to run, and with what.

        Args:
            words: program as an absolute path, and its arguments.
            code: the folder of the program files, for the variable that names it.
            environment: of the worker; the program gets it too.
        """
        self._words = tuple(words)
        self._code = code
        self._environment = dict(environment)
        self._clock = clock
        self._spawner = spawner

    def __call__(self, shard: ShardHandle, state: State) -> Generator[None, None, None]:
        """Run the program on the shard to its end; its output folder is the output.

        Raises:
            ProgramFailedError: it failed.
        """
        shard.fraction_done = 0.0  # unknown: reading the input is not the work
        program = Program(shard=shard.index, spawner=self._spawner, clock=self._clock)
        places = Places(
            work=state.directory("work", still=program.frozen),
            output=state.directory("output"),
            scratch=shard.scratch_dir,
            code=self._code,
        )
        files = yield from self._fetch(shard, places.input)
        try:
            self._start(program, shard, places, files)
            yield from self._watch(program, shard, places)
        finally:
            program.kill()
        hand_over(places.output, shard.output)

    def _fetch(self, shard: ShardHandle, folder: Path) -> Generator[None, None, list[Path]]:
        """The input's files. A stop meanwhile ends the worker's part at once: nothing was begun."""
        steps = place_input(shard, folder)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                files: list[Path] = end.value
                return files
            shard.ready_to_leave = shard.stopping
            yield

    def _start(self, program: Program, shard: ShardHandle, places: Places, files: list[Path]) -> None:
        told = places.variables(index=shard.index, shard_id=shard.id, files=files)
        words = fill_in(self._words, told)
        environment = {**self._environment, **option_variables(shard.options), **told}
        program.start(words, folder=places.work, environment=environment)
        self._log(events.PROGRAM_STARTED, shard, command=words)

    def _watch(self, program: Program, shard: ShardHandle, places: Places) -> Generator[None, None, None]:
        """Until it is done. Leaves by way of a safe point when the worker must."""
        while (ended := program.wait(TICK_S)) is None:
            if shard.stopping:
                yield from self._stop(program, shard, places)
                return
            yield
        self._log(events.PROGRAM_ENDED, shard, how=how_it_ended(ended.code), asked=False)
        check_end(ended)

    def _stop(self, program: Program, shard: ShardHandle, places: Places) -> Generator[None, None, None]:
        """Ask the program to stop, and wait while its last save still fits. Returns only if it is done nevertheless.

        Whatever else it exits with has been asked for: an interruption is never a failure. One that does not end is
        frozen for the save, and killed when this function is closed.
        """
        self._log(events.PROGRAM_ASKED_TO_STOP, shard, window_s=_finite(shard.window_s), spare_s=_finite(shard.spare_s))
        places.stop_file.touch()
        program.signal(signal.SIGTERM)
        asked_at = self._clock.monotonic()
        while (ended := program.wait(TICK_S)) is None:
            if _patience_s(shard, waited_s=self._clock.monotonic() - asked_at) <= 0:
                break
        if ended is not None:
            self._log(events.PROGRAM_ENDED, shard, how=how_it_ended(ended.code, asked=True), asked=True)
            if ended.code == 0:
                return
        shard.ready_to_leave = True
        while True:
            yield
            self._clock.sleep(TICK_S)

    def _log(self, event: str, shard: ShardHandle, **fields: Any) -> None:
        logger.info(event, extra={"shard": shard.index, **fields})


def _patience_s(shard: ShardHandle, *, waited_s: float) -> float:
    """How much longer to wait for a program that was asked to stop: until its last save must begin."""
    spare_s = shard.spare_s
    return spare_s if spare_s < float("inf") else PATIENCE_S - waited_s


def _finite(seconds: float) -> float | None:
    return None if seconds == float("inf") else round(seconds, 3)

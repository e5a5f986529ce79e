"""The worker's side of a running program: its keeper, its end, its standing still."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batch_jobs.wrap.program_log import ProgramLog
from spotproof.clock import Clock
from spotproof.concurrency import Spawner
from spotproof.errors import CheckpointError

KEEPER: Final = Path(__file__).with_name("keeper.py")
FREEZE_S: Final = 5.0  # until everything must stand still; usually a millisecond
ANSWER_S: Final = 10.0  # the keeper's patience with a busy machine, on top
KILL_S: Final = 10.0
LOG_END_S: Final = 5.0  # for the last lines to be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended, with the last lines of its standard error."""

    code: int  # of the exit, or minus the signal that killed it
    errors: tuple[str, ...] = ()


class Program:
    """One program, started at most once. Everything it starts ends with it, and it ends with the worker."""

    def __init__(self, *, shard: int, spawner: Spawner, clock: Clock) -> None:
        self._shard = shard
        self._spawner = spawner
        self._clock = clock
        self._keeper: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._logs: list[ProgramLog] = []
        self._received = b""
        self._answers: list[str] = []
        self._ended: Ended | None = None

    def start(self, words: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        """Start it in `folder`, with nothing to read on its standard input."""
        ours, theirs = socket.socketpair()
        output, output_in = os.pipe()
        errors, errors_in = os.pipe()
        try:
            self._keeper = subprocess.Popen(  # noqa: S603 - the very program that the job names
                [sys.executable, "-I", "-S", str(KEEPER), str(theirs.fileno()), *words],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output_in,
                stderr=errors_in,
                pass_fds=(theirs.fileno(),),
            )
        finally:
            theirs.close()
            os.close(output_in)
            os.close(errors_in)
            self._socket = ours
            for number, stream in ((output, "stdout"), (errors, "stderr")):
                log = ProgramLog(number, stream=stream, shard=self._shard, spawner=self._spawner)
                self._logs.append(log)

    @property
    def running(self) -> bool:
        return self._keeper is not None and self._ended is None

    def wait(self, timeout_s: float) -> Ended | None:
        """How it ended; None if it still runs after that time."""
        if self._ended is None:
            self._listen(timeout_s)
        return self._ended

    def signal(self, number: signal.Signals) -> None:
        """Send the program's process group a signal."""
        self._say(f"signal {int(number)}")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing of the program executes inside this block: no file of its changes. It goes on afterwards.

        Raises:
            CheckpointError: it could not be stopped in time; it runs on.
        """
        if not self.running:
            yield
            return
        self._say(f"freeze {FREEZE_S}")
        answer = self._answer(FREEZE_S + ANSWER_S)
        if answer == "late" or (answer is None and self.running):
            self._say("thaw")
            raise CheckpointError(f"the program could not be paused within {FREEZE_S:g} s: nothing was saved")
        try:
            yield
        finally:
            self._say("thaw")

    def kill(self) -> None:
        """End it and everything it started, now; nothing if it has ended."""
        if self._keeper is None or self._socket is None:
            return
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:  # the keeper has gone already
            self._listen(0)
        deadline = self._clock.monotonic() + KILL_S
        while self._ended is None and (left_s := deadline - self._clock.monotonic()) > 0:
            self._listen(left_s)
        self._socket.close()
        try:
            self._keeper.wait(max(1.0, deadline - self._clock.monotonic()))
        except subprocess.TimeoutExpired:
            self._keeper.kill()
        self._socket = None

    def _say(self, line: str) -> None:
        if self._socket is None or self._ended is not None:
            return
        try:
            self._socket.sendall(f"{line}\n".encode())
        except OSError:
            self._listen(0)  # it has ended meanwhile: what it said last is still to be read

    def _answer(self, timeout_s: float) -> str | None:
        deadline = self._clock.monotonic() + timeout_s
        while not self._answers and self._ended is None and (left_s := deadline - self._clock.monotonic()) > 0:
            self._listen(left_s)
        return self._answers.pop(0) if self._answers else None

    def _listen(self, timeout_s: float) -> None:
        """Take in what the keeper says within the time, if anything."""
        if self._socket is None or not select.select([self._socket], [], [], timeout_s)[0]:
            return
        try:
            data = self._socket.recv(4096)
        except OSError:
            data = b""
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            verb, _, rest = line.decode().partition(" ")
            if verb == "ended":
                self._end(int(rest))
            else:
                self._answers.append(verb)
        if not data and self._ended is None:
            self._end(-int(signal.SIGKILL))  # the keeper was killed, and took the program with it

    def _end(self, code: int) -> None:
        tails = [log.tail(LOG_END_S) for log in self._logs]
        self._ended = Ended(code=code, errors=tuple(tails[-1]))

"""What a program prints, as log events a line at a time, in bounded memory."""

import logging
import os
from collections import deque
from typing import Final

from spotproof import events
from spotproof.concurrency import Spawner, Waiter

logger = logging.getLogger("spotproof.program")
LINE_BYTES_MAX: Final = 16 * 2**10  # a longer line is logged in pieces
READ_BYTES: Final = 64 * 2**10
TAIL_LINES: Final = 20
TAIL_CHARACTERS: Final = 500  # of each of these lines


class ProgramLog:
    """Follows one stream of one program. A program that prints faster than its lines are logged waits."""

    def __init__(self, number: int, *, stream: str, shard: int, spawner: Spawner) -> None:
        """`number`: of the file descriptor to read, which is closed at the end."""
        self._number = number
        self._fields = {"stream": stream, "shard": shard}
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._ended: Waiter = spawner.flag()
        spawner.spawn(self._follow, name=f"program-{stream}")

    def tail(self, timeout_s: float) -> list[str]:
        """The last lines, once the stream has ended or the time is over."""
        self._ended.wait(timeout_s)
        return list(self._tail)

    def _follow(self) -> None:
        rest = b""
        try:
            while data := os.read(self._number, READ_BYTES):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._tell(line)
                while len(rest) >= LINE_BYTES_MAX:
                    self._tell(rest[:LINE_BYTES_MAX])
                    rest = rest[LINE_BYTES_MAX:]
            if rest:
                self._tell(rest)
        finally:
            os.close(self._number)
            self._ended.set()

    def _tell(self, line: bytes) -> None:
        for start in range(0, max(1, len(line)), LINE_BYTES_MAX):
            text = line[start : start + LINE_BYTES_MAX].decode("utf-8", "replace").rstrip("\r")
            self._tail.append(text[-TAIL_CHARACTERS:])
            logger.info(events.PROGRAM_OUTPUT, extra={**self._fields, "text": text})

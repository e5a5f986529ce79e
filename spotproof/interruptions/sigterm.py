"""SIGTERM: TerminateJob, a job's time-out, a scale-in or an update of the environment asks the container to end.

On instances Batch and ECS send it for those, never for a spot notice: the notice comes by IMDS and by the stop file. On
Fargate it is the notice.
"""

import signal
from datetime import datetime, timedelta
from types import FrameType
from typing import Final

from spotproof.clock import Clock
from spotproof.interruptions.model import Channel, Signal, SignalKind


class SigtermSource:
    """Remembers when SIGTERM came; the container is killed `window_s` seconds later. The handler only sets a field: it may run between any two instructions."""

    channel: Final = Channel.SIGTERM

    def __init__(self, *, clock: Clock, window_s: float) -> None:
        self._clock = clock
        self._window_s = window_s
        self._received: datetime | None = None

    def install(self) -> None:
        """Handle SIGTERM and SIGINT of this process; main thread only."""
        signal.signal(signal.SIGTERM, self.on_signal)
        signal.signal(signal.SIGINT, self.on_signal)

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._received = self._received or self._clock.now()

    def poll(self) -> list[Signal]:
        if self._received is None:
            return []
        deadline = self._received + timedelta(seconds=self._window_s)
        return [
            Signal(kind=SignalKind.TERMINATE, channel=Channel.SIGTERM, deadline=deadline, event_time=self._received)
        ]

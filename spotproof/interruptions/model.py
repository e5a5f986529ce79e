"""Signals: what a source said, as values."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class SignalKind(StrEnum):
    REBALANCE = "rebalance"  # a hint (precision about 30 %): save, take no new lease for a while
    NOTICE = "notice"  # the host will be reclaimed at the deadline
    TERMINATE = "terminate"  # SIGTERM: the container will be killed at the deadline
    CANCEL = "cancel"  # the run was cancelled
    PAUSE = "pause"  # the run was paused
    RETIRE = "retire"  # one worker too many: take no other shard

    @property
    def hard(self) -> bool:
        """Whether the worker must let go of its shard."""
        return self not in (SignalKind.REBALANCE, SignalKind.RETIRE)


class Channel(StrEnum):
    """The way a signal came; each one's latency is recorded separately."""

    IMDS = "imds"
    STOP_FILE = "stop-file"
    SIGTERM = "sigterm"
    SESSION = "session"  # flags in the answer to a heartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One observation. Times are aware UTC."""

    kind: SignalKind
    channel: Channel
    deadline: datetime | None = None  # hard kinds: nothing can be saved after it
    expires_at: datetime | None = None  # REBALANCE: forgotten from then on
    event_time: datetime | None = None  # when the cause happened, if the channel tells


class SourceUnavailableError(Exception):
    """A signal source did not answer. Never to be read as "no signal"."""


class SignalSource(Protocol):
    """A channel that is asked again and again."""

    @property
    def channel(self) -> Channel: ...

    def poll(self) -> list[Signal]:
        """Signals now visible, the same ones again while they last.

        Raises:
            SourceUnavailableError: it can't be read at the moment.
        """
        ...

"""A circuit breaker per Spot pool: a pool that keeps taking hosts back is left alone for a while, then probed.

CLOSED: Spot as usual. `count` interruptions within `window_s` open it. OPEN: workers that pool would have cost go to
on-demand. After `recovery_s` without another interruption it is HALF_OPEN: one worker is let through to Spot as a probe.
If none of the pool's hosts is taken within `window_s` of the probe the pool is CLOSED again; one that is opens it anew.

Batch chooses the pool a Spot worker starts in (SPOT_PRICE_CAPACITY_OPTIMIZED), not we: a probe says "Spot may try
again", and what closes the breaker is that the pool stayed quiet after it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from spotproof.errors import ConfigurationError

INTERRUPTIONS_KEPT: Final = 32  # of a pool, the newest; the sizing of later runs reads them too
COUNT_MAX: Final = INTERRUPTIONS_KEPT
SECONDS_MAX: Final = 7 * 86_400.0


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerSettings:
    """When a pool opens and how it is tried again."""

    count: int = 3  # interruptions
    window_s: float = 600.0  # within
    recovery_s: float = 1800.0  # from the last interruption to the probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """EC2 took a Spot host of ours."""

    at: int  # epoch ms
    instance_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRecord:
    """What is stored about a pool. Times: epoch ms."""

    pool: str  # instance type/availability zone
    interruptions: tuple[Interruption, ...] = ()  # oldest first
    opened_at: int | None = None  # by which interruption; stays until a probe has closed the breaker
    probe_at: int | None = None  # when a worker was let through since


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerVerdict:
    """How the pool stands at one moment."""

    pool: str
    state: BreakerState
    probe_free: bool  # half-open, and nobody probes yet
    reason: str


def parse_breaker(text: str) -> BreakerSettings:
    """Settings from `count/window/recovery`, the times in seconds, such as 3/600/1800.

    Raises:
        ConfigurationError: it is not three numbers of their ranges.
    """
    parts = text.split("/")
    try:
        count, window_s, recovery_s = int(parts[0]), float(parts[1]), float(parts[2])
    except (ValueError, IndexError):
        count, window_s, recovery_s = 0, 0.0, 0.0
    fits = len(parts) == 3 and 1 <= count <= COUNT_MAX
    if not fits or not 0 < window_s <= SECONDS_MAX or not 0 < recovery_s <= SECONDS_MAX:
        raise ConfigurationError(
            f"breaker must be count/window/recovery with a count from 1 to {COUNT_MAX} and seconds above 0, "
            f"such as 3/600/1800, got {text!r}"
        )
    return BreakerSettings(count=count, window_s=window_s, recovery_s=recovery_s)


def judge_pool(record: PoolRecord, settings: BreakerSettings, *, now_ms: int) -> BreakerVerdict:
    """The pool's state at `now_ms`."""
    opened_at = record.opened_at
    if opened_at is None:
        return _verdict(record, BreakerState.CLOSED, "no burst of interruptions")
    open_until = opened_at + _ms(settings.recovery_s)
    if now_ms < open_until:
        left_s = (open_until - now_ms) / 1000
        return _verdict(
            record, BreakerState.OPEN, f"{settings.count} interruptions or a failed probe; {left_s:.0f} s to go"
        )
    if record.probe_at is None:
        return _verdict(record, BreakerState.HALF_OPEN, "one probe may try Spot", probe_free=True)
    proven_at = record.probe_at + _ms(settings.window_s)
    if now_ms < proven_at:
        return _verdict(record, BreakerState.HALF_OPEN, f"a probe is out, {(proven_at - now_ms) / 1000:.0f} s to go")
    return _verdict(record, BreakerState.CLOSED, "quiet since the probe")


def after_interruption(record: PoolRecord, interruption: Interruption, settings: BreakerSettings) -> PoolRecord:
    """The record once the interruption is noted. The same host again, or an older event, changes nothing wrong.

    A host's end is reported by its notice and again by its termination: the first report counts.
    """
    if any(known.instance_id == interruption.instance_id for known in record.interruptions):
        return record
    before = judge_pool(record, settings, now_ms=interruption.at)
    kept = tuple(sorted((*record.interruptions, interruption), key=lambda one: one.at))[-INTERRUPTIONS_KEPT:]
    noted = replace(record, interruptions=kept)
    if before.state is not BreakerState.CLOSED:
        assert record.opened_at is not None, "only an opened breaker is not closed"
        return replace(noted, opened_at=max(record.opened_at, interruption.at), probe_at=None)
    proven_at = _proven_at(record, settings)
    since = max(interruption.at - _ms(settings.window_s), proven_at)
    burst = sum(1 for one in kept if since < one.at <= interruption.at)
    opened_at = interruption.at if burst >= settings.count else None
    if opened_at is None and record.opened_at is not None:
        return noted  # closed by a probe; what was before it stays forgotten
    return replace(noted, opened_at=opened_at, probe_at=None)


def after_probe(record: PoolRecord, settings: BreakerSettings, *, now_ms: int) -> PoolRecord | None:
    """The record once a worker was let through to Spot; None if none may be now."""
    if not judge_pool(record, settings, now_ms=now_ms).probe_free:
        return None
    return replace(record, probe_at=now_ms)


def _proven_at(record: PoolRecord, settings: BreakerSettings) -> int:
    """Until when interruptions are forgotten: the last probe has outlived them."""
    return 0 if record.probe_at is None else record.probe_at + _ms(settings.window_s)


def _verdict(record: PoolRecord, state: BreakerState, reason: str, *, probe_free: bool = False) -> BreakerVerdict:
    return BreakerVerdict(pool=record.pool, state=state, probe_free=probe_free, reason=f"pool {record.pool}: {reason}")


def _ms(seconds: float) -> int:
    return round(seconds * 1000)

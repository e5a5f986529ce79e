"""What a worker does when it finds nothing to lease: look again, help others, or leave."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from spotproof.interruptions.model import Signal, SignalKind
from spotproof.leases.model import Run, RunState

BACKOFF_MAX = 4.0  # times poll_s: the longest an idle worker waits between two looks
SPARE_S = 120.0  # about the boot of a replacement: waiting longer for work costs more than another host would


class IdleAction(StrEnum):
    LEAVE_DONE = "leave-done"  # exit 0: nothing is left for anybody
    LEAVE_INTERRUPTED = "leave-interrupted"  # exit 75: work is left, this host is going
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleDecision:
    action: IdleAction
    reason: str
    wait_s: float = 0.0


def decide_idle(
    *,
    run: Run,
    stop: Signal | None,
    hint: Signal | None,
    retired: Signal | None = None,
    now: datetime,
    empty_looks: int,
    jitter: float,
    caring: bool = False,
    idle_s: float = 0.0,
) -> IdleDecision:
    """What to do after a look that found no lease.

    Args:
        run: as read after the look.
        stop: the hard signal on this worker, if any.
        hint: a live rebalance recommendation; no lease was sought because of it.
        retired: somebody found this worker to be one too many; no lease was sought because of it.
        now: aware UTC.
        empty_looks: how many looks in a row found nothing, from 1.
        jitter: 0 to 1, spreads the looks of many workers.
        caring: this worker cares for the run on behalf of all idle ones: it looks at every poll and stays to the end.
        idle_s: seconds since the first of the empty looks.
    """
    if run.state.ended:
        return IdleDecision(action=IdleAction.LEAVE_DONE, reason=f"run is {run.state}")
    if len(run.closed) == run.stripes:
        return IdleDecision(action=IdleAction.LEAVE_DONE, reason="every shard is done or quarantined")
    if stop is not None:
        if stop.kind is SignalKind.CANCEL:
            return IdleDecision(action=IdleAction.LEAVE_DONE, reason="the run was cancelled")
        if stop.kind is SignalKind.PAUSE and run.state is RunState.PAUSED:
            return IdleDecision(action=IdleAction.LEAVE_DONE, reason="the run was paused")
        # A run that goes on again needs those that were on their way out: Batch tries them again.
        return IdleDecision(action=IdleAction.LEAVE_INTERRUPTED, reason=f"{stop.kind} by {stop.channel}")
    if run.state is RunState.PAUSED:
        return IdleDecision(action=IdleAction.LEAVE_DONE, reason="run is PAUSED")
    if retired is not None:
        return IdleDecision(action=IdleAction.LEAVE_DONE, reason="retired: the run has workers enough without this one")
    if not caring and run.carer is not None and len(run.exhausted) == run.stripes and idle_s >= SPARE_S:
        return IdleDecision(action=IdleAction.LEAVE_DONE, reason=f"spare: nothing to lease for {idle_s:.0f} s")
    times = 1.0 if caring else min(BACKOFF_MAX, 2.0 ** (empty_looks - 1))
    wait_s = run.options.poll_s * times * (0.5 + jitter / 2)
    if hint is not None and hint.expires_at is not None:
        left_s = max(0.0, (hint.expires_at - now).total_seconds())
        return IdleDecision(
            action=IdleAction.WAIT, reason=f"rebalance recommendation, {left_s:.0f} s left", wait_s=min(wait_s, left_s)
        )
    return IdleDecision(action=IdleAction.WAIT, reason="shards are in flight elsewhere", wait_s=wait_s)

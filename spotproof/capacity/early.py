"""Workers that wait for Spot before there is a run: nobody has planned it yet, so nobody else can tell that it waits."""

from dataclasses import dataclass

from spotproof.capacity.fallback import FallbackCause


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstWorkerDecision:
    """Whether one on-demand worker is to plan the run and begin, and why."""

    due: bool
    cause: FallbackCause
    reason: str


def decide_first_worker(
    *, waited_s: float, fallback_after_s: float, allows_on_demand: bool, blocked: str
) -> FirstWorkerDecision:
    """One worker is enough: with the run's row the causes of every other run apply, and its caps.

    Args:
        waited_s: since the oldest Spot job of the run was submitted; none of its workers has started.
        fallback_after_s: the run's option.
        allows_on_demand: whether the run's options let it have any on-demand worker.
        blocked: why Batch says that the Spot queue is blocked for capacity; empty if it does not.
    """
    if not allows_on_demand:
        return FirstWorkerDecision(
            due=False, cause=FallbackCause.NONE, reason="its options allow no on-demand workers: it waits for Spot"
        )
    if blocked:
        reason = f"nobody has planned the run, and Batch reports the Spot queue blocked: {blocked}"
        return FirstWorkerDecision(due=True, cause=FallbackCause.BLOCKED, reason=reason)
    if waited_s >= fallback_after_s:
        reason = (
            f"nobody has planned the run: its workers wait {waited_s:.0f} s for Spot, threshold {fallback_after_s:g} s"
        )
        return FirstWorkerDecision(due=True, cause=FallbackCause.WAITED, reason=reason)
    reason = f"its workers wait {waited_s:.0f} s for Spot, threshold {fallback_after_s:g} s"
    return FirstWorkerDecision(due=False, cause=FallbackCause.NONE, reason=reason)

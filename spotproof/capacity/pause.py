"""The run's budget: when a run has cost what it may, it pauses."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseDecision:
    """Whether the run is to stop leasing until somebody resumes it."""

    due: bool
    reason: str


def decide_pause(*, spent_usd: float | None, budget_usd: float | None) -> PauseDecision:
    """Pause at the budget. The money is looked at once a minute, so a run may pass it by a minute of its workers.

    Args:
        spent_usd: so far; None while nobody knows.
        budget_usd: what the run may cost; None is no limit.
    """
    if budget_usd is None:
        return PauseDecision(due=False, reason="no budget")
    if spent_usd is None:
        return PauseDecision(due=False, reason="nobody knows what was spent")
    if spent_usd < budget_usd:
        return PauseDecision(due=False, reason=f"${spent_usd:.4f} of ${budget_usd:.4f} spent")
    return PauseDecision(
        due=True,
        reason=f"${spent_usd:.4f} spent of a budget of ${budget_usd:.4f}: checkpoints stay; "
        "spotproof resume RUN --max-usd X goes on",
    )

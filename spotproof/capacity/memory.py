"""How much memory the next attempt gets after a worker ran out of it."""

from dataclasses import dataclass
from typing import Final

GROWTH: Final = 2  # the least number of failures on the way to an unknown need; each one costs a lease's time to live
STEP_MIB: Final = 128  # sizes are multiples of it, so that near misses still share instances


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDecision:
    """`memory_mib`: what to ask for, in MiB; None if asking for more is no use."""

    memory_mib: int | None
    reason: str


def decide_memory(*, memory_mib: int | None, cap_mib: int) -> MemoryDecision:
    """Twice what was not enough, up to what the deployment's largest instance type can give a container.

    Args:
        memory_mib: what the attempt that failed had reserved; None if Batch did not say.
        cap_mib: the most that any instance type of the deployment can give one worker, at least 1.

    Raises:
        ValueError: `cap_mib` is below 1.
    """
    if cap_mib < 1:
        raise ValueError(f"cap_mib must be at least 1, got {cap_mib}")
    if memory_mib is None or memory_mib < 1:
        return MemoryDecision(memory_mib=None, reason="Batch did not tell how much memory the worker had")
    if memory_mib >= cap_mib:
        return MemoryDecision(
            memory_mib=None,
            reason=f"it had {memory_mib} MiB, and {cap_mib} MiB is the most that the instance types give: "
            "cut smaller shards, or deploy larger types",
        )
    grown = -(-memory_mib * GROWTH // STEP_MIB) * STEP_MIB
    if grown >= cap_mib:
        return MemoryDecision(memory_mib=cap_mib, reason=f"{memory_mib} MiB was not enough; {cap_mib} MiB is the cap")
    return MemoryDecision(memory_mib=grown, reason=f"{memory_mib} MiB was not enough; {GROWTH} times as much next")


def memory_override(memory_mib: int) -> dict[str, list[dict[str, str]]]:
    """`containerOverrides` of SubmitJob for a worker of another size than its job definition's."""
    return {"resourceRequirements": [{"type": "MEMORY", "value": str(memory_mib)}]}

"""How much work a run has left, from the times its own shards took."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

NORMAL95: Final = 1.645  # one-sided 95 % quantile of the normal distribution
UNSEEN_SPREAD: Final = 0.5  # added to the mean, as a share of it, before there are two shards to tell a spread from


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkEstimate:
    """Work left, in worker-seconds; `high_s` is what a deadline should count on."""

    mean_s: float
    high_s: float
    shard_s: float  # what one shard may have left, if it takes as long as the longest seen
    reason: str


def estimate_work(*, shard_s: Sequence[float], running_s: Sequence[float], waiting: int) -> WorkEstimate | None:
    """Work left from the shards that are done, those that are being worked on and those that wait.

    A running shard has left what the longer ones among the done took beyond its age; if it is older than all of them,
    as much as the mean again. The high estimate adds 1.645 standard deviations of the prediction (shards left and mean
    both unsure); from a handful of samples that is too little, but slack is largest then and the next minute asks again.

    Args:
        shard_s: worker-seconds each committed shard took, any order; a sample will do.
        running_s: worker-seconds spent so far on each shard that is leased.
        waiting: shards that nobody works on.

    Returns:
        None if nothing is known: no shard is done, and none has been worked on.

    Raises:
        ValueError: a time is negative or not finite, or `waiting` is negative.
    """
    if waiting < 0 or any(not (0 <= value < math.inf) for value in (*shard_s, *running_s)):
        raise ValueError(f"times and counts must not be negative, got {waiting} waiting")
    left = waiting + len(running_s)
    if left == 0:
        return WorkEstimate(mean_s=0.0, high_s=0.0, shard_s=0.0, reason="no shard is left")
    samples, source = _samples(shard_s, running_s)
    if not samples:
        return None
    mean = statistics.fmean(samples)
    rests = [_rest(age, samples, mean) for age in running_s]
    mean_s = waiting * mean + sum(rests)
    high_s = mean_s + _margin(samples, mean_s, left)
    longest_s = max(samples)
    ages = [0.0] * (waiting > 0) + list(running_s)
    return WorkEstimate(
        mean_s=mean_s,
        high_s=high_s,
        shard_s=max(longest_s - age if age < longest_s else mean for age in ages),
        reason=f"{left} shards left at {mean:.1f} s each ({source}): {mean_s:.0f} s, at most {high_s:.0f} s",
    )


def _samples(shard_s: Sequence[float], running_s: Sequence[float]) -> tuple[Sequence[float], str]:
    if shard_s:
        return shard_s, f"{len(shard_s)} done"
    oldest = max(running_s, default=0.0)
    # None is done: the oldest will, as far as anybody knows, take as long again.
    return ((2 * oldest,), "none done, twice the oldest running") if oldest > 0 else ((), "")


def _rest(age: float, samples: Sequence[float], mean: float) -> float:
    longer = [sample - age for sample in samples if sample > age]
    return statistics.fmean(longer) if longer else mean


def _margin(samples: Sequence[float], mean_s: float, left: int) -> float:
    """Upper half of the prediction interval for the sum of `left` more shards."""
    if len(samples) == 1:
        return UNSEEN_SPREAD * mean_s
    return NORMAL95 * statistics.stdev(samples) * math.sqrt(left + left**2 / len(samples))

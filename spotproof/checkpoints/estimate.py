"""What saves cost, how long one will take, and how fast the job changes its state, learned from the saves that were made."""

from dataclasses import dataclass, replace
from typing import Final

SMALL_BYTES: Final = 64 * 2**10  # below it a save's duration tells about latency, above about bandwidth
WEIGHT: Final = 0.3  # of the newest observation
OVERRUN_KEPT: Final = 0.8  # of the worst overrun, from one save to the next
OVERRUN_MAX: Final = 3.0  # one hiccup must not shrink the budget for good
SHORTEST_S: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveEstimate:
    """A pessimistic guess at a save's way to the store: latency + bytes / bandwidth, times what lately went over it.

    Latency is an exponentially weighted mean. Bandwidth is bytes over time, both summed with the same decay, so that
    a save counts by its size and a tiny one can't fake a fast network. The worst overrun is remembered and fades.
    Starts on the cautious side: half a second and 10 MB/s, as if one second of that had been seen.
    """

    latency_s: float = 0.5  # of a save that carries next to nothing
    carried_bytes: float = 10e6  # decayed sum
    carrying_s: float = 1.0  # decayed sum
    overrun: float = 0.0  # share by which a save exceeded latency + bytes / bandwidth, the worst lately
    latency_measured: bool = False

    @property
    def bytes_per_s(self) -> float:
        return self.carried_bytes / self.carrying_s

    def observe(self, *, size_bytes: int, duration_s: float) -> "SaveEstimate":
        """The estimate after a save took `duration_s` to carry `size_bytes`, from its beginning until it was durable."""
        duration_s = max(SHORTEST_S, duration_s)
        learned = self._with_latency(duration_s) if size_bytes < SMALL_BYTES else self._with(size_bytes, duration_s)
        over = duration_s / learned._mean_s(size_bytes) - 1.0
        return replace(learned, overrun=min(OVERRUN_MAX, max(over, OVERRUN_KEPT * self.overrun, 0.0)))

    def observe_unfinished(self, *, size_bytes: int, waited_s: float) -> "SaveEstimate":
        """The estimate after a save was given up: it would have taken longer than that; news only if that is long."""
        if waited_s <= self.seconds(size_bytes):
            return self
        return self.observe(size_bytes=size_bytes, duration_s=waited_s)

    def seconds(self, size_bytes: int) -> float:
        """What a save of `size_bytes` will take, with the worst overrun of late."""
        return self._mean_s(size_bytes) * (1.0 + self.overrun)

    def left_s(self, size_bytes: int, *, elapsed_s: float) -> float:
        """What is left of a save that began `elapsed_s` ago; an overdue one is expected to take as long again."""
        left_s = self.seconds(size_bytes) - elapsed_s
        return left_s if left_s > 0 else self.latency_s - left_s

    def largest_bytes(self, *, within_s: float) -> int:
        """The most bytes whose save is expected to take no longer; 0 if not even an empty one fits."""
        carrying_s = within_s / (1.0 + self.overrun) - self.latency_s
        return max(0, int(carrying_s * self.bytes_per_s))

    def _mean_s(self, size_bytes: int) -> float:
        return self.latency_s + size_bytes / self.bytes_per_s

    def _with_latency(self, duration_s: float) -> "SaveEstimate":
        return replace(self, latency_s=_blend(self.latency_s, duration_s), latency_measured=True)

    def _with(self, size_bytes: int, duration_s: float) -> "SaveEstimate":
        # A latency that is only supposed must not make the bandwidth look better than it is.
        latency_s = self.latency_s if self.latency_measured else 0.0
        return replace(
            self,
            carried_bytes=(1 - WEIGHT) * self.carried_bytes + size_bytes,
            carrying_s=(1 - WEIGHT) * self.carrying_s + max(duration_s / 2, duration_s - latency_s),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRate:
    """How fast the job changes its state, for trackers that can't count cheaply: rises at once, falls slowly."""

    bytes_per_s: float | None = None  # None: nothing seen yet

    def observe(self, *, size_bytes: int, worked_s: float) -> "ChangeRate":
        """The rate after `worked_s` of work left `size_bytes` to save."""
        rate = size_bytes / max(SHORTEST_S, worked_s)
        slow = rate if self.bytes_per_s is None else _blend(self.bytes_per_s, rate)
        return ChangeRate(bytes_per_s=max(rate, slow))

    def bytes_in(self, worked_s: float) -> int | None:
        """What that much work is expected to change; None while nothing is known."""
        return None if self.bytes_per_s is None else int(self.bytes_per_s * max(0.0, worked_s))


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveCosts:
    """What saves cost lately, exponentially weighted."""

    stall_s: float  # the job stood still
    carry_s: float  # from the beginning until durable; the job worked meanwhile
    requests: float  # to the store, all kinds

    def observe(self, newest: "SaveCosts") -> "SaveCosts":
        """The costs after one more save."""
        return SaveCosts(
            stall_s=_blend(self.stall_s, newest.stall_s),
            carry_s=_blend(self.carry_s, newest.carry_s),
            requests=_blend(self.requests, newest.requests),
        )


def _blend(old: float, new: float) -> float:
    return (1 - WEIGHT) * old + WEIGHT * new

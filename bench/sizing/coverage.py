"""How often what happened stayed below what was predicted: every run predicted from those before it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from spotproof.capacity.sizing.forecast import START_S, Expectation, forecast
from spotproof.capacity.sizing.history import JobHistory
from spotproof.capacity.sizing.prediction import Prediction
from spotproof.capacity.sizing.record import RunRecord

LEVEL = 0.9


@dataclass
class Coverage:
    """Shares of shards (the mean over held-out runs) and of runs that stayed below their predicted p90."""

    seconds: list[float] = field(default_factory=list)  # by held-out run: the share of its shards
    memory: list[float] = field(default_factory=list)
    walls: list[float] = field(default_factory=list)  # 1.0 or 0.0 a run
    tightness: list[float] = field(default_factory=list)  # by run: predicted p90 over what a median shard took

    def add(
        self, earlier: Sequence[RunRecord], held: RunRecord, sizes: Sequence[int] | None, rng: random.Random
    ) -> None:
        """Predict `held` from `earlier` and compare. `sizes`: of all its shards, in order; None: not a whole run."""
        history = JobHistory.of(earlier)
        seconds = history.seconds
        taken = [(sample.input_bytes, sample.work_ms / 1000) for sample in held.samples]
        self.seconds.append(_share_below(seconds, taken))
        self.tightness.append(seconds.score(LEVEL) / seconds.score(0.5))
        if history.memory is not None:
            self.memory.append(
                _share_below(history.memory, [(sample.input_bytes, float(sample.peak_mib)) for sample in held.samples])
            )
        if sizes is not None:
            predicted = forecast(sizes, held.workers, Expectation.of(history), rng=rng)
            self.walls.append(float(held.wall_s + START_S <= predicted.wall_s.high))

    def join(self, other: "Coverage") -> None:
        """Add what another one counted."""
        self.seconds += other.seconds
        self.memory += other.memory
        self.walls += other.walls
        self.tightness += other.tightness

    def summary(self) -> dict[str, float | int]:
        named = {"shard_seconds": self.seconds, "shard_memory": self.memory, "run_time": self.walls}
        means: dict[str, float | int] = {
            name: round(sum(values) / len(values), 4) for name, values in named.items() if values
        }
        return {"held_out_runs": len(self.seconds), **means, "p90_over_median": round(_mean(self.tightness), 3)}


def _share_below(prediction: Prediction, taken: Sequence[tuple[int, float]]) -> float:
    score = prediction.score(LEVEL)
    return sum(value <= prediction.line.at(size) * score for size, value in taken) / len(taken)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

"""How long a run will take and what it will cost, with a band: runs drawn from what earlier ones were like."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spotproof.capacity.sizing.history import JobHistory
from spotproof.capacity.sizing.packing import makespan_s, thinned_evenly
from spotproof.capacity.sizing.prediction import Line, Prediction
from spotproof.capacity.sizing.quantiles import median, weighted_quantile

DRAWS: Final = 200  # the 10th and 90th percentile are then good to about 3 percentiles
SHARDS_DRAWN: Final = 2_000
START_S: Final = 180.0  # from the submission to the first lease: a host boots, pulls the image, fetches the code
LOW: Final = 0.1
HIGH: Final = 0.9

# How much one run differs from the next: this much before any was seen (as a standard deviation of the logarithm),
# counting as two runs.
_RUN_SD_PRIOR: Final = 0.25
_RUN_SD_PRIOR_RUNS: Final = 2.0

# Without history: a worker gets through 8 MiB a second, and that may be wrong fourfold either way.
DEFAULT_BYTES_PER_S: Final = 8 * 2**20
DEFAULT_SHARD_S: Final = 1.0
DEFAULT_WRONG: Final = 4.0
_DEFAULT_SD: Final = math.log(DEFAULT_WRONG) / 1.2816  # of a normal, 80 % lie within 1.2816 standard deviations
_DEFAULT_OVERHEAD: Final = 1.05
_DEFAULT_PRESENCE: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A 10th percentile, a median and a 90th percentile."""

    low: float
    middle: float
    high: float

    def times(self, factor: float) -> "Band":
        return Band(low=self.low * factor, middle=self.middle * factor, high=self.high * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Of one run."""

    wall_s: Band  # from the submission to the last commit
    worker_s: Band  # paid for, over all workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What runs of a job are like."""

    shard: Prediction  # seconds of work
    run_sd: float  # of the logarithm of a run's factor
    overheads: tuple[float, ...]
    presences: tuple[float, ...]

    @classmethod
    def of(cls, history: JobHistory) -> "Expectation":
        """From earlier runs, or from the stated defaults when there are none."""
        if not history.runs:
            scores = (1 / DEFAULT_WRONG, 0.5, 1.0, 2.0, DEFAULT_WRONG)
            guess = Prediction(
                line=Line(fixed=DEFAULT_SHARD_S, per_byte=1 / DEFAULT_BYTES_PER_S), scores=(scores,), bytes_max=0
            )
            return cls(shard=guess, run_sd=_DEFAULT_SD, overheads=(_DEFAULT_OVERHEAD,), presences=(_DEFAULT_PRESENCE,))
        return cls(
            shard=history.seconds,
            run_sd=spread_of_runs(history.seconds),
            overheads=history.overheads,
            presences=history.presences,
        )


def spread_of_runs(prediction: Prediction) -> float:
    """Standard deviation of the logarithm of the factor between a run and what the other runs said of it."""
    logs = [math.log(max(median(run), 1e-9)) for run in prediction.scores]
    squares = _RUN_SD_PRIOR_RUNS * _RUN_SD_PRIOR**2 + sum(each**2 for each in logs)
    return math.sqrt(squares / (_RUN_SD_PRIOR_RUNS + len(logs)))


def forecast(
    sizes: Sequence[int], workers: int, expectation: Expectation, *, rng: random.Random, draws: int = DRAWS
) -> Forecast:
    """Draw runs and look at them.

    Each draw takes a factor for the whole run, a factor for each shard from one earlier run, and that run's
    overheads. Workers are there for as much of the time as they were in an earlier run.

    Args:
        sizes: bytes that each shard's lease reads, in the order of their numbers; at least one.
        workers: at least 1.
    """
    drawn, copies = thinned_evenly(sizes, SHARDS_DRAWN)
    expected = [expectation.shard.line.at(size) for size in drawn]
    runs = [_centred(run) for run in expectation.shard.scores]
    walls, paid = [], []
    for _ in range(draws):
        factor = math.exp(rng.gauss(0.0, expectation.run_sd)) * rng.choice(expectation.overheads)
        scores = rng.choices(rng.choice(runs), k=len(expected))
        busy_s = makespan_s(
            [line_s * score * factor for line_s, score in zip(expected, scores, strict=True)], workers, copies=copies
        )
        walls.append(START_S + busy_s / rng.choice(expectation.presences))
        paid.append((START_S + busy_s) * workers)
    return Forecast(wall_s=_band(walls), worker_s=_band(paid))


def _centred(run: Sequence[float]) -> list[float]:
    """A run's scores without the run's own factor, which is drawn apart."""
    middle = max(median(run), 1e-9)
    return [score / middle for score in run]


def _band(values: Sequence[float]) -> Band:
    weights = [1.0] * len(values)
    low, middle, high = (weighted_quantile(values, weights, level) for level in (LOW, 0.5, HIGH))
    return Band(low=low, middle=middle, high=high)

"""Runs of several workers on made-up markets, as hostile as they come: is any of them late?"""

import random
from typing import Any, Final

from bench.policies.grid import PRICE_RATIO
from bench.policies.replay import Job
from bench.policies.wide import SHARD_H, WideRun

STEP_S: Final = 60.0
SHARD_TICKS: Final = round(SHARD_H * 3600 / STEP_S)
CHANCES: Final = (0.05, 0.2, 0.5, 0.8)  # each tick, that Spot goes, or that it comes


def draw_run(rng: random.Random) -> WideRun:
    """Up to six places, an hour of work each, changeovers of up to five minutes; slack for one changeover at least."""
    work, changeover = rng.randint(1, 60), rng.randint(0, 5)
    deadline = work + SHARD_TICKS + changeover + rng.randint(0, 60)
    job = Job(work=work, deadline=deadline, changeover=changeover, price_ratio=PRICE_RATIO, step_s=STEP_S)
    lost, found = rng.choice(CHANCES), rng.choice(CHANCES)
    return WideRun(job, [_market(rng, deadline, lost, found) for _ in range(rng.randint(2, 6))])


def play_random(runs: int, *, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    drawn = [draw_run(rng) for _ in range(runs)]
    late = sum(run.play().ticks > run.job.deadline for run in drawn)
    return {"n": runs, "late": late, "places": "2 to 6", "shard_min": SHARD_TICKS, "changeover_min": "0 to 5"}


def _market(rng: random.Random, ticks: int, lost: float, found: float) -> list[bool]:
    """Of one place: a Markov chain."""
    up, market = rng.random() < 0.5, []
    for _ in range(ticks):
        up = rng.random() >= lost if up else rng.random() < found
        market.append(up)
    return market

"""One seed decides everything: the trace is the same under any hash seed, in any order, in any process."""

import os
import subprocess
import sys
from pathlib import Path

from simulation.campaign import run_seeds
from simulation.world import run_seed

ROOT = Path(__file__).parent.parent.parent
SEEDS = range(1, 11)
PROGRAM = """
from simulation.world import run_seed
for seed in {seeds}:
    outcome = run_seed(seed)
    print(seed, outcome.digest, outcome.steps, outcome.calls, sorted(outcome.struck.items()))
"""


def told(hash_seed: str, seeds: list[int]) -> list[str]:
    """What a process of its own, under this hash seed, says about the seeds."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(seeds=seeds)],
        cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return ran.stdout.splitlines()


def test_the_trace_does_not_depend_on_hashes_or_on_what_ran_before() -> None:
    forwards = told("1", list(SEEDS))
    backwards = told("2", list(reversed(SEEDS)))

    assert len(forwards) == len(SEEDS)
    assert forwards == backwards[::-1]


def test_a_seed_run_twice_in_one_process_gives_the_same_world() -> None:
    first, second = run_seed(4), run_seed(4)

    assert first == second


def test_processes_of_a_campaign_and_a_single_one_agree() -> None:
    alone = [outcome.digest for outcome in run_seeds(range(1, 4), run=run_seed, processes=1)]
    shared = [outcome.digest for outcome in run_seeds(range(1, 4), run=run_seed, processes=2)]

    assert alone == shared


def test_different_seeds_are_different_worlds() -> None:
    assert len({run_seed(seed).digest for seed in range(1, 6)}) == 5

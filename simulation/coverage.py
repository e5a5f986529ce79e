"""No silently dead faults or decisions: each kind must have come up often, and faults at each place where they can."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from simulation.campaign import DECISION, Tally
from simulation.decisions import DECISIONS, REACHED
from simulation.faults.calls import CallFault
from simulation.faults.catalogue import CATALOGUE, Play
from simulation.faults.drawn import can_strike
from simulation.faults.rates import CALLS, SHARES

KINDS_FROM: Final = 2_000  # seeds: below it, a rare fault may be missing by chance
SITES_FROM: Final = 10_000  # seeds: below it, a rare fault may miss a rare place by chance
PER_SEEDS: Final = 100 / 10_000  # so often must each kind strike
DUE: Final = 12  # strikes expected at a site of AWS calls before their absence is no chance


def dead_faults(tally: Tally) -> list[str]:
    """What should have struck, or have been decided, and was not, in words; nothing for a campaign too small to tell."""
    if tally.seeds < KINDS_FROM:
        return []
    dead = [*_rare_kinds(tally), *_rare_decisions(tally), *_unreached(tally)]
    if tally.seeds >= SITES_FROM:
        dead += [*_missed_places(tally), *_missed_calls(tally)]
    return list(dict.fromkeys(dead))


def _plays() -> Iterator[Play]:
    for fault in CATALOGUE.values():
        yield from fault.plays


def _rare_kinds(tally: Tally) -> Iterator[str]:
    struck: Counter[str] = Counter()
    for (name, _), times in tally.struck.items():
        struck[name] += times
    for name in dict.fromkeys(play.name for play in _plays()):
        least = int(PER_SEEDS * tally.seeds)
        if struck[name] < least:
            yield f"{name} struck {struck[name]} times in {tally.seeds} jobs, {least} are the least"


def _rare_decisions(tally: Tally) -> Iterator[str]:
    least = int(PER_SEEDS * tally.seeds)
    for name in DECISIONS:
        times = tally.struck[name, DECISION]
        if times < least:
            yield f"{name!r} was decided {times} times in {tally.seeds} jobs, {least} are the least"


def _unreached(tally: Tally) -> Iterator[str]:
    yield from (f"{site} was never called" for site in REACHED if not tally.sites[site])


def _missed_places(tally: Tally) -> Iterator[str]:
    for play in _plays():
        for site in play.sites:
            if not tally.struck[play.name, site]:
                yield f"{play.name} never struck at {site}"


def _missed_calls(tally: Tally) -> Iterator[str]:
    for site, calls in sorted(tally.sites.items()):
        for fault in CallFault:
            due = calls * CALLS[fault] * sum(SHARES) / len(SHARES)
            if due >= DUE and can_strike(fault, site) and not tally.struck[fault.value, site]:
                yield f"{fault.value} never struck at {site} ({calls} calls, {due:.0f} strikes due)"

"""Plays many bad inputs against one target, from a seed; inputs that took a new way are played on."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.fuzz.target import Target
from tests.fuzz.watchdog import TookTooLongError, cpu_limit

POOL_MAX: Final = 300  # inputs that are kept to be changed further
LINE_MAX: Final = 2000  # characters of a refusal: one line for a person
SHOWN_MAX: Final = 300  # characters of a finding's input
Way = tuple[object, ...]  # how an input was taken: what told so, and where in the code


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An input that broke a promise, and how. The same seed and number give the same input again."""

    number: int
    error: str
    place: str  # file:line
    shown: str


@dataclass(slots=True)
class Played:
    """What a campaign came to."""

    target: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    ways: int = 0  # different places that said yes or no
    slowest_ms: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)  # the first one of each place
    found: Counter[str] = field(default_factory=Counter)  # inputs, by place


class UnclearRefusalError(AssertionError):
    """A refusal that is not one line for a person."""


def play(target: Target, *, count: int, seed: int) -> Played:
    """Play `count` inputs; the good ones first, which must all be accepted."""
    played = Played(target=target.name)
    rng = random.Random(f"{target.name} {seed}")
    pool, ways = list(target.seeds), set[Way]()
    for number, value in enumerate(_inputs(target, pool, rng, count)):
        way = _one(target, value, number, played)
        if way is not None and way not in ways:
            ways.add(way)
            _keep(pool, value, rng, seeds=len(target.seeds))
    played.ways = len(ways)
    return played


def _inputs(target: Target, pool: list[Any], rng: random.Random, count: int) -> Iterator[Any]:
    yield from target.seeds[:count]
    for _ in range(count - len(target.seeds)):
        yield target.mutate(rng.choice(pool), rng, rng.choice(pool))


def _keep(pool: list[Any], value: Any, rng: random.Random, *, seeds: int) -> None:
    """The seeds stay; beyond POOL_MAX a new input takes another one's place."""
    if len(pool) < POOL_MAX:
        pool.append(value)
    else:
        pool[rng.randrange(seeds, POOL_MAX)] = value


def _one(target: Target, value: Any, number: int, played: Played) -> Way | None:
    started = time.perf_counter()
    try:
        way = _way(target, value)
    except (Exception, TookTooLongError) as error:
        way = None
        _note(played, value, number, error)
    played.inputs += 1
    played.accepted += way is not None and way[0] == "accepted"
    played.refused += way is not None and way[0] == "refused"
    played.slowest_ms = max(played.slowest_ms, (time.perf_counter() - started) * 1000)
    return way


def _way(target: Target, value: Any) -> Way:
    """How the target took the input.

    Raises:
        UnclearRefusalError: it said no, but not in one line.
        Exception, TookTooLongError: whatever it raised and does not document.
    """
    try:
        with cpu_limit(target.limit_s):
            return ("accepted", target.attempt(value))
    except target.refusals as error:
        _check_line(str(error))
        return ("refused", type(error), _place(error), error.__cause__ and _place(error.__cause__))


def _check_line(line: str) -> None:
    """Raises UnclearRefusalError unless a person can read it: not empty, not endless, nothing that moves a cursor."""
    odd = [character for character in line if not character.isprintable()]
    if not line.strip() or odd or len(line) > LINE_MAX:
        raise UnclearRefusalError(f"a refusal of {len(line)} characters, {len(odd)} of them odd: {line!r:.120}")


def _note(played: Played, value: Any, number: int, error: BaseException) -> None:
    cause = error.__context__ if isinstance(error, UnclearRefusalError) and error.__context__ else error
    key = f"{type(error).__name__} at {_place(cause)}"
    played.found[key] += 1
    if key not in played.findings:
        shown = repr(value)
        played.findings[key] = Finding(
            number=number,
            error=f"{type(error).__name__}: {error}"[:SHOWN_MAX],
            place=_place(cause),
            shown=shown if len(shown) <= SHOWN_MAX else f"{shown[:SHOWN_MAX]}… ({len(shown)} characters)",
        )


def _place(error: BaseException) -> str:
    """Where it was raised: the last line of the product's own, if there is one."""
    places = list(_places(error.__traceback__))
    ours = [place for place in places if not place.startswith(("tests/", "/"))]
    return (ours or places or ["nowhere"])[-1]


def _places(trace: TracebackType | None) -> Iterator[str]:
    root = str(Path(__file__).parents[2]) + "/"
    while trace is not None:
        yield f"{trace.tb_frame.f_code.co_filename.removeprefix(root)}:{trace.tb_lineno}"
        trace = trace.tb_next

"""The campaign finds what it is there to find: crashes, hangs, refusals that nobody can read, broken promises."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from spotproof.errors import InputError
from tests.fuzz.campaign import LINE_MAX, play
from tests.fuzz.target import Target
from tests.fuzz.watchdog import TookTooLongError, cpu_limit


def target(attempt: Callable[[int], object]) -> Target:
    """Whose inputs are 0, and then whole numbers from 0 to 99."""
    return Target(
        name="numbers",
        surface="a test",
        seeds=[0],
        mutate=lambda value, rng, other: rng.randrange(100),
        attempt=attempt,
        refusals=(InputError, ValueError),
    )


def raising(error: BaseException, *, at: int = 7) -> Callable[[int], object]:
    def attempt(value: int) -> object:
        if value == at:
            raise error
        return value

    return attempt


def spinning(value: int) -> object:
    while value == 7:
        pass
    return value


def test_a_crash_is_found_counted_and_shown_once() -> None:
    played = play(target(raising(KeyError("x"))), count=2000, seed=1)

    [(place, finding)] = played.findings.items()
    assert place.startswith("KeyError at tests/fuzz/test_campaign.py:")
    assert (finding.error, finding.shown) == ("KeyError: 'x'", "7")
    assert played.found[place] > 5
    assert played.accepted == played.inputs - played.found[place]


def test_the_number_of_a_finding_leads_to_it_again() -> None:
    first = play(target(raising(KeyError("x"))), count=2000, seed=1)
    again = play(target(raising(KeyError("x"))), count=2000, seed=1)
    other = play(target(raising(KeyError("x"))), count=2000, seed=2)

    [number] = [finding.number for finding in first.findings.values()]
    assert [finding.number for finding in again.findings.values()] == [number]
    assert [finding.number for finding in other.findings.values()] != [number]


def test_a_documented_refusal_is_no_finding() -> None:
    played = play(target(raising(InputError("7 is too much"))), count=500, seed=1)

    assert played.findings == {}
    assert played.refused > 0


@pytest.mark.parametrize("text", ["", "two\nlines", "\x1b[2J", "\u202e", "long " * LINE_MAX])
def test_a_refusal_that_is_not_one_line_for_a_person_is_found(text: str) -> None:
    played = play(target(raising(ValueError(text))), count=500, seed=1)

    assert [place.partition(" ")[0] for place in played.findings] == ["UnclearRefusalError"]


def test_errors_of_ours_are_one_line_by_themselves() -> None:
    played = play(target(raising(InputError("two\nlines \x1b[2J \u202e" + "long " * LINE_MAX))), count=500, seed=1)

    assert played.findings == {}


def test_a_broken_promise_about_what_was_accepted_is_found() -> None:
    def attempt(value: int) -> object:
        assert value != 7, "never 7"
        return value

    assert [each.error[:14] for each in play(target(attempt), count=500, seed=1).findings.values()] == [
        "AssertionError"
    ]


def test_a_hang_is_interrupted_and_found_though_the_reader_catches_everything() -> None:
    def swallowing(value: int) -> object:
        try:
            return spinning(value)
        except Exception:
            return None

    played = play(replace(target(swallowing), limit_s=0.02), count=300, seed=1)

    assert [place.partition(" ")[0] for place in played.findings] == ["TookTooLongError"]


def test_memory_that_is_not_there_is_found() -> None:
    [place] = play(target(raising(MemoryError())), count=500, seed=1).findings

    assert place.startswith("MemoryError")


def test_the_limit_is_of_one_input_only() -> None:
    with cpu_limit(0.05):
        pass
    spent = [number for number in range(2_000_000) if number % 7 == 0]

    assert spent
    with pytest.raises(TookTooLongError), cpu_limit(0.02):
        spinning(7)


def test_inputs_that_took_a_new_way_are_played_on() -> None:
    """A number that only grows from what was accepted before: without keeping it, 7 digits would never be reached."""

    def grow(value: str, rng: random.Random, _other: Any) -> str:
        return value + rng.choice("0123456789")

    def attempt(text: str) -> object:
        if not "3141592".startswith(text):
            raise ValueError("not it")
        return len(text)

    digits = Target(name="digits", surface="a test", seeds=[""], mutate=grow, attempt=attempt, refusals=(ValueError,))

    assert play(digits, count=3000, seed=1).ways == 8 + 1  # a length each, and the refusal

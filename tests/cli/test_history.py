"""`spotproof history`."""

from spotproof.clock import to_epoch_ms
from spotproof.leases.model import HistoryEntry, RunId, history_key
from tests.cli.conftest import World


def note(world: World, kind: str, reason: str, *, after_s: float = 0.0, **facts: str) -> None:
    at = to_epoch_ms(world.clock.now()) + round(after_s * 1000)
    entry = HistoryEntry(key=history_key(at, kind), at=at, kind=kind, reason=reason, facts=facts)
    assert world.store.note_history(RunId("run-1"), entry)


def test_decisions_are_told_oldest_first_with_time_and_reason(world: World) -> None:
    world.put_run()
    note(world, "paused", "the budget of $5 is spent", after_s=60)
    note(world, "fallback", "a shard waited 700 s", added="2")

    document = world.json("history", "run-1")
    lines = world.run("history", "run-1", "--plain").stdout.splitlines()

    assert [(each["kind"], each["reason"]) for each in document["history"]] == [
        ("fallback", "a shard waited 700 s"),
        ("paused", "the budget of $5 is spent"),
    ]
    assert document["history"][0]["facts"] == {"added": "2"}
    assert lines[0].split("\t")[1:] == ["fallback", "a shard waited 700 s"]
    assert lines[0].split("\t")[0] == document["history"][0]["at"]


def test_the_newest_decisions_of_one_kind_can_be_asked_for(world: World) -> None:
    world.put_run()
    for number in range(5):
        note(world, "fallback", f"round {number}", after_s=number)
        note(world, "waiting", f"other {number}", after_s=number)

    document = world.json("history", "run-1", "--kind", "fallback", "--limit", "2")

    assert [each["reason"] for each in document["history"]] == ["round 3", "round 4"]


def test_the_numbers_behind_a_decision_are_shown_on_demand(world: World) -> None:
    world.put_run()
    note(world, "fallback", "a shard waited", added="2", waited_s="700")

    assert "added=2, waited_s=700" not in world.run("history", "run-1").stderr
    assert "added=2, waited_s=700" in world.run("history", "run-1", "-v").stderr


def test_a_run_about_which_nothing_was_decided_says_so(world: World) -> None:
    world.put_run()

    result = world.run("history", "run-1")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing had to be decided yet" in result.stderr


def test_an_unknown_run_has_no_history(world: World) -> None:
    result = world.run("history", "run-1")

    assert result.exit_code == 102
    assert "spotproof status" in result.stderr


def test_what_was_decided_before_the_run_was_planned_is_told(world: World) -> None:
    note(world, "fallback", "nobody could plan it")

    assert [each["kind"] for each in world.json("history", "run-1")["history"]] == ["fallback"]


def test_a_reason_from_elsewhere_moves_no_cursor(world: World) -> None:
    world.put_run()
    note(world, "waiting", "CE \x1b[2Jis gone")

    assert "\x1b" not in world.run("history", "run-1").stdout

"""`spotproof logs`."""

import json
from typing import Any

import pytest

from spotproof import events
from spotproof.clock import to_epoch_ms
from spotproof.leases.model import RunState
from tests.cli.conftest import World
from tests.cli.test_status import end

INSTANCES = ("i-00000000000000aa", "i-00000000000000bb")


def write(world: World, *lines: dict[str, Any] | str) -> None:
    now_ms = to_epoch_ms(world.clock.now())
    for number, each in enumerate(lines):
        world.logs.write(now_ms + number, each if isinstance(each, str) else json.dumps(each))


def line(event: str, *, run_id: str = "run-1", **fields: Any) -> dict[str, Any]:
    return {"ts": "2026-11-22T12:00:00", "level": "INFO", "event": event, "run_id": run_id, **fields}


def shown(world: World, *arguments: str) -> list[tuple[str, Any]]:
    result = world.run("logs", "run-1", "--json", *arguments)
    assert result.exit_code == 0, result.output
    documents = [json.loads(text) for text in result.stdout.splitlines()]
    assert all(list(document) == ["schema", "line"] for document in documents)
    return [(document["line"]["event"], document["line"].get("shard")) for document in documents]


@pytest.fixture
def logged(world: World) -> World:
    world.put_run()
    write(
        world,
        line(events.SHARD_LEASED, shard=1, instance_id=INSTANCES[0]),
        line(events.SHARD_LEASED, shard=2, instance_id=INSTANCES[1]),
        line(events.SHARD_LEASED, shard=1, run_id="another"),
        "print of the user's code",
        "[1, 2]",
        line(events.SHARD_COMMITTED, shard=1, instance_id=INSTANCES[0], zone="eu-central-1a", size_bytes=12),
    )
    return world


def test_logs_show_the_lines_of_the_run_and_no_other(logged: World) -> None:
    assert shown(logged) == [(events.SHARD_LEASED, 1), (events.SHARD_LEASED, 2), (events.SHARD_COMMITTED, 1)]


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        (("--shard", "1"), 2),
        (("--instance", INSTANCES[1]), 1),
        (("--event", events.SHARD_COMMITTED), 1),
        (("--shard", "2", "--event", events.SHARD_COMMITTED), 0),
    ],
)
def test_logs_filter_by_shard_instance_and_event(logged: World, arguments: tuple[str, ...], number: int) -> None:
    assert len(shown(logged, *arguments)) == number


def test_since_leaves_out_what_is_older(logged: World) -> None:
    logged.clock.advance(100)
    write(logged, line(events.SHARD_RELEASED, shard=3))

    assert shown(logged, "--since", "50") == [(events.SHARD_RELEASED, 3)]


def test_people_see_time_event_where_and_the_fields_of_the_event(logged: World) -> None:
    text = logged.run("logs", "run-1", "--event", events.SHARD_COMMITTED).stdout

    assert text == f"12:00:00.005 INFO shard_committed shard=1 instance_id={INSTANCES[0]} size_bytes=12\n"


def test_escapes_in_a_logged_value_do_not_reach_the_terminal(world: World) -> None:
    world.put_run()
    write(world, line(events.SHARD_FAILED, error="\x1b[31mred\x1b[0m\nnext"))

    assert "error=red next" in world.run("logs", "run-1").stdout


def test_a_run_without_lines_says_so(world: World) -> None:
    world.put_run()

    result = world.run("logs", "run-1")

    assert (result.exit_code, result.stdout) == (0, "")
    assert "no such lines yet" in result.stderr


def test_follow_shows_late_lines_once_and_ends_with_the_run(logged: World) -> None:
    run = logged.store.get_run(logged.put_run().run_id)
    assert run is not None
    logged.clock.after(3, lambda: write(logged, line(events.SHARD_RELEASED, shard=2)))
    logged.clock.after(9, lambda: end(logged, run, RunState.COMPLETE))

    assert shown(logged, "--follow") == [
        (events.SHARD_LEASED, 1),
        (events.SHARD_LEASED, 2),
        (events.SHARD_COMMITTED, 1),
        (events.SHARD_RELEASED, 2),
    ]


def test_ctrl_c_while_following_says_how_to_come_back(logged: World) -> None:
    def press_ctrl_c() -> None:
        raise KeyboardInterrupt

    logged.clock.after(5, press_ctrl_c)
    result = logged.run("logs", "run-1", "--follow")

    assert result.exit_code == 130
    assert "spotproof logs run-1 --follow" in result.stderr


def test_aws_is_asked_to_filter_by_a_json_pattern(logged: World) -> None:
    logged.run("logs", "run-1", "--shard", "1", "--event", 'quo"te')

    patterns = {request["filterPattern"] for request in logged.logs.asked}
    assert patterns == {'{ ($.run_id = "run-1") && ($.shard = 1) && ($.event = "quo\\"te") }'}


def test_the_local_account_is_asked_for_all_lines(logged: World) -> None:
    logged.env["AWS_ENDPOINT_URL"] = "http://127.0.0.1:9"

    assert len(shown(logged, "--shard", "1")) == 2
    assert all("filterPattern" not in request for request in logged.logs.asked)


def test_a_deleted_log_group_is_one_line_and_4(world: World) -> None:
    world.put_run()
    world.logs.group = "/another"

    result = world.run("logs", "run-1")

    assert result.exit_code == 4
    assert "log group" in result.stderr
    assert result.stderr.count("\n") == 1

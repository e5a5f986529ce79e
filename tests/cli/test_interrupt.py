"""`spotproof interrupt` against a stand-in for the local account's admin API."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.cli.conftest import World
from tests.cli.test_status import hold_one

INSTANCES = ("i-00000000000000aa", "i-00000000000000bb", "i-00000000000000cc")


class AdminServer:
    """Notes what is asked; refuses unknown instances as the local account does."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked.append((self.path, body))
                known = "X-Localcloud" in self.headers and body["instance"] in INSTANCES
                answer = {} if known else {"error": f"no instance {body['instance']}", "exit_code": 2}
                self.send_response(200 if known else 400)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def admin(world: World) -> Iterator[AdminServer]:
    server = AdminServer()
    world.env["AWS_ENDPOINT_URL"] = server.url
    thread = threading.Thread(target=server.server.serve_forever)
    thread.start()
    yield server
    server.server.shutdown()
    server.server.server_close()
    thread.join()


@pytest.fixture
def busy(world: World) -> World:
    """Three workers; the third holds a shard."""
    run = world.put_run()
    for number, instance in enumerate(INSTANCES):
        session = world.open_session(run, f"w{number}", instance_id=instance)
        world.clock.advance(1)
    hold_one(world, run, session)
    return world


@pytest.mark.parametrize(
    ("arguments", "operation"), [((), "interrupt"), (("--no-notice",), "kill"), (("--rebalance",), "rebalance")]
)
def test_each_way_of_interrupting_has_its_operation(
    busy: World, admin: AdminServer, arguments: tuple[str, ...], operation: str
) -> None:
    result = busy.run("interrupt", "run-1", *arguments)

    assert result.exit_code == 0, result.output
    assert admin.asked == [(f"/_localcloud/{operation}", {"instance": INSTANCES[2]})]


def test_workers_that_hold_a_shard_are_taken_first_then_the_longest_alive(busy: World, admin: AdminServer) -> None:
    assert busy.json("interrupt", "run-1", "--count", "2")["instances"] == [INSTANCES[2], INSTANCES[0]]
    assert len(admin.asked) == 2


def test_fewer_instances_than_asked_for_is_said(busy: World, admin: AdminServer) -> None:
    result = busy.run("interrupt", "run-1", "--count", "9")

    assert "only 3 instances" in result.stderr
    assert len(admin.asked) == 3


def test_one_instance_can_be_named(world: World, admin: AdminServer) -> None:
    assert world.run("interrupt", "--instance", INSTANCES[0]).exit_code == 0
    assert admin.asked == [("/_localcloud/interrupt", {"instance": INSTANCES[0]})]


def test_an_instance_that_the_account_does_not_know_is_refused(world: World, admin: AdminServer) -> None:
    result = world.run("interrupt", "--instance", "i-0123456789abcdef0")

    assert result.exit_code == 2
    assert "no instance i-0123456789abcdef0" in result.stderr


def test_a_run_without_live_workers_is_a_conflict(world: World, admin: AdminServer) -> None:
    world.put_run()

    assert world.run("interrupt", "run-1").exit_code == 5
    assert not admin.asked


def test_an_unknown_run_is_102(world: World, admin: AdminServer) -> None:
    assert world.run("interrupt", "nobody").exit_code == 102


def test_against_aws_it_refuses(busy: World) -> None:
    result = busy.run("interrupt", "run-1")

    assert result.exit_code == 3
    assert result.stderr.startswith("error: interrupt works on the local account only")


def test_no_local_account_at_the_endpoint_says_how_to_start_one(world: World) -> None:
    result = world.run("interrupt", "--instance", INSTANCES[0], "--endpoint-url", "http://127.0.0.1:9")

    assert result.exit_code == 3
    assert "localcloud up" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [(), ("run-1", "--instance", INSTANCES[0]), ("run-1", "--no-notice", "--rebalance"), ("run-1", "--count", "0")],
)
def test_arguments_that_contradict_each_other_are_usage_errors(world: World, arguments: tuple[str, ...]) -> None:
    assert world.run("interrupt", *arguments).exit_code == 2

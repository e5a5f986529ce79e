"""`spotproof exporter`: scrapes over HTTP, a file for node_exporter, one reading."""

import os
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from spotproof_cli.commands.exporter import stopped_by_sigterm
from spotproof_cli.exporter.endpoint import parse_listen, served
from spotproof_cli.exporter.exposition import registry_of
from spotproof_cli.main import main
from spotproof_cli.services import Services
from tests.cli.conftest import World
from tests.cli.exporter.conftest import Exporter, scraped
from tests.cli.exporter.test_readings import refuse


class Rounds:
    """A flag that is set after so many waits; meanwhile the world goes on."""

    def __init__(self, world: World, rounds: int) -> None:
        self.world = world
        self.left = rounds
        self.waited: list[float | None] = []

    def set(self) -> None:
        self.left = 0

    def is_set(self) -> bool:
        return self.left <= 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout)
        self.world.clock.advance(timeout or 0.0)
        self.left -= 1
        return self.is_set()


def call(world: World, *arguments: str, rounds: Rounds | None = None) -> Result:
    flag = rounds or Rounds(world, 1)
    services = Services(clock=world.clock, ids=world.ids, env=world.env, connect=world._connect, stop_flag=lambda: flag)
    return CliRunner().invoke(main, ["exporter", *arguments], obj=services)


def test_one_reading_is_printed_in_prometheus_text_format(world: World) -> None:
    world.put_run()

    result = call(world, "--once")

    assert result.exit_code == 0, result.output
    assert "# TYPE spotproof_run_shards gauge\n" in result.stdout
    assert "# TYPE spotproof_interruptions_total counter\n" not in result.stdout  # no pool was seen yet
    shown = scraped(result.stdout)
    assert shown("run_shards", run="run-1", state="ready") == 4
    assert [dict(labels)["prefix"] for labels in shown.series("exporter_info")] == ["Spotproof"]


def test_one_reading_of_which_aws_refused_a_part_prints_the_rest_and_exits_4(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.ec2, "describe_instances", refuse)

    result = call(world, "--once")

    assert result.exit_code == 4
    assert result.stderr.startswith("warning: reading ec2: ")
    assert scraped(result.stdout)("runs", state="running") == 0


def test_it_reads_at_the_interval_until_it_is_told_to_stop(world: World) -> None:
    rounds = Rounds(world, 3)

    result = call(world, "--listen", "127.0.0.1:0", "--interval", "7", rounds=rounds)

    assert result.exit_code == 0, result.output
    assert rounds.waited == [7, 7, 7]
    assert result.stderr.startswith("serving http://127.0.0.1:")


def test_a_textfile_is_replaced_as_a_whole_at_each_reading(world: World, tmp_path: Path) -> None:
    path = tmp_path / "spotproof.prom"
    path.write_text('spotproof_runs{state="running"} 99\n' * 1000)
    world.clock.after(7, lambda: world.put_run("run-1"))
    rounds = Rounds(world, 2)

    result = call(world, "--textfile", str(path), "--interval", "7", rounds=rounds)

    assert (result.exit_code, result.stderr) == (0, "")  # nothing is served
    assert scraped(path.read_text())("runs", state="running") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["spotproof.prom"]


def test_a_file_that_can_not_be_written_for_a_while_keeps_its_last_reading_and_is_told_once(
    world: World, tmp_path: Path
) -> None:
    folder, away = tmp_path / "metrics", tmp_path / "away"
    folder.mkdir()
    kept: list[str] = []

    def take_away() -> None:
        folder.rename(away)
        world.put_run("run-1")

    def give_back() -> None:
        kept.append((away / "spotproof.prom").read_text())
        away.rename(folder)

    world.clock.after(7, take_away)
    world.clock.after(21, give_back)

    result = call(world, "--textfile", str(folder / "spotproof.prom"), "--interval", "7", rounds=Rounds(world, 4))

    assert result.exit_code == 0, result.output
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("warning: --textfile ")
    assert "it is tried again in 7 s" in result.stderr
    assert scraped(kept[0])("runs", state="running") == 0
    assert scraped((folder / "spotproof.prom").read_text())("runs", state="running") == 1
    assert [each.name for each in folder.iterdir()] == ["spotproof.prom"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_leaves_the_last_file_and_no_part_of_a_new_one(world: World, tmp_path: Path) -> None:
    path = tmp_path / "spotproof.prom"
    next_file = Path(f"{path}.{os.getpid()}.{threading.get_ident()}")  # what prometheus_client writes, then renames
    kept: list[str] = []
    world.clock.after(7, lambda: next_file.symlink_to("/dev/full"))
    world.clock.after(8, lambda: kept.append(path.read_text()))

    result = call(world, "--textfile", str(path), "--interval", "7", rounds=Rounds(world, 3))

    assert result.exit_code == 0, result.output
    assert "No space left on device" in result.stderr
    assert result.stderr.count("\n") == 1
    assert scraped(kept[0])("runs", state="running") == 0
    assert [each.name for each in tmp_path.iterdir()] == ["spotproof.prom"]


def test_one_reading_into_a_textfile_prints_nothing(world: World, tmp_path: Path) -> None:
    result = call(world, "--once", "--textfile", str(tmp_path / "once.prom"))

    assert (result.exit_code, result.output) == (0, "")
    assert scraped((tmp_path / "once.prom").read_text())("runs", state="running") == 0


def test_a_folder_that_is_missing_at_the_start_ends_the_exporter(world: World, tmp_path: Path) -> None:
    rounds = Rounds(world, 3)

    result = call(world, "--textfile", str(tmp_path / "missing" / "spotproof.prom"), rounds=rounds)

    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert rounds.waited == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--listen", "9108"), 2, "--listen must be HOST:PORT"),
        (("--listen", "127.0.0.1:65536"), 2, "--listen must be HOST:PORT"),
        (("--listen", "127.0.0.1:0", "--once"), 2, "drop --listen"),
        (("--json", "--once"), 2, "drop --json"),
        (("--interval", "0"), 2, "0"),
        (("--once", "--textfile", "/nonexistent/x.prom"), 2, "can't be written"),
        (("--once", "--textfile", "a\0b"), 2, "can't be written"),
        (("--once", "--prefix", "Other"), 4, "no stack Other-State"),
    ],
)
def test_what_can_not_be_is_one_line_and_a_code(
    world: World, arguments: tuple[str, ...], code: int, words: str
) -> None:
    result = call(world, *arguments)

    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_port_that_is_taken_is_a_configuration_error(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = call(world, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")

    assert result.exit_code == 3
    assert "choose another with --listen" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9108", ("127.0.0.1", 9108)), ("[::1]:0", ("::1", 0)), ("localhost:80", ("localhost", 80))],
)
def test_where_to_listen(text: str, address: tuple[str, int]) -> None:
    assert parse_listen(text) == address


def test_a_scrape_over_http_shows_the_latest_reading(exporter: Exporter) -> None:
    registry = registry_of(lambda: exporter.readings.shown, exporter.world.clock)

    def get(url: str) -> Any:
        with urllib.request.urlopen(url, timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            return scraped(answer.read().decode())

    with served(registry, host="127.0.0.1", port=0) as url:
        before = get(url)
        exporter.world.put_run()
        exporter.readings.read()
        after = get(url)

    assert before("runs", state="running") is None
    assert before.series("exporter_info") != {}
    assert after("runs", state="running") == 1
    with pytest.raises(urllib.error.URLError) as refused:
        get(url)
    assert isinstance(refused.value.reason, ConnectionRefusedError)  # the block has ended, and so has the server


def test_sigterm_is_left_alone_where_it_can_not_be_caught() -> None:
    flag, left = threading.Event(), threading.Event()

    def elsewhere() -> None:
        with stopped_by_sigterm(flag):
            left.set()

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join(10)

    assert left.is_set()
    assert not flag.is_set()

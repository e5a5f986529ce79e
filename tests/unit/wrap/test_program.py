"""A running program and its keeper, with real processes: how it ends, stands still, and never outlives its worker."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_jobs.wrap import program as program_module
from batch_jobs.wrap.program import Ended, Program
from batch_jobs.wrap.program_log import LINE_BYTES_MAX, TAIL_LINES
from spotproof.clock import SystemClock
from spotproof.concurrency import ThreadSpawner
from spotproof.errors import CheckpointError
from tests.unit.wrap.watching import eventually, is_alive, numbers_in, state_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the keeper needs /proc and prctl")

# A parent, a child in its group, a child that left group and session, and an orphan of one that did: all of them count
# in a file of their own, and tell their numbers.
FAMILY = """
count() { while :; do echo >> count.$1; done; }
export -f count
count own & echo $! >> pids
setsid bash -c 'echo $$ >> pids; count left' &
setsid bash -c 'bash -c "echo \\$\\$ >> pids; count orphan" & echo gone >> orphaned; exit 0'
echo $$ >> pids
count parent
"""
FAMILY_SIZE = 4
# What a worker is to its program, in a process that can be killed.
WORKER = """
import sys
from pathlib import Path
from batch_jobs.wrap.program import Program
from spotproof.clock import SystemClock
from spotproof.concurrency import ThreadSpawner
import os
program = Program(shard=0, spawner=ThreadSpawner(), clock=SystemClock())
program.start(["/bin/bash", "-c", sys.argv[1]], folder=Path.cwd(), environment=os.environ)
with program.frozen() if sys.argv[2] == "frozen" else open(os.devnull):
    print("ready", flush=True)
    program.wait(600)
"""


@pytest.fixture
def program() -> Iterator[Program]:
    made = Program(shard=3, spawner=ThreadSpawner(), clock=SystemClock())
    yield made
    made.kill()


def run(program: Program, folder: Path, script: str) -> Ended:
    start(program, folder, script)
    ended = program.wait(20)
    assert ended is not None
    return ended


def start(program: Program, folder: Path, script: str) -> None:
    program.start(["/bin/bash", "-c", script], folder=folder, environment=dict(os.environ))


def counts(folder: Path) -> dict[str, int]:
    """How far everybody has come: each appends to a file of its own."""
    return {path.name: path.stat().st_size for path in folder.glob("count.*")}


def moved_on(folder: Path, before: dict[str, int]) -> Callable[[], bool]:
    return lambda: all(counts(folder)[name] > size for name, size in before.items())


def family(folder: Path) -> list[int]:
    """Starts nothing: the numbers of the family, once all have told."""
    found: list[int] = eventually(
        lambda: pids if len(pids := numbers_in(folder / "pids")) == FAMILY_SIZE else None, "the family is complete"
    )
    eventually(lambda: len(counts(folder)) == FAMILY_SIZE, "everybody counts")
    return found


@pytest.mark.parametrize("code", [0, 1, 75, 255])
def test_an_exit_code_is_told(program: Program, tmp_path: Path, code: int) -> None:
    assert run(program, tmp_path, f"exit {code}").code == code


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_a_signal_is_told(program: Program, tmp_path: Path, number: signal.Signals) -> None:
    assert run(program, tmp_path, f"kill -{int(number)} $$").code == -number


def test_a_program_that_can_not_be_started_says_why(program: Program, tmp_path: Path) -> None:
    program.start(["/nowhere/solver"], folder=tmp_path, environment={})

    ended = program.wait(20)

    assert ended == Ended(code=127, errors=("cannot start /nowhere/solver: No such file or directory",))


def test_it_runs_in_its_folder_with_its_environment_and_no_input(program: Program, tmp_path: Path) -> None:
    program.start(
        ["/bin/sh", "-c", 'cat > empty; echo "$PWD $ANSWER" > told'], folder=tmp_path, environment={"ANSWER": "42"}
    )

    assert program.wait(20) == Ended(code=0)
    assert (tmp_path / "told").read_text() == f"{tmp_path} 42\n"
    assert (tmp_path / "empty").read_bytes() == b""


def test_signals_that_python_ignores_are_the_programs_own_again(program: Program, tmp_path: Path) -> None:
    ended = run(program, tmp_path, "yes | head -n 1 > /dev/null; exit ${PIPESTATUS[0]}")

    assert ended.code == 128 + signal.SIGPIPE


def test_what_it_prints_is_logged_a_line_at_a_time(
    program: Program, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="spotproof.program"):
        ended = run(program, tmp_path, r"echo one; printf 'two\nthree'; printf 'caf\xe9\n' >&2; echo oops >&2; exit 3")

    said: list[Any] = [(record.__dict__["stream"], record.__dict__["text"]) for record in caplog.records]
    assert [text for stream, text in said if stream == "stdout"] == ["one", "two", "three"]
    assert [text for stream, text in said if stream == "stderr"] == ["caf�", "oops"]
    assert {record.__dict__["shard"] for record in caplog.records} == {3}
    assert ended == Ended(code=3, errors=("caf�", "oops"))


def test_a_torrent_without_line_ends_is_cut_and_the_tail_is_short(
    program: Program, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="spotproof.program"):
        ended = run(program, tmp_path, "head -c 1000000 /dev/zero | tr '\\0' x >&2; seq 1 50 >&2; exit 1")

    assert max(len(record.__dict__["text"]) for record in caplog.records) == LINE_BYTES_MAX
    assert sum(record.__dict__["text"].count("x") for record in caplog.records) == 1_000_000
    assert len(ended.errors) == TAIL_LINES
    assert ended.errors[-1] == "50"


def test_what_it_left_behind_ends_with_it(program: Program, tmp_path: Path) -> None:
    ended = run(program, tmp_path, "setsid sleep 600 & echo $! > pids; exit 0")

    assert ended.code == 0
    assert not is_alive(*numbers_in(tmp_path / "pids"))


def test_killing_it_kills_everybody(program: Program, tmp_path: Path) -> None:
    start(program, tmp_path, FAMILY)
    pids = family(tmp_path)

    program.kill()

    assert [pid for pid in pids if is_alive(pid)] == []
    assert program.wait(0) == Ended(code=-signal.SIGKILL)


def test_while_it_is_frozen_nothing_moves_and_then_everything_does(program: Program, tmp_path: Path) -> None:
    start(program, tmp_path, FAMILY)
    pids = family(tmp_path)

    for _ in range(20):
        with program.frozen():
            before = counts(tmp_path)
            assert {state_of(pid) for pid in pids} == {"T"}
            assert counts(tmp_path) == before
        eventually(moved_on(tmp_path, before), "all go on")


def test_a_program_that_starts_others_all_the_time_is_frozen_too(program: Program, tmp_path: Path) -> None:
    start(program, tmp_path, "while :; do /bin/echo >> count.forks; done")
    eventually(lambda: counts(tmp_path), "it counts")

    for _ in range(20):
        with program.frozen():
            before = counts(tmp_path)
            assert counts(tmp_path) == before
        eventually(moved_on(tmp_path, before), "it goes on")


def test_threads_stand_still_too(program: Program, tmp_path: Path) -> None:
    script = f"""{sys.executable} -c '
import threading
def count(name):
    file = open(f"count.{{name}}", "wb", buffering=0)
    while True:
        file.write(b".")
for name in range(3): threading.Thread(target=count, args=(name,)).start()
'"""
    start(program, tmp_path, script)
    eventually(lambda: len(counts(tmp_path)) == 3, "all threads count")

    with program.frozen():
        before = counts(tmp_path)
        assert counts(tmp_path) == before


def test_what_stood_still_before_is_not_woken(program: Program, tmp_path: Path) -> None:
    start(program, tmp_path, "sleep 600 & echo $! > pids; kill -STOP $!; sleep 600")
    [pid] = eventually(lambda: numbers_in(tmp_path / "pids"), "it tells")
    eventually(lambda: state_of(pid) == "T", "it stands")

    with program.frozen():
        pass
    with program.frozen():  # an answer, so the thaw before has been obeyed
        pass

    assert state_of(pid) == "T"


def test_freezing_what_has_ended_is_nothing(program: Program, tmp_path: Path) -> None:
    with program.frozen():
        pass
    run(program, tmp_path, "exit 0")
    with program.frozen():
        pass


def test_a_program_that_ends_between_two_looks_does_not_hang_a_save(program: Program, tmp_path: Path) -> None:
    start(program, tmp_path, "echo > there")
    eventually((tmp_path / "there").exists, "it has run")

    with program.frozen():  # the keeper may have gone already
        pass

    assert program.wait(20) == Ended(code=0)


def test_what_can_not_be_stopped_in_time_runs_on(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_module, "FREEZE_S", 0.0)  # one look, which finds it running: that is too late
    start(program, tmp_path, FAMILY)
    family(tmp_path)

    for _ in range(5):
        with pytest.raises(CheckpointError, match="could not be paused"), program.frozen():
            pass
        eventually(moved_on(tmp_path, counts(tmp_path)), "all go on")


@pytest.mark.parametrize("moment", ["running", "frozen"])
def test_a_worker_that_is_killed_takes_all_of_the_program_with_it(tmp_path: Path, moment: str) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, FAMILY, moment], cwd=tmp_path, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"ready\n"
    pids = family(tmp_path) if moment == "running" else numbers_in(tmp_path / "pids")

    worker.kill()
    worker.wait()

    worker.stdout.close()
    eventually(lambda: not [pid for pid in pids if is_alive(pid)], "everybody has ended")
    eventually(lambda: not processes_in(tmp_path), "nobody is left")


def test_a_keeper_that_is_killed_takes_the_program_with_it(program: Program, tmp_path: Path) -> None:
    start(program, tmp_path, "echo $$ > pids; sleep 600")
    [pid] = eventually(lambda: numbers_in(tmp_path / "pids"), "it tells")
    assert program._keeper is not None

    program._keeper.kill()

    assert program.wait(20) == Ended(code=-signal.SIGKILL)
    eventually(lambda: not is_alive(pid), "the program has ended")


def processes_in(folder: Path) -> list[int]:
    """Processes whose working directory this is."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and is_alive(int(entry)):
            try:
                place = os.readlink(f"/proc/{entry}/cwd")
            except OSError:
                continue
            if place == str(folder):
                found.append(int(entry))
    return found

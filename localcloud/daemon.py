"""Starting and stopping the server process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from localcloud.errors import ConfigurationError, ConflictError, LocalcloudError, UsageError
from localcloud.processes import kill_orphans
from localcloud.settings import Settings
from localcloud.state_dir import Running, StateDir

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.05
_KEPT_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "SYSTEMROOT", "VIRTUAL_ENV")
_BY_CODE: dict[int, type[LocalcloudError]] = {2: UsageError, 3: ConfigurationError, 5: ConflictError}


def start(settings: Settings) -> Running:
    """Start a server and wait until it answers.

    Raises:
        ConflictError: one runs on this state directory, or the port is taken.
        LocalcloudError: it could not start; the text is the reason.
    """
    state = StateDir(settings.state_path)
    running = state.running()
    if running is not None:
        raise ConflictError(
            f"a local account runs in {state.path} already (pid {running.pid}, {running.endpoint}): "
            f"use it with `localcloud env`, or stop it with `localcloud down`"
        )
    lock = state.lock()
    if lock is None:
        raise ConflictError(f"a local account is just starting in {state.path}: try again in a few seconds")
    state.forget_running()
    os.close(lock)
    with state.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "localcloud.server", settings.to_json()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=state.path,
            env=_environment(),
        )
    try:
        return _wait_until_ready(state, process)
    except BaseException:
        process.terminate()
        raise


def stop(state: StateDir) -> bool:
    """Stop the server of this state directory and everything it runs; False if there was none.

    Raises:
        LocalcloudError: if it doesn't go away.
    """
    running = state.running()
    if running is None:
        kill_orphans(state.instances)
        return False
    _signal(running.pid, signal.SIGTERM)
    if not _wait_until_unlocked(state):
        _signal(running.pid, signal.SIGKILL)
        if not _wait_until_unlocked(state):
            raise LocalcloudError(f"the local account (pid {running.pid}) does not stop")
    state.forget_running()
    kill_orphans(state.instances)
    return True


def _wait_until_ready(state: StateDir, process: subprocess.Popen[bytes]) -> Running:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise _failure(state.log, process.returncode)
        running = state.running()
        if running is not None and running.pid == process.pid:
            return running
        time.sleep(POLL_S)
    raise LocalcloudError(f"the local account was not ready after {START_TIMEOUT_S:.0f} s: see {state.log}")


def _failure(log: Path, code: int) -> LocalcloudError:
    lines = log.read_text(errors="replace").strip().splitlines()
    last = lines[-1] if lines else "no output"
    prefix = f"error {code}: "
    if last.startswith(prefix):
        return _BY_CODE.get(code, LocalcloudError)(last.removeprefix(prefix))
    return LocalcloudError(f"the local account ended at its start ({last}): see {log}")


def _wait_until_unlocked(state: StateDir) -> bool:
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while time.monotonic() < deadline:
        if not state.is_locked():
            return True
        time.sleep(POLL_S)
    return False


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _environment() -> dict[str, str]:
    """A small environment: the emulator hands its own to every Lambda function."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    home = Path(__file__).resolve().parent.parent
    return {**kept, "PYTHONPATH": str(home), "PYTHONUNBUFFERED": "1"}

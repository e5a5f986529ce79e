"""Keeps one program and everything it starts: pauses it, passes signals on, and never lets it outlive the worker.

A process of its own between the worker and the program, with the standard library only. The worker talks to it through
a socket, a line at a time; when the worker's end is closed, by the worker's death too, everything is killed. As the
"subreaper" of its descendants (prctl(2)) the keeper inherits those whose parents have ended, so none gets out of sight,
whatever process group or session it has moved to.

    worker says          keeper answers
    signal N             nothing; signal N goes to the program's process group
    freeze S             "frozen", or "late" if something still runs after S seconds; then nothing is frozen
    thaw                 nothing
                         "ended C" once: C is the exit code, or minus the signal that killed the program. All is over then.
"""

import ctypes
import os
import select
import signal
import socket
import sys
import time

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER = 36
NOT_FOUND, NOT_RUNNABLE = 127, 126  # exit codes of shells
OOM_SCORE_ADJ = 500  # the kernel takes the program before the worker, which can still say what happened
PAUSE_S = 0.0005
STANDING = frozenset("TtZXx")  # states of proc(5) in which a thread executes nothing


class Keeper:
    """Starts the program, then serves the worker until both have nothing to say."""

    def __init__(self, worker: socket.socket, words: list[str]) -> None:
        self._worker = worker
        self._received = b""
        self._held: list[int] = []
        self._wake, wake = socket.socketpair()
        self._wake.setblocking(False)
        wake.setblocking(False)
        self._wake_in = wake  # kept open
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._program = start(words)

    def serve(self) -> None:
        """Until the program has ended, or the worker has gone."""
        status = self._reap()
        while status is None:
            ready, _, _ = select.select([self._worker, self._wake], [], [])
            if self._wake in ready:
                self._wake.recv(4096)
                status = self._reap()
            if self._worker in ready and status is None and not self._obey():
                break
        status = self._end() if status is None else status
        self._end()
        self._say(f"ended {status}")

    def _reap(self) -> int | None:
        """Collect whoever has ended; how the program did, if it is among them."""
        status = None
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return status
            if pid == 0:
                return status
            if pid == self._program:
                status = os.waitstatus_to_exitcode(raw)

    def _end(self) -> int:
        """Kill everything there still is, and wait for it; how the program ended."""
        status = -int(signal.SIGKILL)
        while True:
            for pid in descendants():
                _send(pid, signal.SIGKILL)
            try:
                pid, raw = os.waitpid(-1, 0)
            except ChildProcessError:
                return status
            if pid == self._program:
                status = os.waitstatus_to_exitcode(raw)

    def _obey(self) -> bool:
        """Do what the worker asks for; False when it has gone."""
        try:
            data = self._worker.recv(4096)
        except OSError:
            data = b""
        *lines, self._received = (self._received + data).split(b"\n")
        for line in lines:
            verb, _, rest = line.decode().partition(" ")
            if verb == "signal":
                self._signal(int(rest))
            elif verb == "freeze":
                self._say("frozen" if self._freeze(float(rest)) else "late")
            elif verb == "thaw":
                self._thaw()
        return bool(data)

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._program, number)
        except ProcessLookupError:
            _send(self._program, number)

    def _freeze(self, limit_s: float) -> bool:
        """Stop all that runs, parents first, until a look finds nothing running: whoever was started in between too."""
        deadline = time.monotonic() + limit_s  # noqa: TID251 - nothing of ours is imported here
        while True:
            running = [pid for pid in descendants() if is_running(pid)]
            if not running:
                return True
            for pid in running:
                if pid not in self._held:
                    self._held.append(pid)
                _send(pid, signal.SIGSTOP)
            if time.monotonic() > deadline:  # noqa: TID251
                self._thaw()
                return False
            time.sleep(PAUSE_S)  # noqa: TID251

    def _thaw(self) -> None:
        """Let go on what we stopped, and nothing that stood still before; children first."""
        for pid in reversed(self._held):
            _send(pid, signal.SIGCONT)
        self._held.clear()

    def _say(self, line: str) -> None:
        try:
            self._worker.sendall(f"{line}\n".encode())
        except OSError:
            return  # the worker has gone; the loop sees it too


def start(words: list[str]) -> int:
    """The program in a process group of its own; its process id."""
    keeper = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        _prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() == keeper:  # else the keeper died before it could be watched
            _run(words)
    finally:
        os._exit(NOT_RUNNABLE)


def _run(words: list[str]) -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue  # the C library's own
    signal.set_wakeup_fd(-1)
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write(str(OOM_SCORE_ADJ))
    except OSError:
        pass  # not allowed here: the kernel chooses by size
    try:
        os.execvp(words[0], words)  # noqa: S606 - the very program that the job names
    except OSError as error:
        os.write(2, f"cannot start {words[0]}: {error.strerror}\n".encode())
        os._exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUNNABLE)


def descendants() -> list[int]:
    """Every process below this one, parents before their children."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            parent = _parent(entry)
            if parent is not None:
                children.setdefault(parent, []).append(int(entry))
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(0), [])
        found += below
        waiting += below
    return found


def is_running(pid: int) -> bool:
    """Whether any thread of the process may execute something."""
    try:
        return any(
            _state(f"/proc/{pid}/task/{thread}/stat") not in STANDING for thread in os.listdir(f"/proc/{pid}/task")
        )
    except OSError:
        return False  # gone


def _state(path: str) -> str:
    try:
        return _fields(path)[0]
    except OSError:
        return "X"  # the thread has ended


def _parent(pid: str) -> int | None:
    try:
        return int(_fields(f"/proc/{pid}/stat")[1])
    except OSError:
        return None


def _fields(path: str) -> list[str]:
    """Of proc(5)'s stat, behind the command in parentheses: state, parent, process group, …"""
    with open(path, "rb") as file:
        return file.read().rpartition(b")")[2].decode().split()


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # gone, or a set-id program that is not ours to signal


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    os.setsid()
    socket_number = int(sys.argv[1])
    os.set_inheritable(socket_number, False)
    Keeper(socket.socket(fileno=socket_number), sys.argv[2:]).serve()

"""Containers as process groups: start, stop, pause, memory guard."""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.images import ImagePullError, Images
from localcloud.journal import Journal
from localcloud.processes import memory_by_group, signal_group, wait_then_kill_group
from localcloud.reactor import Reactor

logger = logging.getLogger(__name__)

GUARD_PERIOD_S = 1.0
# On AWS, functions and services have processors of their own: here containers give way to them.
CONTAINER_NICENESS = 10
STARTED_AND_EXITED = "Essential container in task exited"
FAILED_TO_START = "Task failed to start"
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """What runs in one container."""

    task_id: str
    job_id: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskExit:
    """How a container ended, in Batch's words."""

    exit_code: int | None  # None: the host vanished, or nothing was started
    reason: str | None  # the container's reason
    status_reason: str


@dataclass(slots=True, kw_only=True, eq=False)
class Task:
    """One started container."""

    spec: TaskSpec
    directory: Path
    process: subprocess.Popen[bytes]
    on_exit: Callable[["Task", TaskExit], None]
    on_line: Callable[[str], None]
    host_lost: bool = False
    out_of_memory: bool = False
    exited: bool = False

    @property
    def job_id(self) -> str:
        return self.spec.job_id

    @property
    def pid(self) -> int:
        return self.process.pid


class Executor:
    """Runs containers as sessions of their own. Callbacks run while the reactor's state is held."""

    def __init__(self, *, images: Images, reactor: Reactor, journal: Journal) -> None:
        self._images = images
        self._reactor = reactor
        self._journal = journal
        self._running: set[Task] = set()
        self._guard_wanted = threading.Event()
        self._stopping = False
        threading.Thread(target=self._guard, name="memory-guard", daemon=True).start()

    def start(
        self,
        spec: TaskSpec,
        *,
        directory: Path,
        on_exit: Callable[[Task, TaskExit], None],
        on_line: Callable[[str], None],
    ) -> Task | TaskExit:
        """Start the container in a new, empty `directory`; a TaskExit tells why it could not be started."""
        try:
            programs = self._images.programs_of(spec.image)
        except ImagePullError as error:
            return TaskExit(exit_code=None, reason=str(error), status_reason=FAILED_TO_START)
        (directory / "tmp").mkdir(parents=True)
        try:
            process = self._spawn(spec, programs, directory)
        except OSError as error:
            shutil.rmtree(directory, ignore_errors=True)
            reason = f"CannotStartContainerError: {error}"
            return TaskExit(exit_code=127, reason=reason, status_reason=FAILED_TO_START)
        task = Task(spec=spec, directory=directory, process=process, on_exit=on_exit, on_line=on_line)
        self._running.add(task)
        self._guard_wanted.set()
        reader = threading.Thread(target=self._read, args=(task,), name=f"out-{spec.task_id[:8]}", daemon=True)
        reader.start()
        threading.Thread(target=self._wait, args=(task, reader), name=f"wait-{spec.task_id[:8]}", daemon=True).start()
        return task

    def send(self, task: Task, number: signal.Signals) -> None:
        """Signal the container's whole process group."""
        if not task.exited:
            signal_group(task.pid, number)

    def stop(self, task: Task, *, grace_s: float) -> None:
        """SIGTERM, and SIGKILL if it is still there after `grace_s` real seconds."""
        self.send(task, signal.SIGTERM)
        self._reactor.after(grace_s, lambda: self.send(task, signal.SIGKILL))

    def shutdown(self) -> None:
        """Kill every container at once, and leave none behind."""
        self._stopping = True
        self._guard_wanted.set()
        running = list(self._running)
        for task in running:
            self.send(task, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while any(not task.exited for task in running) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _spawn(self, spec: TaskSpec, programs: Path, directory: Path) -> subprocess.Popen[bytes]:
        environment = {
            "HOME": str(directory),
            "TMPDIR": str(directory / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
            **spec.environment,
            "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        }
        program = shutil.which(spec.command[0], path=environment["PATH"]) if spec.command else None
        process = subprocess.Popen(
            spec.command or ("python3",),
            executable=program,
            env=environment,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with contextlib.suppress(ProcessLookupError):  # it may be over already
            os.setpriority(os.PRIO_PGRP, process.pid, CONTAINER_NICENESS)
        return process

    def _read(self, task: Task) -> None:
        assert task.process.stdout is not None
        for line in task.process.stdout:
            task.on_line(line.decode("utf-8", errors="replace").rstrip("\n"))

    def _wait(self, task: Task, reader: threading.Thread) -> None:
        code = wait_then_kill_group(task.process)
        reader.join(timeout=2)
        with self._reactor.changing():
            task.exited = True
            self._running.discard(task)
            if not task.host_lost and not self._stopping:
                reason = OUT_OF_MEMORY if task.out_of_memory else None
                task.on_exit(task, TaskExit(exit_code=code, reason=reason, status_reason=STARTED_AND_EXITED))
        shutil.rmtree(task.directory, ignore_errors=True)

    def _guard(self) -> None:
        while not self._stopping:
            if not self._running:
                self._guard_wanted.clear()
            self._guard_wanted.wait()
            running = {task.pid: task for task in list(self._running)}
            for group, used_mib in memory_by_group(running).items():
                self._check_memory(running[group], used_mib)
            time.sleep(GUARD_PERIOD_S)

    def _check_memory(self, task: Task, used_mib: int) -> None:
        limit = task.spec.memory_mib
        if used_mib > limit:
            task.out_of_memory = True
            self._journal.note("task.out_of_memory", job=task.job_id, used_mib=used_mib, limit_mib=limit)
            self.send(task, signal.SIGKILL)

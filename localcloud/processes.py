"""Process groups: signals, waiting, memory, and finding what a dead server left behind."""

import contextlib
import os
import signal
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to every process of the group; a group that is gone is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def wait_then_kill_group(process: subprocess.Popen[bytes]) -> int:
    """Wait for the group's leader, then kill the rest of the group, as a container ends with its first process.

    The leader is not reaped before its group is killed, so the group id can't belong to somebody else by then.

    Returns:
        The exit code as Docker reports it: 128 + n after signal n.
    """
    if hasattr(os, "waitid"):
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        signal_group(process.pid, signal.SIGKILL)
    code = process.wait()
    return 128 - code if code < 0 else code


def memory_by_group(groups: Iterable[int]) -> dict[int, int]:
    """Resident MiB of each process group, shared pages counted once per process."""
    wanted = set(groups)
    if not wanted:
        return {}
    kib: dict[int, int] = defaultdict(int)
    for group, resident_kib in _linux_processes() if _PROC.is_dir() else _ps_processes():
        if group in wanted:
            kib[group] += resident_kib
    return {group: total // 1024 for group, total in kib.items()}


def _linux_processes() -> Iterable[tuple[int, int]]:
    page_kib = os.sysconf("SC_PAGE_SIZE") // 1024
    for entry in os.listdir(_PROC):
        if not entry.isdigit():
            continue
        try:
            # After the command in parentheses: state, ppid, pgrp, ...; the 22nd field from there is rss in pages.
            fields = (_PROC / entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        yield int(fields[2]), int(fields[21]) * page_kib


def _ps_processes() -> Iterable[tuple[int, int]]:
    table = subprocess.run(["ps", "-axo", "pgid=,rss="], capture_output=True, text=True, check=False).stdout
    for line in table.splitlines():
        group, resident = line.split()
        yield int(group), int(resident)


def kill_orphans(instances: Path) -> int:
    """Kill process groups that a server killed by force left in its instance directories.

    Only processes whose working directory is inside `instances` are touched, so a reused process id is safe.
    Needs /proc (Linux); elsewhere nothing is found.

    Returns:
        How many groups were killed.
    """
    groups = set()
    for entry in os.listdir(_PROC) if _PROC.is_dir() else []:
        if not entry.isdigit():
            continue
        try:
            directory = Path(os.readlink(_PROC / entry / "cwd"))
            group = os.getpgid(int(entry))
        except OSError:
            continue
        if directory.is_relative_to(instances) and group != os.getpgrp():
            groups.add(group)
    for group in groups:
        signal_group(group, signal.SIGKILL)
    return len(groups)

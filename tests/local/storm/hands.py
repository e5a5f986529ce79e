"""The storm's hands: real signals and limits on the worker's process, and the account's own ways to lose a host."""

import contextlib
import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.local.storm.job.tally import SCRATCH_FILE
from tests.local.storm.plan import Blow, Step

if TYPE_CHECKING:
    from demo.snapshot import Working
    from tests.local.storm.stage import Stage

FULL_DEVICE: Final = "/dev/full"  # every write ends with ENOSPC, as on a disk without a free block
NO_MEMORY: Final = 2**20  # bytes of address space: less than any process has, so that it gets no page more


@dataclass(frozen=True, kw_only=True)
class Hands:
    """Deals blows on a stage. Linux only: limits of running processes, /proc."""

    stage: "Stage"

    def deal(self, step: Step, victim: "Working", pid: int) -> float | None:
        """Strike. Returns when the reclaim is due (seconds since 1970) for a notice, None for everything else.

        Raises:
            ProcessLookupError, FileNotFoundError: the process has ended.
            UsageError: the host is going already.
        """
        match step.blow:
            case Blow.KILL:
                self.stage.cloud.kill(victim.instance_id)
            case Blow.TERMINATE:
                self.stage.deployment.clients.ec2.terminate_instances(InstanceIds=[victim.instance_id])
            case Blow.FREEZE:
                os.killpg(pid, signal.SIGSTOP)
            case Blow.MEMORY:
                resource.prlimit(pid, resource.RLIMIT_AS, (NO_MEMORY, resource.RLIM_INFINITY))
            case Blow.DISK:
                fill_disk(pid)
            case Blow.NOTICE:
                return self.stage.cloud.notice(victim.instance_id, lead_s=step.lead_s)
        return None


def wake(pid: int) -> None:
    """Let a frozen worker go on; one that is gone is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGCONT)


def scratch_of(pid: int) -> Path:
    """The worker's scratch file, by way of its working directory."""
    return Path(f"/proc/{pid}/cwd") / SCRATCH_FILE


def fill_disk(pid: int) -> None:
    """From now on the worker's scratch file lies on a device without room."""
    link = scratch_of(pid).with_suffix(".full")
    link.symlink_to(FULL_DEVICE)
    link.replace(scratch_of(pid))


def is_stopped(pid: int) -> bool:
    """Whether the process stands still."""
    return state_of(pid) == "T"


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie of the kernel's kind."""
    return state_of(pid) not in ("", "Z", "X")


def state_of(pid: int) -> str:
    """The kernel's letter for the process's state; empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""

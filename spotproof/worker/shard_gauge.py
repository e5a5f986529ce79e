"""What one shard asked of the worker's process: its peak memory and its processor time, as the kernel counted them."""

import contextlib
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from spotproof.leases.model import SessionId, ShardUsage
from spotproof.shards.model import PlannedShard

MIB: Final = 2**20
RESET_PEAK: Final = (
    "5"  # written to clear_refs: the peak begins at what is resident now (Linux, proc_pid_clear_refs(5))
)
_RSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, KiB elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUse:
    """Since `begin`. `peak_mib` is never too low: where the kernel can't begin anew it is the process's highest ever."""

    peak_mib: int  # resident memory, MiB rounded up
    cpu_ms: int  # user and system time, child processes that have ended included


def usage_of(*, planned: PlannedShard, use: ProcessUse, worked_ms: int, session: SessionId) -> ShardUsage:
    """What the table keeps of a shard that is about to be committed.

    Its input is what a lease reads of it: for shards by hash, range or time that is more than their own records.
    """
    return ShardUsage(
        session=session,
        worked_ms=max(0, worked_ms),
        input_bytes=planned.scan_bytes,
        peak_mib=use.peak_mib,
        cpu_ms=max(0, use.cpu_ms),
    )


class ShardGauge(Protocol):
    """Begins anew with each shard."""

    def begin(self) -> None: ...

    def read(self) -> ProcessUse: ...


class ProcessGauge:
    """This process, from /proc and getrusage.

    Linux's peak of resident memory (VmHWM) is set back for each shard. Where that can't be done (other systems, a /proc
    that may not be written) the peak is that of the process's whole life. Child processes that were waited for, such as
    a wrapped program, count with the largest one's highest peak, which the kernel never sets back, beside what this
    process holds while it waits.
    """

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        self._proc = proc
        self._cpu_s = 0.0

    def begin(self) -> None:
        """A shard begins."""
        with contextlib.suppress(OSError):  # else the peak stays that of the process's life: too high, never too low
            (self._proc / "clear_refs").write_text(RESET_PEAK, "ascii")
        self._cpu_s = _cpu_s()

    def read(self) -> ProcessUse:
        """What the shard took so far."""
        status = self._status()
        own = status.get("VmHWM", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _RSS_UNIT)
        child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _RSS_UNIT
        # A forked child begins with its parent's memory: only one that outgrew us did so with pages of its own.
        peak = own if child <= own else child + status.get("VmRSS", own)
        return ProcessUse(peak_mib=-(-peak // MIB), cpu_ms=round((_cpu_s() - self._cpu_s) * 1000))

    def _status(self) -> dict[str, int]:
        """VmHWM and VmRSS in bytes; empty where there is no such file."""
        try:
            lines = (self._proc / "status").read_text("utf-8", "replace").splitlines()
        except OSError:
            return {}
        fields = (line.partition(":")[::2] for line in lines)
        return {
            name: int(value.split()[0]) * 1024
            for name, value in fields
            if name in ("VmHWM", "VmRSS") and value.split()[:1] and value.split()[0].isdigit()
        }


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)

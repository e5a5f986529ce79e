"""Peak memory and processor time of one shard."""

import subprocess
import sys
from pathlib import Path

import pytest

from spotproof.leases.model import SessionId, ShardUsage
from spotproof.shards.model import InputPart, ObjectPin, PlannedShard
from spotproof.worker.shard_gauge import MIB, ProcessGauge, ProcessUse, usage_of

SCRIPT = """
from spotproof.worker.shard_gauge import ProcessGauge
gauge = ProcessGauge()
gauge.begin()
big = bytearray(b"x" * (300 * 2**20))
first = gauge.read().peak_mib
del big
gauge.begin()
small = bytearray(b"x" * (40 * 2**20))
print(first, gauge.read().peak_mib)
"""
CHILD = """
import subprocess, sys
from spotproof.worker.shard_gauge import ProcessGauge
gauge = ProcessGauge()
gauge.begin()
before = gauge.read()
subprocess.run([sys.executable, "-c", "b = bytearray(b'x' * (200 * 2**20)); sum(range(2_000_000))"], check=True)
after = gauge.read()
print(after.peak_mib - before.peak_mib, after.cpu_ms - before.cpu_ms)
"""


def _numbers(script: str) -> list[int]:
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sets a peak back")
def test_a_small_shard_after_a_big_one_shows_its_own_peak() -> None:
    big, small = _numbers(SCRIPT)

    assert big > 300
    assert small < big - 200


def test_a_wrapped_program_counts_beside_the_worker() -> None:
    memory_mib, cpu_ms = _numbers(CHILD)

    assert memory_mib > 200
    assert cpu_ms > 5


@pytest.mark.parametrize("status", [None, "Name:\tpython\n", "VmHWM:\n", "VmHWM:\t nonsense kB\n"])
def test_without_a_usable_proc_the_highest_of_the_process_counts(tmp_path: Path, status: str | None) -> None:
    if status is not None:
        (tmp_path / "status").write_text(status)
    gauge = ProcessGauge(tmp_path / "missing" if status is None else tmp_path)

    gauge.begin()

    assert gauge.read().peak_mib > 5


def test_the_peak_is_in_whole_mebibytes_rounded_up(tmp_path: Path) -> None:
    huge_kib = 10**9 + 1  # beyond any child of this process
    (tmp_path / "status").write_text(f"VmHWM:\t{huge_kib} kB\nVmRSS:\t10 kB\n")

    assert ProcessGauge(tmp_path).read().peak_mib == -(-huge_kib * 1024 // MIB)


def test_processor_time_begins_with_the_shard() -> None:
    gauge = ProcessGauge()
    sum(range(3_000_000))

    gauge.begin()

    assert gauge.read().cpu_ms < 20


def test_a_shards_input_is_all_that_a_lease_reads() -> None:
    pin = ObjectPin(bucket="data", key="flights.csv", etag='"1"', size_bytes=1000)
    parts = (InputPart(pin=pin, start=0, stop=600), InputPart(pin=pin, start=600, stop=1000))
    planned = PlannedShard(index=3, label="by hash", parts=parts, size_bytes=125)

    usage = usage_of(
        planned=planned, use=ProcessUse(peak_mib=512, cpu_ms=1500), worked_ms=2000, session=SessionId("s-1")
    )

    assert usage == ShardUsage(session=SessionId("s-1"), worked_ms=2000, input_bytes=1000, peak_mib=512, cpu_ms=1500)

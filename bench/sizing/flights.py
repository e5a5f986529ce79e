"""Real shards: a year of flights, cut at line ends, worked on by the example's own code, measured by the worker's gauge.

Run: python -m bench.sizing.flights NUMBER. Works on one run in this process, as a worker would, and writes its record to
standard output. Time is the processor's: what other programs on this machine do is no property of a shard.
"""

import csv
import io
import random
import subprocess
import sys
from collections.abc import Iterator

from batch_jobs.examples.flight_delays import count
from demo.data import flights_archive, read_csv
from spotproof.capacity.sizing.record import RunRecord, ShardSample, decode_record
from spotproof.worker.shard_gauge import ProcessGauge

SHARDS_MAX = 40  # of a run that are worked on


def measured_runs(runs: int) -> Iterator[RunRecord]:
    """Run after run over the same year, each in a process of its own and with shards of another size."""
    for number in range(runs):
        done = subprocess.run([sys.executable, "-m", __name__, str(number)], check=True, stdout=subprocess.PIPE)
        yield decode_record(done.stdout, what=f"run {number}")


def measure_run(number: int) -> RunRecord:
    """One run; some of its shards are worked on, one after the other."""
    rng = random.Random(number)
    header, _, body = read_csv(flights_archive()).partition(b"\n")
    pieces = list(_pieces(body, rng.randint(200_000, 2_000_000)))
    chosen = rng.sample(pieces, min(SHARDS_MAX, len(pieces)))
    return _record(tuple(_measured(header, body[start:stop]) for start, stop in chosen), number)


def _pieces(body: bytes, shard_bytes: int) -> Iterator[tuple[int, int]]:
    start = 0
    while start < len(body):
        stop = body.find(b"\n", min(start + shard_bytes, len(body) - 1)) + 1 or len(body)
        yield start, stop
        start = stop


def _measured(header: bytes, piece: bytes) -> ShardSample:
    gauge = ProcessGauge()
    gauge.begin()
    totals: dict[str, tuple[int, ...]] = {}
    for flight in csv.DictReader(io.StringIO((header + b"\n" + piece).decode())):
        delays = {name: _minutes(flight[name]) for name in ("dep_delay", "arr_delay")}
        count(totals, f"{flight['carrier']}-{flight['origin']}-{flight['dest']}", {**flight, **delays})
    assert totals, "a shard has flights"
    use = gauge.read()
    work_ms = max(1, use.cpu_ms)
    return ShardSample(
        input_bytes=len(piece), work_ms=work_ms, peak_mib=use.peak_mib, cpu_ms=use.cpu_ms, lease_ms=work_ms,
        instance_type="",
    )  # fmt: skip


def _minutes(text: str) -> int | None:
    return int(float(text)) if text and text != "NA" else None


def _record(samples: tuple[ShardSample, ...], number: int) -> RunRecord:
    work_ms = sum(sample.work_ms for sample in samples)
    return RunRecord(
        job="flights", run_id=f"run-{number}", created_at=number, ended_at=number + work_ms, shards=len(samples),
        workers=1, session_ms=work_ms, work_ms=work_ms, checkpoint_ms=0, redone_ms=0, idle_ms=0, vcpus=1.0,
        samples=samples,
    )  # fmt: skip


if __name__ == "__main__":
    sys.stdout.buffer.write(measure_run(int(sys.argv[1])).encode())

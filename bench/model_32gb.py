"""The model behind "32 GB, 5 % changed, 12.5 Gbps: saved in 3.5 s", with its assumptions, checked against saves here.

Run: python -m bench.model_32gb [MiB of state here] [rounds]. Three rates are measured on this machine: what a save stalls
per byte of state, the CPU that packs a byte, and how fast the transport brings a byte to a server on the loopback. From
them the model predicts a save here, end to end, which is then measured: that is its check. With 8 cores instead of ours
and the network of the claim instead of the loopback it predicts the claim. Two patterns: whole pages, and rows of 1 KiB, which
touch almost four times as many pages. Exits with 1 if the claim does not follow for one of them, or if a check is off by
more than a factor of two.
"""

import os
import statistics
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.checkpoint.changes import CHANGES, ROW_BYTES, Change, Rows, fill
from bench.checkpoint.clocks import took
from bench.checkpoint.endpoints import open_bench
from bench.checkpoint.subject import Measured, Subject
from bench.machine import publish, spread
from spotproof.checkpoints.carry import EngineSizes
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.memory.pages import PAGE
from spotproof.checkpoints.memory.trackers.pagemap import pagemap_works
from spotproof.checkpoints.store import OCTETS, Buffer, ObjectStore

GB: Final = 1e9
CLAIM_S: Final = 3.5
OFF_MAX: Final = 2.0
CONNECTIONS_MB_PER_S: Final = (90, 50)  # the claim is about the first
SHARE: Final = 0.05
STATE_GB: Final = 32.0
ASSUMPTIONS: Final = (
    "a modelled figure: no machine with 12.5 Gbps was measured",
    "8 cores, each as fast as one of this machine's; the stall is one core's work, packing is all cores' work",
    "no other work on the core that gathers: the CPU seconds of a stall here, not its length beside other processes",
    "12.5 Gbps bring 80 % of that to the store if there are enough connections",
    "the new bytes are random: nothing shrinks; the store answers a request after 30 ms",
    "memory is warm: the shadow and the gather buffer are there; the state was saved before",
)
ROWS: Final = next(change for change in CHANGES if change.name == "5 % of rows, scattered")


def _change_pages(rows: Rows, rng: np.random.Generator) -> int:
    pages = rows.reshape(-1, PAGE)
    chosen = rng.choice(len(pages), int(len(pages) * SHARE), replace=False)
    pages[chosen] = rng.integers(0, 256, (len(chosen), PAGE), dtype=np.uint8)
    return len(chosen) * PAGE


PAGES: Final = Change(name="5 % of 4 KiB pages, scattered", apply=_change_pages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What a machine and its code do, measured."""

    stall_s_per_gb: float  # of state, 5 % of it changed all over
    pack_cpu_s_per_gb: float  # of what is sent: differences, packing, hashes
    sent_per_changed: float  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a save takes place."""

    state_gb: float
    cores: int
    bytes_per_s: float  # to the store, all connections together
    latency_s: float  # of one request


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The parts of a save, one after the other: packing ends before the first object is sent."""

    stall_s: float
    pack_s: float
    send_s: float
    requests_s: float  # of three in a row: data, manifest, pointer

    @property
    def total_s(self) -> float:
        return self.stall_s + self.pack_s + self.send_s + self.requests_s


def predict(rates: Rates, place: Place) -> Prediction:
    sent_gb = place.state_gb * SHARE * rates.sent_per_changed
    return Prediction(
        stall_s=rates.stall_s_per_gb * place.state_gb,
        pack_s=rates.pack_cpu_s_per_gb * sent_gb / place.cores,
        send_s=sent_gb * GB / place.bytes_per_s,
        requests_s=3 * place.latency_s,
    )


class Sink(InMemoryObjectStore):
    """Takes data at once and forgets it; manifests it keeps."""

    def put(self, key: str, data: Buffer) -> None:
        """Nothing is copied."""

    def put_if_absent(
        self, key: str, content: Buffer | Path, *, content_type: str = OCTETS, metadata: Mapping[str, str] | None = None
    ) -> bool:
        assert not isinstance(content, Path), "checkpoints are memory"
        return super().put_if_absent(key, bytes(content), content_type=content_type, metadata=metadata)


class Saver:
    """One array that is saved again and again, 5 % of it changed."""

    def __init__(self, objects: ObjectStore, change: Change, *, size_bytes: int, tracker: str) -> None:
        self._change = change
        self._subject, self._rng = Subject(objects, token=1, size_bytes=size_bytes, tracker=tracker), _rng()
        self._subject.restore(None)
        fill(self._subject.rows, self._rng)
        self._subject.save()

    def save(self) -> tuple[Measured, int]:
        """The save, and how many bytes were changed before it."""
        changed = self._change.apply(self._subject.rows, self._rng)
        return self._subject.save(), changed


class Sender:
    """Sends objects as the engine does."""

    def __init__(self, objects: ObjectStore, *, size_bytes: int) -> None:
        sizes = EngineSizes()
        rows: Rows = np.empty((sizes.pack_bytes // ROW_BYTES, ROW_BYTES), np.uint8)
        fill(rows, _rng())
        self._objects, self._data, self._lanes = objects, rows.reshape(-1).data, sizes.width
        self._count = max(1, size_bytes // sizes.pack_bytes)

    def bytes_per_s(self) -> float:
        with ThreadPoolExecutor(self._lanes) as lanes, took() as measured:
            list(lanes.map(lambda number: self._objects.put(f"bandwidth/{number}", self._data), range(self._count)))
        return self._count * len(self._data) / measured.wall_s


def _rng() -> np.random.Generator:
    return np.random.default_rng(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """What was measured, by turns, so that all of it met the same minutes of this machine."""

    size_bytes: int
    bare: list[tuple[Measured, int]]  # saves into the sink
    bytes_per_s: list[float]
    real_s: list[float]  # saves over the transport

    def rates(self, *, busy: bool) -> Rates:
        """`busy`: stalls as long as they took beside what else ran here; else the CPU they needed."""
        gb = self.size_bytes / GB
        stalls = [save.stall_s if busy else save.stall_cpu_s for save, _ in self.bare]
        cpu = [(save.took.cpu_s - save.stall_cpu_s) / (save.sent_bytes / GB) for save, _ in self.bare]
        return Rates(
            stall_s_per_gb=statistics.median(stalls) / gb,
            pack_cpu_s_per_gb=statistics.median(cpu),
            sent_per_changed=statistics.median(save.sent_bytes / changed for save, changed in self.bare),
        )


def measure(change: Change, *, size_bytes: int, rounds: int, tracker: str) -> Rounds:
    with open_bench("null") as bench:
        bare = Saver(Sink(), change, size_bytes=size_bytes, tracker=tracker)
        real = Saver(bench.objects, change, size_bytes=size_bytes, tracker=tracker)
        sender = Sender(bench.objects, size_bytes=int(size_bytes * SHARE))
        turns = [(bare.save(), sender.bytes_per_s(), real.save()[0].took.wall_s) for _ in range(rounds + 1)]
    counted = turns[1:]  # the first warms up
    return Rounds(
        size_bytes=size_bytes,
        bare=[turn[0] for turn in counted],
        bytes_per_s=[turn[1] for turn in counted],
        real_s=[turn[2] for turn in counted],
    )


def claim_places() -> dict[str, Place]:
    """12.5 Gbps at 80 %: Ethernet, TCP, TLS and S3's own answer. One connection brings 50 to 90 MB/s."""
    width, network = EngineSizes().width, 12.5e9 / 8 * 0.8
    return {
        f"{width} connections of {each_mb} MB/s": Place(
            state_gb=STATE_GB, cores=8, bytes_per_s=min(network, width * each_mb * 1e6), latency_s=0.03
        )
        for each_mb in CONNECTIONS_MB_PER_S
    }


def words(name: str, prediction: Prediction) -> str:
    return (
        f"{name:38} stall {prediction.stall_s:5.2f} + pack {prediction.pack_s:5.2f} + send {prediction.send_s:5.2f} "
        f"+ requests {prediction.requests_s:4.2f} = {prediction.total_s:5.2f} s"
    )


def report(prediction: Prediction) -> dict[str, float]:
    return {name: round(value, 3) for name, value in {**asdict(prediction), "total_s": prediction.total_s}.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One pattern of changes: the model's check here, and what it says of the claim."""

    measured: Rounds
    expected: Prediction
    claims: Mapping[str, Prediction]

    @property
    def real_s(self) -> float:
        return statistics.median(self.measured.real_s)

    @property
    def off(self) -> float:
        return max(self.expected.total_s / self.real_s, self.real_s / self.expected.total_s)

    @property
    def holds(self) -> bool:
        return next(iter(self.claims.values())).total_s <= CLAIM_S

    def show(self, name: str) -> None:
        print(f"{name}\n{words('  here, predicted', self.expected)}")
        print(f"{'  here, measured':38} {self.real_s:.2f} s (off by a factor of {self.off:.2f})")
        for place, prediction in self.claims.items():
            print(words(f"  32 GB, {place}", prediction))

    def as_json(self) -> dict[str, object]:
        measured = self.measured
        return {
            "holds": self.holds,
            "rates": {name: round(value, 4) for name, value in asdict(measured.rates(busy=False)).items()},
            "stall_s_per_gb_beside_other_work": round(measured.rates(busy=True).stall_s_per_gb, 4),
            "bandwidth_here_mb_per_s": spread([speed / 1e6 for speed in measured.bytes_per_s]),
            "check_here": {
                "state_mib": measured.size_bytes // 2**20,
                "predicted": report(self.expected),
                "measured_s": spread(measured.real_s),
                "off_factor": round(self.off, 2),
            },
            "predictions": {name: report(prediction) for name, prediction in self.claims.items()},
        }


def find(change: Change, *, size_bytes: int, rounds: int, tracker: str) -> Finding:
    measured = measure(change, size_bytes=size_bytes, rounds=rounds, tracker=tracker)
    here = Place(
        state_gb=size_bytes / GB,
        cores=os.cpu_count() or 1,
        bytes_per_s=statistics.median(measured.bytes_per_s),
        latency_s=0.001,
    )
    return Finding(
        measured=measured,
        expected=predict(measured.rates(busy=True), here),
        claims={name: predict(measured.rates(busy=False), place) for name, place in claim_places().items()},
    )


def main() -> None:
    size_bytes = int(sys.argv[1] if len(sys.argv) > 1 else 1024) * 2**20
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    tracker = "pagemap" if pagemap_works() is None else "compare"
    found = {
        change.name: find(change, size_bytes=size_bytes, rounds=rounds, tracker=tracker) for change in (PAGES, ROWS)
    }
    for name, finding in found.items():
        finding.show(name)
    publish(
        "model_32gb",
        {
            "claim": f"{STATE_GB:g} GB of state, {SHARE:.0%} changed, 12.5 Gbps: {CLAIM_S} s",
            "assumptions": ASSUMPTIONS,
            "tracker": tracker,
            "patterns": {name: finding.as_json() for name, finding in found.items()},
        },
    )
    sys.exit(not all(finding.holds and finding.off <= OFF_MAX for finding in found.values()))


if __name__ == "__main__":
    main()

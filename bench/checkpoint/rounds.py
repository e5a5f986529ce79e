"""Rounds of all cases, interleaved with boto3, so that both meet the same minute of a noisy machine."""

from typing import Any

import numpy as np

from bench.checkpoint.changes import CHANGES, Change, fill
from bench.checkpoint.endpoints import Bench
from bench.checkpoint.peer import Boto3Transfers
from bench.checkpoint.subject import Measured, Subject
from bench.checkpoint.warmth import warm_free_memory
from bench.machine import spread

GIB = 2**30


class Rounds:
    """One array at one endpoint with one tracker."""

    def __init__(self, bench: Bench, *, tracker: str, size_bytes: int) -> None:
        self._bench = bench
        self._tracker = tracker
        self._size_bytes = size_bytes
        self._peer = Boto3Transfers(bench.boto3_client, "bench")
        self._rng = np.random.default_rng(1)
        self._token = 1
        self._saves: dict[str, list[tuple[Measured, float, int]]] = {change.name: [] for change in CHANGES}
        self._ratios: dict[str, list[float]] = {change.name: [] for change in CHANGES}
        self._cpu_ratios: dict[str, list[float]] = {change.name: [] for change in CHANGES}
        self._restores: list[tuple[float, float, float, float]] = []
        self._extra: list[float] = []

    def run(self, rounds: int) -> dict[str, Any]:
        """The first round warms up and does not count."""
        owner = self._owner(None)
        fill(owner.rows, self._rng)
        owner.save()
        self._peer.upload(owner.rows)
        for number in range(rounds + 1):
            self._round(owner, counts=number > 0)
            self._extra.append(owner.extra_bytes() / self._size_bytes)
        self._peer.upload(owner.rows)
        for number in range(rounds + 1):
            self._restore(owner, counts=number > 0)
        return self._result(rounds)

    def _owner(self, pointer: Any) -> Subject:
        owner = Subject(self._bench.objects, token=self._token, size_bytes=self._size_bytes, tracker=self._tracker)
        self._token += 1
        owner.restore(pointer)
        return owner

    def _round(self, owner: Subject, *, counts: bool) -> None:
        peer = self._peer.upload(owner.rows)
        for change in CHANGES:
            changed = change.apply(owner.rows, self._rng)
            measured = owner.save()
            if counts:
                self._saves[change.name].append((measured, peer.wall_s, changed))
                self._ratios[change.name].append(peer.wall_s / measured.took.wall_s)
                self._cpu_ratios[change.name].append(peer.cpu_s / max(1e-6, measured.took.cpu_s))

    def _restore(self, owner: Subject, *, counts: bool) -> None:
        scattered = next(change for change in CHANGES if change.name.startswith("1 % of rows, scattered"))
        scattered.apply(owner.rows, self._rng)
        owner.save()
        warm_free_memory(self._size_bytes)
        peer = self._peer.download()
        warm_free_memory(self._size_bytes)
        reader = Subject(self._bench.objects, token=self._token, size_bytes=self._size_bytes, tracker=self._tracker)
        self._token += 1
        restored, took = reader.restore(owner.pointer)
        assert restored.fell_back is None, restored.fell_back
        assert np.array_equal(reader.rows, owner.rows), "restored other bytes"
        reader.engine.close()
        if counts:
            self._restores.append((peer.wall_s, took.wall_s, peer.cpu_s, took.cpu_s))

    def _result(self, rounds: int) -> dict[str, Any]:
        return {
            "server": self._bench.server,
            "tracker": self._tracker,
            "size_bytes": self._size_bytes,
            "rounds": rounds,
            "saves": {change.name: self._save_result(change) for change in CHANGES},
            "restore": {
                "wall_s": spread([each[1] for each in self._restores]),
                "cpu_s": spread([each[3] for each in self._restores]),
                "boto3_wall_s": spread([each[0] for each in self._restores]),
                "boto3_cpu_s": spread([each[2] for each in self._restores]),
                "times_faster": spread([each[0] / each[1] for each in self._restores]),
                "times_less_cpu": spread([each[2] / each[3] for each in self._restores]),
            },
            "extra_memory": round(max(self._extra), 3),
        }

    def _save_result(self, change: Change) -> dict[str, Any]:
        saves = self._saves[change.name]
        gib = self._size_bytes / GIB
        changed = max(each[2] for each in saves)
        sent = max(each[0].sent_bytes for each in saves)
        return {
            "changed_bytes": changed,
            "sent_bytes": sent,
            "sent_to_changed": round(sent / changed, 3) if changed else 0.0,
            "requests": max(each[0].requests for each in saves),
            "wall_s": spread([each[0].took.wall_s for each in saves]),
            "cpu_s": spread([each[0].took.cpu_s for each in saves]),
            "stall_ms": spread([each[0].stall_s * 1000 for each in saves]),
            "stall_cpu_ms_per_gib": spread([each[0].stall_cpu_s * 1000 / gib for each in saves]),
            "boto3_wall_s": spread([each[1] for each in saves]),
            "times_faster": spread(self._ratios[change.name]),
            "times_less_cpu": spread(self._cpu_ratios[change.name]),
        }

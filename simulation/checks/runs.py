"""I6 and I7 on runs: stripes close only when every shard is final, and `_SUCCESS` is written once, after them all."""

import hashlib
import json
from typing import Any

from simulation.checks.base import Check, ObjectChange, TableWrite
from simulation.checks.parsed import run_from_item, shard_from_item
from spotproof import contract
from spotproof.leases.model import RunState, ShardState


class RunCheck(Check):
    """Follows the run's row and its shards' states."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._states: dict[int, ShardState] = {}
        self._went_back = False  # the table was restored
        self._closed: frozenset[int] = frozenset()
        self._state: RunState | None = None
        self._epoch = 0
        self.successes = 0

    def restored(self) -> None:
        self._went_back = True
        rows = [shard_from_item(item) for item in self.world.table.items() if item["sk"]["S"].startswith("S#")]
        self._states = {row.index: row.state for row in rows}
        run = self.world.run
        self._closed = frozenset() if run is None else run.closed
        self._state = None if run is None else run.state
        self._epoch = 0 if run is None else run.finalizer_epoch

    def wrote(self, write: TableWrite) -> None:
        if write.new is None:
            return
        if write.sort.startswith("S#"):
            shard = shard_from_item(write.new)
            self._states[shard.index] = shard.state
        elif write.sort == contract.RUN_SK and write.partition == contract.run_pk(self.world.run_id):
            self._run(write)

    def _run(self, write: TableWrite) -> None:
        assert write.new is not None
        run = run_from_item(write.new)
        require = self.report.require
        for stripe in run.closed - self._closed:
            indexes = range(stripe, run.shards, run.stripes)
            still_open = [index for index in indexes if not self._is_final(index)]
            require(not still_open, "I6", f"stripe {stripe} was closed with open shards {still_open[:5]}")
        require(self._closed <= run.closed, "I6", f"stripes {sorted(self._closed - run.closed)} were opened again")
        if self._state is not None and self._state.ended:
            require(run.state is self._state, "I7", f"the run was {self._state} and became {run.state}")
        require(run.finalizer_epoch >= self._epoch, "I7", "the finalizer's epoch went back")
        if run.finalizer_epoch > self._epoch:
            self._finalizer_taken(write)
        was_open = self._state is not None and not self._state.ended
        if run.state in (RunState.COMPLETE, RunState.FAILED) and was_open:
            require(len(run.closed) == run.stripes, "I7", f"the run became {run.state} with open stripes")
            self._ended_by(write, run.finalizer_epoch)
        self._closed, self._state, self._epoch = run.closed, run.state, run.finalizer_epoch

    def _finalizer_taken(self, write: TableWrite) -> None:
        before = None if write.old is None else run_from_item(write.old)
        if before is None or before.finalizer_until is None:
            return
        over = before.finalizer_until < self.world.epoch_ms() + self.world.skew_max_ms
        self.report.require(over, "I7", f"a finalizer began while the term of {before.finalizer} ran")

    def _ended_by(self, write: TableWrite, epoch: int) -> None:
        """Only the finalizer of the newest epoch may end the run."""
        if write.call is None:
            return
        given = write.call.parameters.get("ExpressionAttributeValues", {}).get(":epoch", {}).get("N")
        newest = given is not None and int(given) == epoch
        self.report.require(newest, "I7", f"a finalizer of epoch {given} ended the run at epoch {epoch}")

    def _is_final(self, index: int) -> bool:
        state = self._states.get(index)
        return state is not None and state.final

    def changed(self, change: ObjectChange) -> None:
        if not change.key.endswith(contract.SUCCESS_NAME) or change.new is None or change.call is None:
            return
        self.successes += 1
        require = self.report.require
        require(change.old is None, "I7", "_SUCCESS was written twice")
        run = self.world.run
        manifest = json.loads(change.new)
        if self._went_back:  # a finalizer under way ends what the restored table has not seen yet; the output judges it
            self._published(change, manifest)
            return
        require(run is not None and len(self._closed) == run.stripes, "I7", "_SUCCESS with open stripes")
        listed = [shard["index"] for shard in manifest["shards"]] + [bad["shard"] for bad in manifest["quarantined"]]
        wanted = [] if run is None else list(range(run.shards))
        require(sorted(listed) == wanted, "I6", f"_SUCCESS names shards {listed[:9]}, not each of {len(wanted)} once")
        self._published(change, manifest)

    def _published(self, change: ObjectChange, manifest: dict[str, Any]) -> None:
        """Readers wait for `_SUCCESS`: whatever it names is there by then."""
        folder = change.key.removesuffix(contract.SUCCESS_NAME)
        found = self.world.s3.objects(change.bucket, folder)
        for file in (file for shard in manifest["shards"] for file in shard["files"]):
            body = found.get(folder + file["name"])
            there = body is not None and hashlib.sha256(body).hexdigest() == file["sha256"]
            self.report.require(there, "I7", f"_SUCCESS names {file['name']}, which is not there as named")

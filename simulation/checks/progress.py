"""I9: what is done again after an interruption is what was not durable, and no more; the work goes on where it stood."""

from typing import Any

from simulation.checks.base import Check, TableWrite
from simulation.checks.generations import GenerationCheck
from simulation.checks.parsed import shard_from_item
from spotproof.leases.model import ShardState


class ProgressCheck(Check):
    """Hears the job itself (spotproof's user code) and compares with the pointers that took effect."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._position: dict[tuple[str, int], int] = {}  # (process, shard) -> records folded at its last safe point
        self._digests: dict[tuple[int, int], int] = {}  # (shard, position) -> digest of the state there
        self._durable: dict[int, list[int]] = {}  # shard -> positions of its durable checkpoints, oldest first
        self._holders: dict[int, str] = {}  # shard -> process that leased it last
        self._undurable: set[int] = set()  # shards whose checkpoints a fault has damaged
        self._went_back = False  # the table was restored, and with it every pointer
        self.folded = 0  # records, repeated work included
        self.lost = 0  # records that had to be folded again

    def diary(self, process: Any) -> "ProcessDiary":
        return ProcessDiary(self, process.name)

    def damaged(self, shard: int) -> None:
        """A fault destroyed or changed a checkpoint object of the shard."""
        self._undurable.add(shard)

    def is_damaged(self, shard: int) -> bool:
        return shard in self._undurable

    def holds(self, process: str, shard: int) -> bool:
        """Whether the shard's lease is still the one that the process took."""
        return self._holders.get(shard) == process

    def restored(self) -> None:
        self._went_back = True

    def wrote(self, write: TableWrite) -> None:
        if not write.sort.startswith("S#") or write.new is None or write.call is None:
            return
        shard = shard_from_item(write.new)
        if shard.state is not ShardState.LEASED:
            self._holders.pop(shard.index, None)
        elif write.old is None or shard_from_item(write.old).fencing_token != shard.fencing_token:
            self._holders[shard.index] = write.call.process.name
        elif write.call.intent == "record checkpoint":
            assert shard.checkpoint is not None
            saved = self.world.checks[GenerationCheck].generation(shard.checkpoint.manifest_key)
            if saved is not None:  # else the object check has told
                self._durable.setdefault(shard.index, [0]).append(saved.position)

    def began(self, process: str, shard: int, position: int, digest: int) -> None:
        self._same(shard, position, digest)
        if not self.holds(process, shard):  # it was rescued before it began: nothing it writes is accepted
            self._position[(process, shard)] = position
            return
        durable = self._durable.get(shard, [0])
        before = max((at for (_, index), at in self._position.items() if index == shard), default=0)
        self.lost += max(0, before - position)
        if shard in self._undurable or self._went_back:
            # What was written whole and never pointed to is a state of the shard as well: its digest is compared above.
            saved = [0, *self.world.checks[GenerationCheck].positions(shard)]
            self.report.require(position in saved, "I5", f"shard {shard} went on at {position}, never saved: {saved}")
        else:
            self.report.require(
                position == durable[-1],
                "I9",
                f"shard {shard} went on at {position}, its pointer stood at {durable[-1]}",
            )
        self._position[(process, shard)] = position

    def advanced(self, process: str, shard: int, records: int, position: int, digest: int) -> None:
        self._same(shard, position, digest)
        self.folded += records
        self._position[(process, shard)] = position

    def _same(self, shard: int, position: int, digest: int) -> None:
        """Whoever folds the same records has the same state, restored or not, byte for byte."""
        known = self._digests.setdefault((shard, position), digest)
        self.report.require(known == digest, "I5", f"shard {shard} has another state at {position} than others had")


class ProcessDiary:
    """simulation.workload.Diary of one worker process."""

    def __init__(self, check: ProgressCheck, process: str) -> None:
        self._check = check
        self._process = process

    def began(self, shard: int, position: int, digest: int) -> None:
        self._check.began(self._process, shard, position, digest)

    def folded(self, shard: int, records: int, position: int, digest: int) -> None:
        self._check.advanced(self._process, shard, records, position, digest)

    def returned(self, shard: int) -> None:
        """Nothing to compare: the output check reads what was published."""

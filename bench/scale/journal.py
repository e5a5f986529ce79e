"""What happened in the table and to the work, as the model's observer saw it."""

from array import array
from dataclasses import dataclass, field

from spotproof import contract
from spotproof.leases.attribute_values import Item
from spotproof.leases.model import ShardState

_DONE, _QUARANTINED = ShardState.DONE.value, ShardState.QUARANTINED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A shard that had to be leased again. Times are seconds of the model."""

    claimable_at: float
    leased_at: float


@dataclass
class Journal:
    """Notes of one run. It sees each write of a row as the table stored it, whatever its author believed."""

    shards: int
    epoch_ms: int  # of second 0
    now: float = 0.0
    commits: bytearray = field(default_factory=bytearray)
    done_twice: int = 0
    quarantined: int = 0
    committed: int = 0
    last_commit_s: float = 0.0
    first_lease_s: float = -1.0
    announced_s: float = -1.0  # the end of the run was announced
    waits: list[Wait] = field(default_factory=list)
    looked_at: "array[float]" = field(default_factory=lambda: array("d"))  # a worker began to look for work...
    found_look_at: "array[float]" = field(default_factory=lambda: array("d"))  # ...the look that found it began...
    leased_at: "array[float]" = field(default_factory=lambda: array("d"))  # ...and ended with a lease
    executed_s: float = 0.0  # by all workers, whatever became of it
    useful_s: float = 0.0  # of shards that are done
    lost_s: list[float] = field(default_factory=list)  # since the last durable checkpoint, by unannounced kills
    lost_noticed_s: list[float] = field(default_factory=list)  # by kills that a notice came before
    kills: int = 0
    crashes: dict[str, int] = field(default_factory=dict)
    exits: dict[int, int] = field(default_factory=dict)
    worker_s: float = 0.0  # lifetime of all worker processes
    _claimable: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.commits = bytearray(self.shards)

    def saw(self, old: Item | None, new: Item) -> None:
        """A write took effect."""
        if "shard_state" not in new:
            return
        index = int(new[contract.SORT_KEY]["S"][len(contract.SHARD_SK_PREFIX) :])
        state = new["shard_state"]["S"]
        before = None if old is None else old["shard_state"]["S"]
        if state == _DONE:
            self._commit(index)
        elif state == _QUARANTINED:
            self.quarantined += before != _QUARANTINED
        elif "claimable_at" in new:
            self._claimable[index] = (int(new["claimable_at"]["N"]) - self.epoch_ms) / 1000
        elif index in self._claimable:
            if old is None or old.get("owner") != new.get("owner"):
                self.waits.append(Wait(claimable_at=self._claimable[index], leased_at=self.now))
            del self._claimable[index]

    def _commit(self, index: int) -> None:
        self._claimable.pop(index, None)
        if self.commits[index]:
            self.done_twice += 1
            return
        self.commits[index] = 1
        self.committed += 1
        self.last_commit_s = self.now

    def leased(self, *, looked_at: float, found_look_at: float) -> None:
        """A worker's search for work ended with a lease."""
        if self.first_lease_s < 0:
            self.first_lease_s = self.now
        self.looked_at.append(looked_at)
        self.found_look_at.append(found_look_at)
        self.leased_at.append(self.now)

    @property
    def finished(self) -> bool:
        return self.committed + self.quarantined == self.shards

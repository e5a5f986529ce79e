"""Checkpoints: one shard under changing owners that die between any two writes, zombies, and a hostile bucket.

The pointer lives in a real lease row. What is restored must be the state that the pointer's generation was saved from;
only if that was damaged may an older one stand in, and then the newest that is intact (I5, I9).
"""

import json
import random
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from spotproof.checkpoints.carry import EngineSizes
from spotproof.checkpoints.engine import CheckpointEngine, Restored
from spotproof.checkpoints.generations import TRIED_MAX
from spotproof.checkpoints.manifest import SCHEMA, Manifest, decode_manifest, epoch_of, parse_manifest_key, seal
from spotproof.checkpoints.segment import Segment
from spotproof.checkpoints.state import State
from spotproof.concurrency import InlineSpawner
from spotproof.errors import AwsUnavailableError, CheckpointTooNewError, LeaseLostError
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.model import Candidate, CheckpointPointer, Lease, RequeueCause, ShardState
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.crashing_store import Crash
from tests.fakes.ids import CountingIds
from tests.fakes.lease_oracle import LeaseOracle
from tests.fakes.leases import a_run, a_session
from tests.stateful.campaign import CountedMachine
from tests.stateful.checkpoint_bucket import FaultyBucket, WriteFault, write_faults
from tests.stateful.shard_model import Edit, StateModel, apply, edits

RUN: Final = a_run(shards=1, stripes=1, session_buckets=1)
HOW_FAR: Final = ("settled", "settled", "settled", "kept", "unsettled", "unanswered", "written")
DAMAGES: Final = ("flipped", "cut", "gone", "swapped", "foreign", "newer schema", "newer format", "older schema")
DAMAGED_MAX: Final = 4  # objects at a time: later the history would be about nothing else


@dataclass
class Owner:
    """One worker's hold on the shard; a zombie when another has taken over."""

    lease: Lease
    engine: CheckpointEngine
    state: State
    model: StateModel
    current: str | None = None  # key of the manifest that its next save builds on
    unsettled: "Unsettled | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A save that has ended; its worker has not looked yet."""

    key: str
    collects: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Durable:
    """One manifest that was written, recorded or not."""

    manifest: Manifest
    model: StateModel

    @property
    def needs(self) -> frozenset[str]:
        return frozenset(self.manifest.keys)


class Checkpoints(CountedMachine):
    reached = (
        "an owner goes on from the pointer",
        "an older generation stands in",
        "a zombie is refused",
        "killed between two writes",
        "a save fails and the next one carries everything",
    )
    reached_in_the_long_run = (
        "a shard starts over because nothing is intact",
        "a newer checkpoint stops the worker",
        "a chain of several deltas",
        "garbage of an earlier epoch is collected",
        "an unanswered pointer is overtaken",
    )

    @initialize()
    def lease_the_shard(self) -> None:
        self.clock = FakeClock()
        self.bucket = FaultyBucket()
        self.ids = CountingIds()
        self.table = LeaseOracle(InMemoryTable("t"), RUN)
        self.store = DynamoDBLeaseStore(self.table, "t", self.clock, Retrier(clock=self.clock, rng=random.Random(0)))
        self.store.create_run(RUN)
        self.durable: dict[str, Durable] = {}
        self.touched: set[str] = set()
        self.zombies: list[Owner] = []
        self.owners = 0
        self.failed_before = False
        self.late_debris = False  # a zombie wrote after the owner took over: for the next owner to collect
        self.owner = self.new_owner()

    # --- owners ----------------------------------------------------------------------------------------------------

    def new_owner(self) -> Owner:
        """Claim the shard, whoever has it, and restore."""
        lease = self.claim()
        self.late_debris = False
        engine = CheckpointEngine(
            objects=self.bucket,
            lease=lease,
            clock=self.clock,
            ids=self.ids,
            spawner=InlineSpawner(),
            sizes=EngineSizes(slice_bytes=8192, pack_bytes=4096, delta_bytes=1024, inline_bytes=64),
        )
        try:
            restored = engine.restore(lease.checkpoint)
        except CheckpointTooNewError:
            self.upgrade()
            restored = engine.restore(lease.checkpoint)
        self.check_restored(restored, lease)
        model = StateModel() if restored.manifest_key is None else self.durable[restored.manifest_key].model.copy()
        return Owner(lease=lease, engine=engine, state=restored.state, model=model, current=restored.manifest_key)

    def claim(self) -> Lease:
        self.owners += 1
        session = self.store.open_session(a_session(f"w{self.owners}", run=RUN))
        assert self.store.hold(session, 0, seq=1, until=session.until) is not None
        row = self.store.get_shard(RUN, 0)
        if row is None:
            lease = self.store.claim_fresh(RUN, 0, session)
        else:
            if row.state is ShardState.LEASED:
                assert row.owner is not None
                row = self.store.requeue(RUN, 0, owner=row.owner, cause=RequeueCause.TERMINATED, losses_max=9)
                assert row is not None
            candidate = Candidate(index=0, fencing_token=row.fencing_token, drained=False)
            lease = self.store.claim_requeued(RUN, candidate, session)
        assert lease is not None
        return lease

    def upgrade(self) -> None:
        """A worker that knows the newer format would read what was meant: here, what was there before."""
        self.note("a newer checkpoint stops the worker")
        for key in [key for key in self.touched if self.is_newer(key)]:
            self.bucket.objects[key] = self.bucket.ever[key]
            self.touched.discard(key)

    @rule(paused=st.booleans())
    def taken_over(self, paused: bool) -> None:
        """Its host is gone, or it only seems so."""
        if paused:
            self.zombies = [*self.zombies[-1:], self.owner]
        self.owner = self.new_owner()

    def acting(self, zombie: bool) -> Owner:
        return self.zombies[-1] if zombie and self.zombies else self.owner

    def buried(self, owner: Owner) -> None:
        if owner is self.owner:
            self.owner = self.new_owner()
        else:
            self.zombies.remove(owner)

    # --- work and saves --------------------------------------------------------------------------------------------

    @rule(zombie=st.booleans(), changes=edits)
    def work(self, zombie: bool, changes: list[Edit]) -> None:
        owner = self.acting(zombie)
        for change in changes:
            apply(change, owner.state, owner.model)

    @rule(changes=edits, more=edits, fault=write_faults)
    def work_and_save(self, changes: list[Edit], more: list[Edit], fault: WriteFault | None) -> None:
        for edit in changes:
            apply(edit, self.owner.state, self.owner.model)
        self.save_state(self.owner, "settled", None, deadline=False)
        for edit in more:
            apply(edit, self.owner.state, self.owner.model)
        self.save_state(self.owner, "settled", fault, deadline=False)

    @rule(zombie=st.booleans(), how_far=st.sampled_from(HOW_FAR), deadline=st.booleans(), fault=write_faults)
    def save(self, zombie: bool, how_far: str, deadline: bool, fault: WriteFault | None) -> None:
        self.save_state(self.acting(zombie), how_far, fault, deadline=deadline)

    def save_state(self, owner: Owner, how_far: str, fault: WriteFault | None, *, deadline: bool) -> None:
        if not self.settle(owner):
            return
        self.late_debris = self.late_debris or owner is not self.owner
        self.bucket.arm(fault)
        try:
            saving = owner.engine.begin(
                owner.state,
                record=lambda pointer: self.record(owner, pointer, how_far),
                deadline=9e9 if deadline or how_far == "kept" else None,
            )
        except Crash:
            self.learn(owner)
            self.note("killed between two writes")
            self.bucket.arm(None)
            self.buried(owner)
            return
        self.learn(owner)
        if saving is not None:
            collects = saving.deadline is None and self.bucket.struck is None
            owner.unsettled = Unsettled(key=saving.pointer.manifest_key, collects=collects)
        if how_far != "unsettled":
            self.settle(owner)
        self.bucket.arm(None)

    def record(self, owner: Owner, pointer: CheckpointPointer, how_far: str) -> None:
        if how_far == "written":
            raise AwsUnavailableError("record: down")
        self.store.record_checkpoint(owner.lease, pointer)
        if how_far == "unanswered":
            self.note("an unanswered pointer is overtaken")
            raise AwsUnavailableError("record: reply lost")

    def settle(self, owner: Owner) -> bool:
        """What a worker does at its next safe point; whether it goes on."""
        unsettled, owner.unsettled = owner.unsettled, None
        try:
            saved = owner.engine.settle()
        except AwsUnavailableError:
            self.failed_before = True
        except LeaseLostError:
            assert owner is not self.owner, "the owner was refused"
            self.note("a zombie is refused")
            self.buried(owner)
            return False
        else:
            if saved is not None and unsettled is not None:
                self.saved(owner, unsettled)
        return True

    def saved(self, owner: Owner, unsettled: "Unsettled") -> None:
        generation = self.durable[unsettled.key]
        kept, owner.current = generation.needs | self.needs_of(owner.current), unsettled.key
        if any(len(entry.deltas) > 1 for entry in generation.manifest.maps.values()):
            self.note("a chain of several deltas")
        if self.failed_before and owner is self.owner:
            self.failed_before = False
            self.note("a save fails and the next one carries everything")
        if unsettled.collects:
            self.check_garbage(owner, kept)

    def learn(self, owner: Owner) -> None:
        """Manifests that became durable, whether or not anybody heard of it."""
        for key in set(self.bucket.ever) - set(self.durable):
            if parse_manifest_key(key, run_id=RUN.run_id, shard=0) is not None:
                manifest = decode_manifest(self.bucket.ever[key], run_id=RUN.run_id, shard=0, key=key)
                self.durable[key] = Durable(manifest=manifest, model=owner.model.copy())

    # --- the hostile bucket ----------------------------------------------------------------------------------------

    @precondition(lambda self: self.pointer is not None and len(self.touched) < DAMAGED_MAX)
    @rule(kind=st.sampled_from(DAMAGES), pick=st.integers(0, 50), bit=st.integers(0, 10**6), older=st.booleans())
    def damage(self, kind: str, pick: int, bit: int, older: bool) -> None:
        assert self.pointer is not None
        generation = self.durable[self.pointer.manifest_key]
        needs = self.needs_of(generation.manifest.parent) if older and generation.manifest.parent else generation.needs
        there = sorted(key for key in needs if key in self.bucket.objects and key not in self.touched)
        manifests = [key for key in there if "/m/" in key]
        targets = there if kind in ("flipped", "cut", "gone", "swapped") else manifests
        if not targets:
            return
        key = targets[pick % len(targets)]
        self.touched.add(key)
        damaged = self.damaged(kind, key, bit)
        if damaged is None:
            del self.bucket.objects[key]
        else:
            self.bucket.objects[key] = damaged

    def damaged(self, kind: str, key: str, bit: int) -> bytes | None:
        good = self.bucket.ever[key]
        match kind:
            case "flipped":
                position = bit % (len(good) * 8)
                return bytes(byte ^ (1 << position % 8 if at == position // 8 else 0) for at, byte in enumerate(good))
            case "cut":
                return good[: bit % len(good)]
            case "gone":
                return None
            case "swapped":
                others = sorted(data for other, data in self.bucket.ever.items() if other != key and data != good)
                return others[bit % len(others)] if others else b""
        body = json.loads(good)
        del body["root"]
        match kind:
            case "foreign":
                body["shard"] = 1
            case "newer schema":
                body["schema"] = SCHEMA + 1
            case "older schema":
                body["schema"] = SCHEMA - 1
            case "newer format":
                body["serializer"] = "typed-json-2"
        return seal(body)

    @precondition(lambda self: self.touched)
    @rule()
    def repaired(self) -> None:
        """Objects come back, as with a versioned bucket."""
        for key in self.touched & self.bucket.objects.keys():
            self.bucket.objects[key] = self.bucket.ever[key]
        self.touched &= self.bucket.ever.keys() - self.bucket.objects.keys()

    def is_newer(self, key: str) -> bool:
        data = self.bucket.objects.get(key, b"")
        return b'"serializer":"typed-json-2"' in data or f'"schema":{SCHEMA + 1},'.encode() in data

    # --- what must hold --------------------------------------------------------------------------------------------

    @property
    def pointer(self) -> CheckpointPointer | None:
        row = self.store.get_shard(RUN, 0)
        return None if row is None else row.checkpoint

    def needs_of(self, key: str | None) -> frozenset[str]:
        return self.durable[key].needs if key is not None else frozenset()

    def is_intact(self, key: str) -> bool:
        """Whether every byte that the generation needs is there; what else lies in its objects does not matter."""
        if self.bucket.objects.get(key) != self.bucket.ever[key]:
            return False
        stored = [each for each in self.durable[key].manifest.segments if each.inline is None]
        return all(each.key in self.bucket.objects and self.is_segment_intact(each) for each in stored)

    def is_segment_intact(self, segment: Segment) -> bool:
        start, stop = segment.offset, segment.offset + segment.size_bytes
        return self.bucket.objects[segment.key][start:stop] == self.bucket.ever[segment.key][start:stop]

    def check_restored(self, restored: Restored, lease: Lease) -> None:
        expected = self.expected(lease)
        assert restored.manifest_key == expected, f"restored {restored.manifest_key}, expected {expected}"
        model = StateModel() if expected is None else self.durable[expected].model
        assert model.equals(restored.state), "I5: a state that was never saved"
        pointed = None if lease.checkpoint is None else lease.checkpoint.manifest_key
        assert (restored.fell_back is None) == (expected == pointed), "a fall-back is reported, and nothing else"
        if expected is not None:
            self.note("an owner goes on from the pointer" if expected == pointed else "an older generation stands in")
        elif pointed is not None:
            self.note("a shard starts over because nothing is intact")

    def expected(self, lease: Lease) -> str | None:
        """The pointer's manifest, or the newest intact one before it."""
        if lease.checkpoint is None:
            return None
        pointer = lease.checkpoint
        if self.is_intact(pointer.manifest_key):
            return pointer.manifest_key
        older = [
            key
            for key, each in self.durable.items()
            if key in self.bucket.objects
            and each.manifest.id.epoch <= lease.fencing_token
            and each.manifest.id.seq < pointer.seq
        ]
        tried = sorted(older, key=lambda key: self.durable[key].manifest.id, reverse=True)[:TRIED_MAX]
        return next((key for key in tried if self.is_intact(key)), None)

    def check_garbage(self, owner: Owner, kept: frozenset[str] | set[str]) -> None:
        token = owner.lease.fencing_token
        epochs = {key: epoch_of(key, run_id=RUN.run_id, shard=0) for key in self.bucket.objects.keys() - kept}
        assert token not in epochs.values(), "an owner's garbage stays"
        if owner.lease.checkpoint is not None and owner is self.owner and not self.late_debris:
            assert not [key for key, epoch in epochs.items() if epoch is not None and epoch < token], "old epochs stay"
            self.note("garbage of an earlier epoch is collected")

    @invariant()
    def the_live_states_are_the_models(self) -> None:
        for owner in (self.owner, *self.zombies):
            assert owner.model.equals(owner.state)

    @invariant()
    def the_pointer_resolves_and_so_does_its_parent(self) -> None:
        pointer = self.pointer
        if pointer is None:
            return
        generation = self.durable[pointer.manifest_key]
        for key in generation.needs | self.needs_of(generation.manifest.parent):
            assert key in self.touched or self.bucket.objects.get(key) == self.bucket.ever[key], f"I5: {key} is gone"

    def teardown(self) -> None:
        if not self.failing() and hasattr(self, "owner"):
            self.owner = self.new_owner()

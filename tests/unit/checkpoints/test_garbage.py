"""Which keys are garbage: by epochs and by what two generations name, however late a deletion arrives."""

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from spotproof.checkpoints.garbage import GarbageReason, SweepScope, orphans, superseded, sweep_scope
from spotproof.checkpoints.manifest import Manifest
from spotproof.checkpoints.store import ObjectFacts
from spotproof.contract import checkpoints_prefix
from spotproof.leases.model import CheckpointPointer, Lease, RunId, SessionId, Shard, ShardState
from tests.fakes.generations import RUN, a_data_key, a_manifest

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OLD = NOW - timedelta(hours=1)


def a_lease(token: int) -> Lease:
    return Lease(
        run_id=RunId(RUN), index=0, stripe=0, owner=SessionId("w"), fencing_token=token, checkpoint=None, failures=0,
        interruptions=0, losses=0,
    )  # fmt: skip


def a_row(state: ShardState, token: int, pointer: Manifest | None = None) -> Shard:
    checkpoint = None if pointer is None else CheckpointPointer(manifest_key=pointer.key, seq=pointer.id.seq)
    return Shard(run_id=RunId(RUN), index=0, state=state, fencing_token=token, checkpoint=checkpoint)


def keys_of(row: Shard, listed: list[str], kept: set[str], *, modified: datetime | None = OLD) -> list[str]:
    facts = [ObjectFacts(key=key, size_bytes=1, modified=modified) for key in listed]
    found = orphans(row=row, scope=sweep_scope(row), listed=facts, kept=kept, before=NOW - timedelta(minutes=15))
    return [each.key for each in found]


class TestAfterASave:
    def test_what_neither_of_two_generations_names_goes_and_says_why(self) -> None:
        mine, older = [a_data_key(3, seq) for seq in (4, 5, 6)], [a_data_key(2, seq) for seq in (2, 3)]

        found = superseded(lease=a_lease(3), written=mine, listed=[*older, *mine], kept={mine[2], mine[1], older[1]})

        assert [(each.key, each.reason) for each in found] == [
            (older[0], GarbageReason.DEAD_EPOCH),
            (mine[0], GarbageReason.REPLACED),
        ]

    def test_newer_epochs_foreign_keys_and_others_of_our_own_epoch_are_never_touched(self) -> None:
        listed = [
            a_data_key(4, 9),
            a_data_key(3, 5, nonce="another"),
            f"{checkpoints_prefix(RUN, 0)}notes.txt",
            a_data_key(1, 1, shard=1),
        ]

        assert superseded(lease=a_lease(3), written=[], listed=listed, kept=set()) == []


class TestScope:
    def test_without_a_row_or_with_a_pointer_that_does_not_fit_nothing_is_known(self) -> None:
        foreign = replace(a_row(ShardState.READY, 5), checkpoint=CheckpointPointer(manifest_key="elsewhere", seq=1))

        assert sweep_scope(None).below == 0
        assert sweep_scope(foreign).below == 0
        assert sweep_scope(a_row(ShardState.READY, 5, a_manifest(6, 1, []))).below == 0

    def test_an_owner_that_has_not_saved_yet_may_build_on_any_older_generation(self) -> None:
        assert sweep_scope(a_row(ShardState.LEASED, 5, a_manifest(4, 1, []))).below == 0
        assert sweep_scope(a_row(ShardState.LEASED, 5, a_manifest(5, 2, []))).below == 5

    @pytest.mark.parametrize("state", [ShardState.READY, ShardState.LEASED])
    def test_without_a_pointer_older_epochs_go_whole(self, state: ShardState) -> None:
        scope = sweep_scope(a_row(state, 5))

        assert (scope.below, scope.found, scope.spares_generations) == (5, GarbageReason.NEVER_NAMED, False)

    @pytest.mark.parametrize("state", [ShardState.READY, ShardState.QUARANTINED])
    def test_a_waiting_or_quarantined_shard_keeps_two_generations(self, state: ShardState) -> None:
        scope = sweep_scope(a_row(state, 5, a_manifest(4, 1, [])))

        assert (scope.below, scope.spares_generations) == (5, True)

    def test_of_a_done_shard_everything_goes(self) -> None:
        scope = sweep_scope(a_row(ShardState.DONE, 5, a_manifest(5, 1, [])))

        assert (scope.below, scope.found, scope.spares_generations) == (6, GarbageReason.SHARD_DONE, False)


class TestOrphans:
    def test_a_live_leases_epoch_and_newer_ones_stay_even_if_nothing_names_them(self) -> None:
        row = a_row(ShardState.LEASED, 5, a_manifest(5, 9, []))
        listed = [a_data_key(epoch, 1) for epoch in (3, 4, 5, 6)]

        assert keys_of(row, listed, kept=set()) == listed[:2]

    def test_named_young_and_ageless_objects_stay(self) -> None:
        row, key = a_row(ShardState.READY, 5), a_data_key(2, 1)

        assert keys_of(row, [key], set()) == [key]
        assert keys_of(row, [key], {key}) == []
        assert keys_of(row, [key], set(), modified=NOW - timedelta(minutes=15)) == []
        assert keys_of(row, [key], set(), modified=None) == []

    def test_a_scope_of_nothing_finds_nothing(self) -> None:
        facts = [ObjectFacts(key=a_data_key(0, 1), size_bytes=1, modified=OLD)]
        scope = SweepScope(below=0, reason="")

        assert orphans(row=a_row(ShardState.READY, 5), scope=scope, listed=facts, kept=(), before=NOW) == []


@dataclass
class Writer:
    """One lease's engine, as far as keys go. It goes on as a zombie when its lease is gone."""

    token: int
    current: Manifest | None
    rebase: bool = False  # it fell back: its first save names nothing of what it restored
    previous: Manifest | None = None
    written: set[str] = field(default_factory=set)


class Model:
    """A shard, its bucket, everybody who ever wrote to it, and deletions that are still on their way."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.row = a_row(ShardState.READY, 0)
        self.manifests: dict[str, Manifest] = {}
        self.objects: set[str] = set()
        self.writers: list[Writer] = []
        self.on_their_way: list[list[str]] = []
        self.swept = 0

    def step(self) -> None:
        actions = [self.claim, self.save, self.save, self.save, self.requeue, self.sweep, self.sweep, self.deliver]
        self.rng.choice(actions)()
        self.check()

    def claim(self) -> None:
        if self.row.state is not ShardState.READY:
            return
        self.row = replace(self.row, state=ShardState.LEASED, fencing_token=self.row.fencing_token + 1)
        restored, fell_back = self.restore()
        self.writers.append(Writer(token=self.row.fencing_token, current=restored, rebase=fell_back))

    def restore(self) -> tuple[Manifest | None, bool]:
        """Mostly the pointer's; after damage its parent, or any older one that is still whole. And whether it fell back."""
        newest = self.pointed()
        if newest is None or self.rng.random() < 0.6:
            return newest, False
        parent = self.manifests.get(newest.parent or "")
        if parent is not None and parent.keys <= self.objects and self.rng.random() < 0.5:
            return parent, True
        older = [each for each in self.manifests.values() if each.id.seq < newest.id.seq and each.keys <= self.objects]
        return (self.rng.choice(older), True) if older else (None, True)

    def save(self) -> None:
        if not self.writers:
            return
        writer = self.rng.choice(self.writers[-3:])
        inherited = [] if writer.current is None or writer.rebase else sorted(writer.current.keys)
        data = [key for key in inherited if "/d/" in key and self.rng.random() < 0.7]
        seq = 1 + max([each.id.seq for each in self.manifests.values()], default=0)
        own = a_data_key(writer.token, seq)
        made = a_manifest(
            writer.token, seq, [*data, own], parent=writer.current.key if writer.current is not None else None
        )
        writer.written |= {own, made.key}
        self.objects |= {own, made.key}
        self.manifests[made.key] = made
        if self.row.state is ShardState.LEASED and self.row.fencing_token == writer.token:
            self.accept(writer, made)

    def accept(self, writer: Writer, made: Manifest) -> None:
        self.row = replace(self.row, checkpoint=CheckpointPointer(manifest_key=made.key, seq=made.id.seq))
        writer.previous, writer.current, writer.rebase = writer.current, made, False
        kept = made.keys | (writer.previous.keys if writer.previous is not None else set())
        found = superseded(lease=a_lease(writer.token), written=writer.written, listed=self.objects, kept=kept)
        self.on_their_way.append([each.key for each in found])

    def requeue(self) -> None:
        if self.row.state is ShardState.LEASED:
            self.row = replace(self.row, state=ShardState.READY, fencing_token=self.row.fencing_token + 1)

    def sweep(self) -> None:
        """Listing, row and manifests as they are now; the deletion comes any time later."""
        scope, newest, kept = sweep_scope(self.row), self.pointed(), set[str]()
        if scope.spares_generations:
            parent = None if newest is None else self.manifests.get(newest.parent or "")
            assert newest is not None
            kept = newest.keys | (set() if parent is None else parent.keys)
        facts = [ObjectFacts(key=key, size_bytes=1, modified=OLD) for key in sorted(self.objects)]
        found = orphans(row=self.row, scope=scope, listed=facts, kept=kept, before=NOW)
        self.swept += len(found)
        self.on_their_way.append([each.key for each in found])

    def deliver(self) -> None:
        if self.on_their_way:
            late = self.on_their_way.pop(self.rng.randrange(len(self.on_their_way)))
            self.objects -= set(late)

    def pointed(self) -> Manifest | None:
        return None if self.row.checkpoint is None else self.manifests[self.row.checkpoint.manifest_key]

    def check(self) -> None:
        pointed = self.pointed()
        if pointed is not None:
            assert pointed.keys <= self.objects, f"the pointer's checkpoint lacks {pointed.keys - self.objects}"


def test_however_late_deletions_come_the_pointers_checkpoint_stays_whole() -> None:
    """Owners, zombies, fallbacks of any depth, and deletions of collectors and sweepers that arrive any time later."""
    swept = 0
    for seed in range(400):
        model = Model(seed)
        for _ in range(80):
            model.step()
        swept += model.swept

    assert swept > 10_000

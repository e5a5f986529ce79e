"""The finalizer: exactly one `_SUCCESS`, whatever crashes, repeats or comes too early."""

import contextlib
import json
import random
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from spotproof import contract
from spotproof.capacity.sizing.record import decode_record
from spotproof.checkpoints.garbage_deletion import BulkDeletion
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.commits.buckets import InMemoryOutputBuckets
from spotproof.commits.cleanup import RunCleanup
from spotproof.commits.finalizer import QUIET, Finalizer, FinalizeResult, decide_end
from spotproof.commits.publish import Publisher
from spotproof.commits.staged_file import StagedFile
from spotproof.commits.staging import stage
from spotproof.concurrency import InlineSpawner
from spotproof.costs.prices import InstancePrice, PriceStep
from spotproof.errors import AwsError, RunNotFoundError
from spotproof.leases.closing import StripeCloser
from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.model import (
    FailurePolicy,
    Lease,
    RunId,
    RunOptions,
    RunState,
    ShardUsage,
)
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.leases import NOON, a_run, a_session, leased

RUN = RunId("2026-11-22")
SUCCESS = "output/2026-11-22/_SUCCESS"
ON_DEMAND = {"m6i.large": InstancePrice(vcpus=2, usd_per_hour=Decimal("0.096"))}


class CrashError(BaseException):
    """The process dies here: not an Exception, so that no code of ours can catch it."""


class Crashing:
    """Passes all calls on; the n-th one, counted over everything that shares `counter`, kills the caller."""

    def __init__(self, inner: Any, counter: "Counter") -> None:
        self._inner = inner
        self._counter = counter

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name in ("work", "buckets"):
            return Crashing(value, self._counter)
        if not callable(value):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            if name == "bucket":
                return Crashing(value(*args, **kwargs), self._counter)
            return self._counter.passing(lambda: value(*args, **kwargs))

        return call


class Counter:
    def __init__(self, *, die_at: int, after: bool) -> None:
        self.calls = 0
        self.die_at = die_at
        self.after = after

    def passing(self, call: Callable[[], Any]) -> Any:
        self.calls += 1
        dying = self.calls == self.die_at
        if dying and not self.after:
            raise CrashError
        answer = call()
        if dying:
            raise CrashError
        return answer


class NoPrices:
    def steps(self, *, instance_type: str, zone: str, since: datetime, until: datetime) -> tuple[PriceStep, ...]:
        return (PriceStep(since=since, usd_per_hour=Decimal("0.04")),)


class Tags:
    def __init__(self) -> None:
        self.tagged: list[str] = []

    def tag_done(self, key: str) -> None:
        self.tagged.append(key)


class World:
    """A run in memory, with all that belongs to it."""

    peak_mib: int | None = None  # that workers tell of their shards; None: they tell nothing

    def __init__(
        self, *, options: RunOptions | None = None, shards: int = 4, quarantined: tuple[int, ...] = ()
    ) -> None:
        self.clock = FakeClock()
        self.table = InMemoryTable("table")
        self.store = self._store()
        self.work = InMemoryObjectStore()
        self.buckets = InMemoryOutputBuckets(self.work)
        self.tags = Tags()
        self.run = self.store.create_run(a_run(shards=shards, stripes=2, options=options or RunOptions()))
        self.session = self.store.open_session(a_session(run=self.run))
        for index in range(shards):
            self.finish(index, poison=index in quarantined)

    def _store(self) -> InMemoryLeaseStore:
        return InMemoryLeaseStore(
            clock=self.clock, retrier=Retrier(clock=self.clock, rng=random.Random(1)), table=self.table
        )

    def finish(self, index: int, *, poison: bool) -> None:
        assert self.store.take_ticket(self.run, self.run.stripe_of(index)) is not None
        lease = leased(self.store, self.run, self.session, index, seq=index + 1)
        self.work.put(f"{contract.checkpoints_prefix(RUN, index)}000001/data", b"state")
        if poison:
            self.store.fail(lease, error=f"shard {index} is poison", retry_at=NOON, failures_max=1)
            return
        count = 5 if index == 1 else 1  # shard 1 lists its files in an object
        files = [
            StagedFile.of_bytes(f"part-{index:08d}/f{number}.json", f"{index}.{number}".encode(), records=1)
            for number in range(count)
        ]
        pointer = stage(self.work, lease, files)
        self.store.commit(lease, pointer, usage=self._usage(lease))
        if index == 0:  # its worker lived long enough to publish
            Publisher(self.buckets).publish(self.run, index, pointer)

    def _usage(self, lease: Lease) -> ShardUsage | None:
        if self.peak_mib is None:
            return None
        return ShardUsage(session=lease.owner, worked_ms=5, input_bytes=9, peak_mib=self.peak_mib, cpu_ms=1)

    def close(self) -> "World":
        StripeCloser(self.store).close_finished_stripes(self.run)
        return self

    def finalizer(self, counter: Counter | None = None) -> Finalizer:
        store: Any = self._store()
        buckets: Any = self.buckets
        work: Any = self.work
        tags: Any = self.tags
        if counter is not None:
            store, buckets, work, tags = (Crashing(each, counter) for each in (store, buckets, work, tags))
        deletion = BulkDeletion(objects=work, spawner=InlineSpawner(), clock=self.clock)
        return Finalizer(
            store=store, buckets=buckets, on_demand=ON_DEMAND, spot=NoPrices(), clock=self.clock,
            cleanup=RunCleanup(deletion=deletion, tags=tags, spawner=InlineSpawner(), clock=self.clock),
        )  # fmt: skip

    def finalize(self, *, name: str = "f1", seconds: float = 900.0, counter: Counter | None = None) -> Any:
        deadline = self.clock.monotonic() + seconds
        return self.finalizer(counter).finalize(RUN, finalizer=name, deadline=deadline)

    def finalize_when_quiet(self) -> Any:
        self.clock.advance(QUIET.total_seconds())
        return self.finalize(name="later")

    @property
    def data(self) -> dict[str, bytes]:
        return self.buckets.bucket("data").objects  # type: ignore[no-any-return, attr-defined, unused-ignore]

    @property
    def manifest(self) -> dict[str, Any]:
        return cast(dict[str, Any], json.loads(self.data[SUCCESS]))

    def outputs(self) -> dict[str, bytes]:
        return {key: body for key, body in self.data.items() if key != SUCCESS}

    def stored_run(self) -> Any:
        return self.store.get_run(RUN)


def lasting(manifest: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in manifest.items() if name not in ("times", "cost")}


def test_a_finished_run_is_published_listed_ended_and_cleaned() -> None:
    world = World().close()

    done = world.finalize()

    assert (done.result, done.state) == (FinalizeResult.FINALIZED, RunState.COMPLETE)
    assert world.stored_run().state is RunState.COMPLETE
    assert world.outputs()["output/2026-11-22/part-00000003/f0.json"] == b"3.0"
    assert len(world.outputs()) == 8
    assert world.work.objects == {}
    manifest = world.manifest
    assert [shard["index"] for shard in manifest["shards"]] == [0, 1, 2, 3]
    assert len(manifest["shards"][1]["files"]) == 5
    assert (manifest["records"], manifest["state"], manifest["degraded"]) == (8, "COMPLETE", False)
    assert manifest["cost"]["sessions"] == 1
    assert sorted(f"output/2026-11-22/{f['name']}" for s in manifest["shards"] for f in s["files"]) == sorted(
        world.outputs()
    )


def test_a_run_is_called_clean_only_when_fenced_workers_had_time_to_fall_silent() -> None:
    world = World().close()
    world.finalize()
    world.clock.advance(QUIET.total_seconds() - 1)
    assert world.finalize(name="early").result is FinalizeResult.CLEANED
    assert list(world.store.ended_runs()) == [RUN]
    world.work.put(f"{contract.checkpoints_prefix(RUN, 0)}00000001/d/000000000009-late-01", b"a zombie's")
    world.clock.advance(1)

    assert world.finalize(name="late").result is FinalizeResult.CLEANED

    assert world.work.objects == {}
    assert list(world.store.ended_runs()) == []


def test_a_clean_up_without_time_goes_on_with_the_next_call() -> None:
    world = World().close()
    world.finalize()
    world.clock.advance(QUIET.total_seconds())
    world.work.put(f"{contract.checkpoints_prefix(RUN, 0)}00000001/d/000000000009-late-01", b"a zombie's")

    assert world.finalize(name="hasty", seconds=0).result is FinalizeResult.OUT_OF_TIME
    assert list(world.store.ended_runs()) == [RUN]
    assert world.work.objects

    assert world.finalize(name="next").result is FinalizeResult.CLEANED
    assert list(world.store.ended_runs()) == []
    assert world.work.objects == {}


def test_the_manifest_has_every_files_real_digest() -> None:
    import hashlib

    world = World().close()
    world.finalize()

    for shard in world.manifest["shards"]:
        for file in shard["files"]:
            body = world.data[f"output/2026-11-22/{file['name']}"]
            assert (hashlib.sha256(body).hexdigest(), len(body)) == (file["sha256"], file["size_bytes"])


def test_open_stripes_are_not_finalized() -> None:
    world = World()

    assert world.finalize().result is FinalizeResult.NOT_READY
    assert SUCCESS not in world.data
    assert world.work.objects


def test_an_unknown_run_is_named() -> None:
    with pytest.raises(RunNotFoundError, match="no-such"):
        World().finalizer().finalize(RunId("no-such"), finalizer="f", deadline=1e9)


def test_a_duplicate_event_changes_nothing() -> None:
    world = World().close()
    world.finalize()
    before = dict(world.data), world.stored_run()

    world.clock.advance(6 * 3600)
    again = world.finalize(name="replayed")

    assert again.result is FinalizeResult.CLEANED
    assert (dict(world.data), world.stored_run()) == before


def test_while_one_finalizes_another_leaves_it_alone() -> None:
    world = World().close()
    taken = world.store.take_finalizer(world.stored_run(), finalizer="other", ttl_s=60)
    assert taken is not None

    assert world.finalize().result is FinalizeResult.BUSY
    assert SUCCESS not in world.data

    world.clock.advance(61)
    assert world.finalize().result is FinalizeResult.FINALIZED


def test_a_finalizer_without_time_stops_cleanly_and_the_next_goes_on() -> None:
    world = World().close()

    assert world.finalize(seconds=0).result is FinalizeResult.OUT_OF_TIME
    assert SUCCESS not in world.data
    assert world.stored_run().state is RunState.RUNNING

    world.clock.advance(120)
    assert world.finalize(name="f2").result is FinalizeResult.FINALIZED


def calls_of_a_clean_run() -> int:
    counter = Counter(die_at=-1, after=False)
    World().close().finalize(counter=counter)
    return counter.calls


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_at_any_call_and_a_second_run_give_the_same_bytes(after: bool) -> None:
    reference = World().close()
    reference.finalize()
    total = calls_of_a_clean_run()
    assert total > 30

    for die_at in range(1, total + 1):
        world = World().close()
        with pytest.raises(CrashError):
            world.finalize(counter=Counter(die_at=die_at, after=after))
        world.clock.advance(120)

        world.finalize(name="f2")

        assert world.stored_run().state is RunState.COMPLETE, die_at
        assert world.outputs() == reference.outputs(), die_at
        assert lasting(world.manifest) == lasting(reference.manifest), die_at
        assert world.work.objects == {}, die_at
        world.finalize_when_quiet()
        assert list(world.store.ended_runs()) == [], die_at


def test_two_crashes_in_a_row_are_survived_too() -> None:
    total = calls_of_a_clean_run()
    for die_at in range(1, total + 1, 3):
        world = World().close()
        for name, at in (("f1", die_at), ("f2", max(1, die_at - 2))):
            try:
                world.finalize(name=name, counter=Counter(die_at=at, after=True))
            except CrashError:
                world.clock.advance(120)

        world.finalize(name="f3")

        assert world.stored_run().state is RunState.COMPLETE
        assert len(world.outputs()) == 8


def test_quarantined_shards_leave_a_degraded_run_that_says_which() -> None:
    world = World(quarantined=(2,)).close()

    done = world.finalize()

    assert (done.state, done.quarantined) == (RunState.COMPLETE, 1)
    assert world.manifest["degraded"] is True
    assert world.manifest["quarantined"] == [{"shard": 2, "error": "shard 2 is poison", "failures": 1, "losses": 0}]
    assert [shard["index"] for shard in world.manifest["shards"]] == [0, 1, 3]
    assert world.stored_run().quarantined == 1


def test_with_the_strict_policy_a_quarantined_shard_fails_the_run_and_the_manifest_says_so() -> None:
    world = World(quarantined=(2,), options=RunOptions(on_failure=FailurePolicy.FAIL)).close()

    assert world.finalize().state is RunState.FAILED
    assert world.manifest["state"] == "FAILED"
    assert "on_failure=fail" in world.stored_run().reason


def test_other_bytes_at_a_final_key_fail_the_run_and_nothing_is_overwritten_or_thrown_away() -> None:
    world = World().close()
    key = "output/2026-11-22/part-00000002/f0.json"
    world.data[key] = b"somebody else's"

    done = world.finalize()

    assert done.state is RunState.FAILED
    assert "other bytes" in world.stored_run().reason
    assert world.data[key] == b"somebody else's"
    assert SUCCESS not in world.data
    assert [k for k in world.work.objects if k.startswith("staging/")]
    assert not [k for k in world.work.objects if k.startswith("checkpoints/")]


def test_another_success_at_the_key_is_never_overwritten() -> None:
    world = World().close()
    world.data[SUCCESS] = json.dumps({"run": "older", "schema": 1}).encode()

    assert world.finalize().state is RunState.FAILED
    assert json.loads(world.data[SUCCESS]) == {"run": "older", "schema": 1}


def test_a_cancelled_run_is_only_cleaned() -> None:
    world = World().close()
    world.store.cancel_run(RUN, reason="enough")

    done = world.finalize()

    assert (done.result, done.state) == (FinalizeResult.CLEANED, RunState.CANCELLED)
    assert SUCCESS not in world.data
    assert world.work.objects == {}


def test_a_cancellation_that_comes_between_wins_over_the_end() -> None:
    world = World().close()

    class Cancelling(Counter):
        def passing(self, call: Callable[[], Any]) -> Any:
            self.calls += 1
            if self.calls == self.die_at:
                world.store.cancel_run(RUN, reason="enough")
            return call()

    total = calls_of_a_clean_run()
    results = set()
    for at in range(1, total + 1):
        world = World().close()
        results.add(world.finalize(counter=Cancelling(die_at=at, after=False)).result)
        assert world.stored_run().state in (RunState.CANCELLED, RunState.COMPLETE)

    assert FinalizeResult.SUPERSEDED in results
    assert FinalizeResult.FINALIZED in results


def test_what_can_not_be_deleted_is_tagged_for_the_lifecycle() -> None:
    world = World().close()

    def refuse(keys: Any) -> Any:
        raise AwsError("no permission")

    world.work.delete_batch = refuse  # type: ignore[method-assign]

    assert world.finalize().result is FinalizeResult.FINALIZED
    assert sorted(world.tags.tagged) == sorted(world.work.objects)
    world.finalize_when_quiet()
    assert list(world.store.ended_runs()) == []


def test_a_run_without_any_output_is_complete_all_the_same() -> None:
    world = World(shards=2, quarantined=(0, 1)).close()

    assert world.finalize().state is RunState.COMPLETE
    assert world.manifest["shards"] == []


def test_how_a_run_ends_is_decided_by_its_policy() -> None:
    assert decide_end(quarantined=0, on_failure=FailurePolicy.FAIL).state is RunState.COMPLETE
    assert decide_end(quarantined=1, on_failure=FailurePolicy.FAIL).state is RunState.FAILED
    assert decide_end(quarantined=1, on_failure=FailurePolicy.CONTINUE).state is RunState.COMPLETE


class MeasuredWorld(World):
    peak_mib = 321


def test_a_run_that_ended_leaves_a_record_for_the_sizing_of_the_next_one_once() -> None:
    world = MeasuredWorld(quarantined=(2,)).close()

    world.finalize()
    world.finalize_when_quiet()

    (key,) = world.work.objects
    assert key == f"{contract.HISTORY_PREFIX}flight-delays/{NOON:015d}-2026-11-22.json"
    record = decode_record(world.work.objects[key], what=key)
    assert [sample.peak_mib for sample in record.samples] == [321] * 3
    assert (record.shards, record.ended_at) == (4, NOON)


def test_wherever_a_finalizer_dies_one_record_is_left() -> None:
    for die_at in range(1, 60):
        world = MeasuredWorld().close()
        counter = Counter(die_at=die_at, after=True)
        with contextlib.suppress(CrashError):
            world.finalize(counter=counter)
        world.clock.advance(3600)
        world.finalize(name="second")

        records = [key for key in world.work.objects if key.startswith(contract.HISTORY_PREFIX)]
        assert len(records) == 1
        if counter.calls < die_at:
            break

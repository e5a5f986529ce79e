"""Saves that fail, race, die or wait: what each costs, and what a restore finds afterwards."""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spotproof.checkpoints.images.image import Image, ImageGather
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.state import State
from spotproof.checkpoints.store import Buffer
from spotproof.concurrency import NoThreadError, ThreadSpawner
from spotproof.errors import AwsUnavailableError, CheckpointError, CheckpointLateError, LeaseLostError
from spotproof.leases.model import CheckpointPointer
from tests.fakes.crashing_store import Crash
from tests.fakes.ids import CountingIds
from tests.stateful.checkpoint_bucket import FaultyBucket, WriteFault, WriteKind
from tests.unit.checkpoints.builders import TINY, accept, make_engine
from tests.unit.checkpoints.owners import Owners

WRITES_MAX = 40  # of one save below
JOIN_S = 30.0


def work(state: State, step: int) -> None:
    """Changes a bit of everything; a picture of the state tells the steps apart."""
    rng = np.random.default_rng(step)
    state["step"] = step
    state.map("totals")[step] = list(range(step, step + 200))
    rows = state.array("rows", (200, 64), "float32")
    rows[rng.integers(0, 200, 12)] = rng.standard_normal((12, 64))
    rows[:40] = rng.standard_normal((40, 64))  # a whole slice
    state.file("work.bin").write_bytes(rng.bytes(60_000 + 700 * (step % 30)))


def picture(state: State) -> object:
    path = state.file("work.bin")
    return (
        dict(state),
        dict(state.map("totals")),
        state.array("rows", (200, 64), "float32").tobytes(),
        path.read_bytes() if path.exists() else None,
    )


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    return Owners(tmp_path, objects=FaultyBucket())


def bucket_of(owners: Owners) -> FaultyBucket:
    assert isinstance(owners.objects, FaultyBucket)
    return owners.objects


@pytest.mark.parametrize(
    "kind", [WriteKind.DOWN_BEFORE, WriteKind.DOWN_AFTER, WriteKind.KILL_BEFORE, WriteKind.KILL_AFTER]
)
def test_a_save_that_ends_at_any_write_leaves_a_committed_state(owners: Owners, kind: WriteKind) -> None:
    for at in range(1, WRITES_MAX):
        work(owners.state, 2 * at)
        owners.save()
        committed = picture(owners.state)
        work(owners.state, 2 * at + 1)
        bucket_of(owners).arm(WriteFault(kind, at))
        with contextlib.suppress(AwsUnavailableError, Crash):
            owners.save()
            committed = picture(owners.state)
        struck = bucket_of(owners).struck
        bucket_of(owners).arm(None)

        assert picture(owners.take_over()) == committed
        if struck is None:
            break

    assert 10 < at < WRITES_MAX - 1, "a save takes more than ten writes, and each was the last one"


@pytest.mark.parametrize("at", range(1, 12))
def test_the_litter_of_a_killed_save_is_gone_after_the_next_owners_save(owners: Owners, at: int) -> None:
    work(owners.state, 1)
    owners.save()
    before = set(owners.objects.objects)
    work(owners.state, 2)
    bucket_of(owners).arm(WriteFault(WriteKind.KILL_AFTER, at))
    with pytest.raises(Crash):
        owners.save()
    bucket_of(owners).arm(None)
    litter = set(owners.objects.objects) - before
    assert len(litter) == at

    owners.take_over()["step"] = 3
    owners.save()

    assert not litter & set(owners.objects.objects)
    assert before <= set(owners.objects.objects), "the generation before stays"


@pytest.mark.parametrize("same_keys", [True, False])
def test_of_sixteen_writers_at_once_one_manifest_is_named_and_it_is_whole(tmp_path: Path, same_keys: bool) -> None:
    """Sixteen workers believe to hold the shard under the same token; the table takes the first pointer."""
    objects = InMemoryObjectStore()
    start, lock = threading.Barrier(16), threading.Lock()
    named: list[tuple[CheckpointPointer, int]] = []
    outcomes: list[str] = []
    shared = CountingIds()

    def write(number: int) -> None:
        engine = make_engine(objects, ids=CountingIds() if same_keys else shared, sizes=TINY, spawner=ThreadSpawner())
        state = engine.restore(None).state
        state["writer"] = number
        state.array("rows", 5000)[:] = number

        def record(pointer: CheckpointPointer) -> None:
            with lock:
                if named:
                    raise LeaseLostError("the row has moved")
                named.append((pointer, number))

        start.wait(JOIN_S)
        try:
            assert engine.save(state, record=record) is not None
            outcome = "saved"
        except LeaseLostError:
            outcome = "refused"
        except CheckpointError:
            outcome = "not alone"
        with lock:
            outcomes.append(outcome)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)

    assert sorted(outcomes) == ["not alone" if same_keys else "refused"] * 15 + ["saved"]
    manifests = [key for key in objects.objects if "/m/" in key]
    assert len(manifests) == (1 if same_keys else 16)
    if not same_keys:  # with the same keys, data objects are overwritten: nonces exist so that this can't happen
        ((pointer, winner),) = named
        state = make_engine(objects, token=2).restore(pointer).state
        assert state["writer"] == winner
        assert set(state.array("rows", 5000).tolist()) == {float(winner)}


def test_a_zombie_writes_objects_that_nobody_ever_restores(owners: Owners) -> None:
    work(owners.state, 1)
    owners.save()
    zombie, its_state = owners.engine, owners.state
    state = owners.take_over()
    work(its_state, 99)

    def refuse(pointer: CheckpointPointer) -> None:
        raise LeaseLostError("stale token")

    with pytest.raises(LeaseLostError):
        zombie.save(its_state, record=refuse)
    assert picture(owners.look()) == picture(state)
    work(state, 2)
    owners.save()
    assert picture(owners.look()) == picture(state)
    owners.objects.objects[owners.pointer.manifest_key] = b"damaged"  # type: ignore[union-attr]
    assert owners.take_over(fell_back=True)["step"] == 1


def test_failed_saves_cost_only_time_and_the_next_one_carries_everything(owners: Owners) -> None:
    work(owners.state, 1)
    owners.save()
    for step in range(2, 9):
        work(owners.state, step)
        owners.fail_to_save()
    owners.save()

    assert picture(owners.look()) == picture(owners.state)
    assert owners.save() is None


@pytest.mark.parametrize("failing", [0, 1])
def test_after_a_failure_between_pointer_and_shadow_everything_travels_anew(
    owners: Owners, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    rows = owners.state.array("rows", (200, 64), "float32")
    other = owners.state.array("other", (200, 64), "float32")
    owners.state.map("totals").update({number: number for number in range(500)})
    owners.save()
    for each in (rows, other):
        each[3] = 1  # a delta of each
    owners.state.map("totals")[1] = -1
    real, calls = Image.advance, []

    def advance(self: Image, gathered: ImageGather) -> None:
        calls.append(self)
        if len(calls) == failing + 1:
            raise MemoryError
        real(self, gathered)

    monkeypatch.setattr(Image, "advance", advance)
    with pytest.raises(MemoryError):
        owners.save()
    monkeypatch.setattr(Image, "advance", real)
    assert owners.look().array("rows", (200, 64), "float32")[3, 0] == 1, "the pointer had moved"
    for each in (rows, other):
        each[7] = 2
    owners.save()

    state = owners.look()
    assert np.array_equal(state.array("rows", (200, 64), "float32"), rows)
    assert np.array_equal(state.array("other", (200, 64), "float32"), other)
    assert state.map("totals")[1] == -1
    assert len(state.map("totals")) == 500
    assert all(not owners.entry(f"array/{name}").deltas for name in ("rows", "other"))


def test_shadows_stay_where_they_were_until_the_pointer_has_moved(owners: Owners) -> None:
    rows = owners.state.array("rows", (200, 64), "float32")
    owners.save()
    rows[3] = 1
    before = owners.state.images["array/rows"].shadow.copy()

    def record(pointer: CheckpointPointer) -> None:
        assert np.array_equal(owners.state.images["array/rows"].shadow, before)
        owners.record(pointer)

    owners.engine.save(owners.state, record=record)

    assert not np.array_equal(owners.state.images["array/rows"].shadow, before)


def test_nothing_changed_is_no_request_also_for_images_written_with_the_same_bytes(tmp_path: Path) -> None:
    for number, tracker in enumerate(("compare", "auto")):
        (tmp_path / str(number)).mkdir()
        owners = Owners(tmp_path / str(number), tracker=tracker)  # type: ignore[arg-type]
        work(owners.state, 1)
        owners.state.tensors("model", {"w": np.ones(3)})
        owners.save()
        before = owners.engine.traffic

        owners.state.array("rows", (200, 64), "float32")[:] += 0
        owners.state.file("work.bin").write_bytes(owners.state.file("work.bin").read_bytes())

        assert owners.save() is None
        assert owners.engine.traffic == before


def test_a_small_save_is_one_put_until_the_manifest_carries_enough_of_earlier_ones(tmp_path: Path) -> None:
    owners = Owners(tmp_path, sizes=None)
    rows = owners.state.array("rows", (10_000, 64), "float32")
    rows[:] = np.random.default_rng(1).standard_normal(rows.shape)
    owners.save()
    for step in range(1, 20):
        owners.state["step"] = step
        owners.state.map("totals")[step] = step
        rows[step * 100 : step * 100 + 20] += 1  # 5 KiB
        saved = owners.save()
        assert saved is not None
        inherited = saved.size_bytes - 8 * 2**10
        assert saved.requests == (1 if inherited <= 64 * 2**10 * 4 / 3 else 2)
        assert saved.size_bytes < 110 * 2**10


class BlockedBucket(InMemoryObjectStore):
    """Answers no write until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.may = threading.Event()

    def put(self, key: str, data: Buffer) -> None:
        self._wait()
        super().put(key, data)

    def put_if_absent(self, key: str, content: Buffer | Path, **facts: object) -> bool:
        self._wait()
        return super().put_if_absent(key, content)

    def _wait(self) -> None:
        self.asked.set()
        assert self.may.wait(JOIN_S), "nobody let the bucket go on"


def test_the_job_goes_on_while_the_bucket_does_not_answer_and_what_it_does_then_comes_next(tmp_path: Path) -> None:
    objects = BlockedBucket()
    owners = Owners(tmp_path, objects=objects, spawner=ThreadSpawner())
    work(owners.state, 1)
    expected = picture(owners.state)
    saving = owners.engine.begin(owners.state, record=owners.record)
    assert saving is not None
    assert objects.asked.wait(JOIN_S)
    work(owners.state, 2)

    assert owners.engine.busy
    assert not owners.engine.wait(0)
    assert owners.engine.settle() is None
    assert owners.pointer is None
    assert not objects.objects
    objects.may.set()
    assert owners.engine.wait(JOIN_S)
    assert owners.engine.settle() is not None
    assert picture(owners.look()) == expected
    assert owners.engine.save(owners.state, record=owners.record) is not None
    assert picture(owners.look()) == picture(owners.state)


class NoThreads(ThreadSpawner):
    """Gives a thread only while `left` is true."""

    left = False

    def spawn(self, work: Callable[[], None], *, name: str) -> None:
        if not self.left:
            raise NoThreadError(name)
        super().spawn(work, name=name)


def test_a_save_for_which_there_is_no_thread_has_failed_at_once_and_the_next_one_carries_its_changes(
    tmp_path: Path,
) -> None:
    spawner = NoThreads()
    owners = Owners(tmp_path, objects=InMemoryObjectStore(), spawner=spawner)
    work(owners.state, 1)

    with pytest.raises(CheckpointError, match="nobody carries the save"):
        owners.engine.save(owners.state, record=owners.record)

    assert (owners.pointer, owners.engine.busy) == (None, False)
    spawner.left = True
    assert owners.engine.save(owners.state, record=owners.record) is not None
    assert picture(owners.look()) == picture(owners.state)


@pytest.mark.parametrize("end", ["cancelled", "too late"])
def test_a_save_that_is_not_needed_or_too_late_begins_no_further_object(tmp_path: Path, end: str) -> None:
    objects = BlockedBucket()
    owners = Owners(tmp_path, objects=objects, spawner=ThreadSpawner())
    work(owners.state, 1)
    owners.engine.begin(owners.state, record=owners.record)
    assert objects.asked.wait(JOIN_S)
    if end == "cancelled":
        owners.engine.cancel()
    else:
        owners.engine.hurry(0.0)
    objects.may.set()

    assert owners.engine.wait(JOIN_S)
    with pytest.raises(CheckpointLateError):
        owners.engine.settle()
    assert owners.pointer is None
    assert not [key for key in objects.objects if "/m/" in key]
    assert len(objects.objects) <= TINY.width, "what was on its way, and no more"


def test_whatever_ends_the_background_work_the_job_learns_of_it(owners: Owners) -> None:
    work(owners.state, 1)

    def die(pointer: CheckpointPointer) -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        owners.engine.begin(owners.state, record=die)  # in a thread, it would end the thread
    assert owners.engine.wait(0)
    with pytest.raises(SystemExit):
        owners.engine.settle()
    owners.save()
    assert picture(owners.look()) == picture(owners.state)


def test_a_pointer_whose_reply_was_lost_is_overtaken(owners: Owners) -> None:
    work(owners.state, 1)
    owners.save()
    work(owners.state, 2)
    owners.fail_in_the_last_step()
    assert picture(owners.look()) == picture(owners.state)
    work(owners.state, 3)
    owners.save()

    assert picture(owners.look()) == picture(owners.state)


def test_saving_twice_at_once_is_a_bug_that_is_told(owners: Owners) -> None:
    work(owners.state, 1)
    owners.engine.begin(owners.state, record=accept)

    with pytest.raises(AssertionError, match="settle"):
        owners.engine.begin(owners.state, record=accept)

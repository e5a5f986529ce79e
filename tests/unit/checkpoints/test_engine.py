"""The engine: what is durable when, what it costs, and what it refuses."""

import itertools
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from spotproof import events
from spotproof.checkpoints.gather import CHAIN_MAX
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.store import OCTETS, Buffer, delete_all
from spotproof.errors import (
    AwsUnavailableError,
    CheckpointError,
    CheckpointLateError,
    CheckpointTooNewError,
    UnsavableValueError,
)
from spotproof.leases.model import CheckpointPointer
from tests.unit.checkpoints.builders import TINY, accept, make_engine, manifest_of, save, three_generations


class FailingStore(InMemoryObjectStore):
    """Loses every write after `allowed` more, or its reply only."""

    def __init__(self, *, allowed: int = 10**9, lose_reply: bool = False) -> None:
        super().__init__()
        self.allowed = allowed
        self.lose_reply = lose_reply
        self.deletes_fail = False

    def put(self, key: str, data: Buffer) -> None:
        self._spend()
        super().put(key, data)

    def put_if_absent(
        self, key: str, content: Buffer | Path, *, content_type: str = OCTETS, metadata: Mapping[str, str] | None = None
    ) -> bool:
        self._spend()
        created = super().put_if_absent(key, content, content_type=content_type, metadata=metadata)
        return created and not self.lose_reply

    def delete_many(self, keys: Iterable[str]) -> None:
        if self.deletes_fail:
            raise AwsUnavailableError("delete: down")
        super().delete_many(keys)

    def _spend(self) -> None:
        self.allowed -= 1
        if self.allowed < 0:
            raise AwsUnavailableError("write: down")


def test_what_was_saved_is_restored_by_the_next_owner() -> None:
    objects = InMemoryObjectStore()
    pointers = three_generations(objects)

    restored = make_engine(objects, token=2).restore(pointers[-1])

    assert restored.state["cursor"] == 3
    assert dict(restored.state.map("totals")) == {("carrier", number): 3 for number in range(300)}
    assert (restored.seq, restored.fell_back, restored.manifest_key) == (3, None, pointers[-1].manifest_key)
    assert restored.requests >= 2
    assert restored.size_bytes > 100


def test_a_shard_without_a_checkpoint_starts_empty_at_no_cost() -> None:
    restored = make_engine(InMemoryObjectStore()).restore(None)

    assert not restored.state
    assert (restored.requests, restored.fell_back, restored.seq) == (0, None, 0)


def test_saving_an_unchanged_state_costs_no_request() -> None:
    objects = InMemoryObjectStore()
    engine = make_engine(objects)
    state = engine.restore(None).state
    assert engine.save(state, record=accept) is None
    state["cursor"] = 1
    state.map("totals")["AA"] = [1]
    first = save(engine, state)
    before = engine.traffic

    state["cursor"] = 1
    assert state.map("totals")["AA"] == [1]

    assert engine.save(state, record=accept) is None
    assert engine.traffic == before
    restored = make_engine(objects, token=2)
    assert restored.save(restored.restore(first.pointer).state, record=accept) is None


def test_a_small_change_to_a_big_map_is_one_small_object_and_a_manifest() -> None:
    engine = make_engine(InMemoryObjectStore())
    state = engine.restore(None).state
    state.map("totals").update({number: str(number) * 5 for number in range(5000)})
    whole = save(engine, state)

    state.map("totals")[17] = "changed"
    delta = save(engine, state)

    assert (whole.requests, delta.requests) == (2, 1)
    assert delta.size_bytes < whole.size_bytes / 20


def test_a_failed_save_costs_nothing_and_the_next_one_is_complete() -> None:
    objects = FailingStore()
    engine = make_engine(objects, sizes=TINY)
    state = engine.restore(None).state
    state.map("a")["x"] = 1
    pointer = save(engine, state).pointer

    state.map("a")["y"] = list(range(99))
    state.map("b")["z"] = 3
    for allowed in (0, 1):  # fails at the object, at the manifest
        objects.allowed = allowed
        with pytest.raises(AwsUnavailableError):
            save(engine, state)
        before = make_engine(objects, token=2).restore(pointer)
        assert (before.fell_back, dict(before.state.map("a")), dict(before.state.map("b"))) == (None, {"x": 1}, {})

    objects.allowed = 10**9
    pointer = save(engine, state).pointer
    after = make_engine(objects, token=2).restore(pointer)
    assert (dict(after.state.map("a")), dict(after.state.map("b"))) == ({"x": 1, "y": [*range(99)]}, {"z": 3})


def test_no_object_is_ever_written_twice_with_other_bytes() -> None:
    written: dict[str, bytes] = {}

    class Watching(FailingStore):
        def _write(self, key: str, data: bytes, content_type: str, metadata: dict[str, str]) -> None:
            assert written.setdefault(key, data) == data
            super()._write(key, data, content_type, metadata)

    objects = Watching()
    owner, zombie = make_engine(objects, token=2, sizes=TINY), make_engine(objects, token=1, sizes=TINY)
    for engine in (zombie, owner):
        state = engine.restore(None).state
        for cursor in range(6):
            state["cursor"] = cursor
            state.map("totals")[cursor] = [*range(99), engine is zombie]
            objects.allowed = 1 if cursor % 2 else 10**9
            if cursor % 2:
                with pytest.raises(AwsUnavailableError):
                    save(engine, state)
            else:
                save(engine, state)

    assert len(written) > 10


def test_a_lost_reply_to_the_manifest_is_recognised_as_our_own_write() -> None:
    objects = FailingStore(lose_reply=True)
    engine = make_engine(objects)
    state = engine.restore(None).state
    state["cursor"] = 1

    saved = save(engine, state)

    assert make_engine(objects, token=2).restore(saved.pointer).state["cursor"] == 1


def test_other_bytes_at_our_manifest_key_fail_the_save_and_not_the_lease() -> None:
    """Simulation seed 14836006534065: a damaged manifest was taken for another owner, and the lease left behind."""
    objects = InMemoryObjectStore()
    engine, twin = make_engine(objects), make_engine(objects)
    for each, cursor in ((engine, 1), (twin, 2)):
        state = each.restore(None).state
        state["cursor"] = cursor
        if each is engine:
            saved = save(each, state)
            continue
        with pytest.raises(CheckpointError, match="damaged"):
            save(each, state)

    assert make_engine(objects, token=2).restore(saved.pointer).state["cursor"] == 1


def test_two_generations_stay_and_older_ones_go() -> None:
    objects = InMemoryObjectStore()
    pointers = three_generations(objects)

    manifests = [key for key in objects.objects if "/m/" in key]

    assert manifests == [pointer.manifest_key for pointer in pointers[1:]]
    for pointer in pointers[1:]:
        assert make_engine(objects, token=2).restore(pointer).fell_back is None


def test_the_next_owner_clears_what_earlier_epochs_left_but_nothing_newer() -> None:
    objects = InMemoryObjectStore()
    pointers = three_generations(objects)
    zombie = make_engine(objects, token=1)
    state = zombie.restore(pointers[-1]).state
    state.map("debris")["x"] = 1
    debris = save(zombie, state).pointer.manifest_key
    newer = "checkpoints/run-1/00000007/00000009/m/000000000099-ff"
    other_shard = "checkpoints/run-1/00000008/00000001/m/000000000001-ff"
    for key in (newer, other_shard):
        objects.put(key, b"x")

    owner = make_engine(objects, token=2)
    state = owner.restore(pointers[-1]).state
    state["cursor"] = 4
    saved = save(owner, state)

    assert {newer, other_shard, pointers[-1].manifest_key, saved.pointer.manifest_key} <= set(objects.objects)
    assert not {debris, pointers[-2].manifest_key} & set(objects.objects)
    assert make_engine(objects, token=3).restore(saved.pointer).state["cursor"] == 4


def test_the_generations_of_an_earlier_owner_go_once_they_are_replaced() -> None:
    objects = InMemoryObjectStore()
    pointers = three_generations(objects)
    owner = make_engine(objects, token=2)
    state = owner.restore(pointers[-1]).state
    for cursor in (4, 5):
        state["cursor"] = cursor
        state.map("totals").clear()
        save(owner, state)

    assert not [key for key in objects.objects if "/00000001/" in key]


def test_a_failed_clean_up_is_logged_and_made_good_by_the_next_save(caplog: pytest.LogCaptureFixture) -> None:
    objects = FailingStore()
    engine = make_engine(objects)
    state = engine.restore(None).state
    objects.deletes_fail = True
    for cursor in range(4):
        state["cursor"] = cursor
        save(engine, state)
    assert len(objects.objects) == 4
    assert events.CHECKPOINT_CLEANUP_FAILED in caplog.messages

    objects.deletes_fail = False
    state["cursor"] = 9
    save(engine, state)

    assert len(objects.objects) == 2


def test_chains_stay_short_and_deltas_small_against_their_base() -> None:
    objects = InMemoryObjectStore()
    engine = make_engine(objects)
    state = engine.restore(None).state
    state.map("totals").update({number: str(number) * 9 for number in range(3000)})
    longest = 0
    for step in range(40):
        state.map("totals")[step] = step
        saved = save(engine, state)
        entry = manifest_of(objects, saved.pointer).maps["totals"]
        longest = max(longest, len(entry.deltas))
        assert sum(delta.size_bytes for delta in entry.deltas) <= entry.base.size_bytes / 2

    assert longest == CHAIN_MAX
    for number in range(2900):
        state.map("totals")[number] = f"long value {number * 7919}"
    saved = save(engine, state)
    assert manifest_of(objects, saved.pointer).maps["totals"].deltas == ()


def test_under_a_deadline_the_delta_goes_even_when_a_rebase_is_due_and_late_saves_stop() -> None:
    objects = InMemoryObjectStore()
    engine = make_engine(objects)
    state = engine.restore(None).state
    state.map("totals").update({number: number for number in range(10)})
    save(engine, state)
    state.map("totals").update({number: -number for number in range(10)})

    with pytest.raises(CheckpointLateError):
        save(engine, state, deadline=1000.0)  # the fake clock's now
    saved = save(engine, state, deadline=1001.0)

    assert len(manifest_of(objects, saved.pointer).maps["totals"].deltas) == 1


def test_big_inline_values_travel_as_an_object_and_only_when_they_changed() -> None:
    objects = InMemoryObjectStore()
    engine = make_engine(objects)
    state = engine.restore(None).state
    state["table"] = list(range(50_000))
    first = save(engine, state)
    state.map("totals")["AA"] = 1
    second = save(engine, state)

    assert (first.requests, second.requests) == (2, 1)
    assert second.size_bytes < first.size_bytes / 10
    restored = make_engine(objects, token=2).restore(second.pointer).state
    assert restored["table"] == list(range(50_000))
    assert restored.map("totals")["AA"] == 1


@pytest.mark.parametrize(
    ("part", "damage"),
    [*itertools.product(("manifest", "data"), ("missing", "truncated", "flipped", "swapped")), ("manifest", "huge")],
)
def test_any_damage_leads_to_the_previous_generation_and_says_so(
    damage: str, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    objects = InMemoryObjectStore()
    pointers = three_generations(objects)
    key = pointers[-1].manifest_key
    if part == "data":
        (key,) = [each for each in objects.objects if "/d/000000000003" in each]
    good = objects.objects[key]
    older = next(data for other, data in objects.objects.items() if other != key and ("/m/" in other) == ("/m/" in key))
    if damage == "missing":
        del objects.objects[key]
    else:
        flipped = good[:50] + bytes([good[50] ^ 4]) + good[51:]
        options = {"truncated": good[:-1], "flipped": flipped, "swapped": older, "huge": good + bytes(2**25)}
        objects.objects[key] = options[damage]

    engine = make_engine(objects, token=2)
    restored = engine.restore(pointers[-1])

    assert restored.state["cursor"] == 2
    assert dict(restored.state.map("totals")) == {("carrier", number): 2 for number in range(200)}
    assert restored.manifest_key == pointers[-2].manifest_key
    assert pointers[-1].manifest_key in str(restored.fell_back)
    assert events.CHECKPOINT_FALLBACK in caplog.messages
    restored.state["cursor"] = 4
    saved = save(engine, restored.state)
    assert saved.pointer.seq > pointers[-1].seq  # a pointer never goes back
    assert make_engine(objects, token=3).restore(saved.pointer).state["cursor"] == 4


def test_every_flipped_bit_of_every_object_is_survived_with_a_true_state() -> None:
    objects = InMemoryObjectStore()
    pointers = three_generations(objects)
    logging.disable(logging.WARNING)  # one line per flipped bit says nothing
    for key, good in list(objects.objects.items()):
        for position in range(0, len(good) * 8, 7):
            damaged = bytearray(good)
            damaged[position // 8] ^= 1 << position % 8
            objects.objects[key] = bytes(damaged)
            restored = make_engine(objects, token=2).restore(pointers[-1])
            cursor = restored.state.get("cursor", 0)
            assert dict(restored.state.map("totals")) == {("carrier", n): cursor for n in range(100 * cursor)}
            assert (restored.fell_back is None) == (cursor == 3)
        objects.objects[key] = good
    logging.disable(logging.NOTSET)


def test_without_any_intact_generation_the_shard_starts_over_and_says_so() -> None:
    objects = InMemoryObjectStore()
    pointers = three_generations(objects)
    objects.objects = dict.fromkeys(objects.objects, b"garbage")

    engine = make_engine(objects, token=2)
    restored = engine.restore(pointers[-1])

    assert (len(restored.state), restored.seq, restored.manifest_key) == (0, 0, None)
    assert str(restored.fell_back).count("manifest is not JSON") == 2
    restored.state["cursor"] = 1
    assert save(engine, restored.state).pointer.seq == pointers[-1].seq + 1


def test_a_pointer_into_another_shard_is_never_followed() -> None:
    objects = InMemoryObjectStore()
    pointers = three_generations(objects)

    restored = make_engine(objects, token=2, index=8).restore(pointers[-1])

    assert not restored.state
    assert "belongs to run run-1 shard 7" in str(restored.fell_back)


def test_a_newer_format_stops_the_worker_instead_of_losing_the_work() -> None:
    from spotproof.checkpoints.manifest import SCHEMA, seal

    objects = InMemoryObjectStore()
    pointer = CheckpointPointer(manifest_key="checkpoints/run-1/00000007/00000001/m/000000000001-aa", seq=1)
    objects.put(pointer.manifest_key, seal({"schema": SCHEMA + 1, "anything": "else"}))

    with pytest.raises(CheckpointTooNewError, match="upgrade"):
        make_engine(objects, token=2).restore(pointer)


@pytest.mark.parametrize("schema", [0, -1])
def test_a_format_that_no_worker_ever_wrote_is_damage_and_not_a_reason_to_upgrade(schema: int) -> None:
    from spotproof.checkpoints.manifest import seal

    objects = InMemoryObjectStore()
    pointers = three_generations(objects)
    body = json.loads(objects.objects[pointers[-1].manifest_key])
    del body["root"]
    objects.put(pointers[-1].manifest_key, seal({**body, "schema": schema}))

    restored = make_engine(objects, token=2).restore(pointers[-1])

    assert restored.manifest_key == pointers[-2].manifest_key
    assert f"schema {schema}" in str(restored.fell_back)


def test_an_unreachable_bucket_is_an_error_and_not_a_fallback() -> None:
    class Down(InMemoryObjectStore):
        def get(self, key: str, *, size_max: int) -> bytes | None:
            raise AwsUnavailableError("read: down")

    with pytest.raises(AwsUnavailableError):
        make_engine(Down(), token=2).restore(CheckpointPointer(manifest_key="checkpoints/x", seq=1))


def test_state_that_became_unsavable_is_reported_and_the_last_checkpoint_stands() -> None:
    objects = InMemoryObjectStore()
    engine = make_engine(objects)
    state = engine.restore(None).state
    state.map("totals")["AA"] = []
    pointer = save(engine, state).pointer
    state.map("totals")["AA"].append({1})

    with pytest.raises(UnsavableValueError, match=r"state\.map\('totals'\)\['AA'\]"):
        save(engine, state)

    assert make_engine(objects, token=2).restore(pointer).state.map("totals")["AA"] == []


def test_deleting_everything_of_a_run_leaves_its_neighbours() -> None:
    objects = InMemoryObjectStore()
    three_generations(objects)
    objects.put("checkpoints/run-10/x", b"")

    assert delete_all(objects, "checkpoints/run-1/") == 4
    assert list(objects.objects) == ["checkpoints/run-10/x"]
    for prefix in ("checkpoints/run-1", "", "/"):
        with pytest.raises(ValueError, match="folder"):
            delete_all(objects, prefix)

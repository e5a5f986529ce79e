"""Damage of any object of any kind of state: an older generation stands in, byte for byte, or the error says why not."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spotproof.checkpoints.engine import Restored
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.manifest import SCHEMA, seal
from spotproof.checkpoints.workshop import Workshop
from spotproof.errors import CheckpointTooNewError
from spotproof.leases.model import CheckpointPointer
from tests.stateful.forgery import forged, forged_manifest
from tests.unit.checkpoints.builders import TINY, make_engine, manifest_of, save

FLIPS = 12  # in each object
FORGERIES = 120


@dataclass
class Shard:
    """A bucket with two generations of everything that a state can hold."""

    objects: InMemoryObjectStore
    intact: dict[str, bytes]
    pointers: list[CheckpointPointer]
    contents: list[Any]
    folder: Path

    def restore(self) -> Restored:
        workshop = Workshop(scratch_dir=str(self.folder), slice_bytes=TINY.slice_bytes, tracker="compare")
        return make_engine(self.objects, 2, sizes=TINY, workshop=workshop).restore(self.pointers[-1])

    def restored_content(self) -> tuple[Any, str | None]:
        restored = self.restore()
        return content(restored.state), restored.fell_back

    def put(self, key: str, data: bytes | None) -> None:
        """One object is another, or gone; all others are intact."""
        self.objects.objects = dict(self.intact)
        if data is None:
            del self.objects.objects[key]
        else:
            self.objects.objects[key] = data

    @property
    def newest(self) -> str:
        return self.pointers[-1].manifest_key

    @property
    def newest_only(self) -> list[str]:
        """Objects that the newest generation needs and the one before does not."""
        new, old = (manifest_of(self.objects, pointer).keys for pointer in reversed(self.pointers))
        return sorted(new - old)


def content(state: Any) -> Any:
    path = state.file("deep/work.bin")
    tensors = state.tensors("model")
    return (
        dict(state),
        list(state.map("totals").items()),
        path.read_bytes() if path.exists() else None,
        state.array("rows", (300, 32), "float32").tobytes(),
        {name: each.tolist() for name, each in tensors.items()},
    )


def build(folder: Path, *, index: int = 7, seed: int = 1) -> Shard:
    rng, objects = random.Random(seed), InMemoryObjectStore()
    workshop = Workshop(scratch_dir=str(folder), slice_bytes=TINY.slice_bytes, delta_bytes=1024, tracker="compare")
    engine = make_engine(objects, sizes=TINY, workshop=workshop, index=index)
    state = engine.restore(None).state
    tensors: dict[str, Any] = {"weights": np.zeros((30, 70), np.float32), "step": np.zeros(5, np.int64)}
    state.tensors("model", tensors)
    rows = state.array("rows", (300, 32), "float32")
    pointers = []
    for number in range(3):
        state["cursor"] = number
        state.map("totals").update({key: rng.random() for key in range(50 * number)})
        data = bytearray(rng.randbytes(20_000) if number < 2 else state.file("deep/work.bin").read_bytes())
        data[rng.randrange(20_000)] ^= 7
        state.file("deep/work.bin").write_bytes(data)
        rows[: 150 * number] = np.random.default_rng(number).random((150 * number, 32))
        rows[rng.randrange(300)] = rng.random()
        tensors["weights"][number] = rng.random()
        tensors["step"] += 1
        pointers.append(save(engine, state).pointer)
    return Shard(objects=objects, intact=dict(objects.objects), pointers=pointers[1:], contents=[], folder=folder)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    shard = build(tmp_path_factory.mktemp("scratch"))
    for pointer in shard.pointers:
        restored = make_engine(shard.objects, 2, sizes=TINY).restore(pointer)
        assert restored.fell_back is None
        shard.contents.append(content(restored.state))
    assert shard.contents[0] != shard.contents[1]
    assert len(shard.newest_only) > 4
    return shard


@pytest.fixture
def shard(built: Shard) -> Iterator[Shard]:
    yield built
    built.objects.objects = dict(built.intact)


def assert_stands_in(shard: Shard, key: str) -> None:
    found, reason = shard.restored_content()
    assert reason is not None, f"damage of {key} was not noticed"
    assert found == shard.contents[0]


def test_a_flipped_bit_anywhere_brings_the_generation_before(shard: Shard) -> None:
    rng = random.Random(3)
    for key in shard.newest_only:
        good = shard.intact[key]
        for position in {0, len(good) - 1, *(rng.randrange(len(good)) for _ in range(FLIPS))}:
            bad = bytearray(good)
            bad[position] ^= 1 << rng.randrange(8)
            shard.put(key, bytes(bad))
            assert_stands_in(shard, key)


def test_a_cut_a_longer_or_a_missing_object_brings_the_generation_before(shard: Shard) -> None:
    for key in shard.newest_only:
        good = shard.intact[key]
        for bad in (None, b"", good[:-1], good[: len(good) // 2]):
            shard.put(key, bad)
            assert_stands_in(shard, key)
    shard.put(shard.newest, shard.intact[shard.newest] + b" ")
    assert_stands_in(shard, shard.newest)


def test_objects_swapped_inside_a_run_or_with_another_shard_are_noticed(shard: Shard, tmp_path: Path) -> None:
    neighbour = build(tmp_path, index=8, seed=1)
    for place, key in enumerate(shard.newest_only):
        others = [other for other in shard.newest_only if other != key]
        shard.put(key, shard.intact[others[place % len(others)]])
        assert_stands_in(shard, key)
    theirs = neighbour.intact[neighbour.newest]
    shard.put(shard.newest, theirs)
    assert_stands_in(shard, shard.newest)


def test_an_older_object_under_a_newer_key_is_noticed(shard: Shard) -> None:
    shard.put(shard.newest, shard.intact[shard.pointers[0].manifest_key])

    assert_stands_in(shard, shard.newest)


def test_nothing_intact_is_an_empty_state_with_every_reason(shard: Shard) -> None:
    for pointer in shard.pointers:
        shard.objects.objects[pointer.manifest_key] = b"?"

    restored = shard.restore()

    assert not restored.state
    assert not restored.state.images
    assert str(restored.fell_back).count("manifest is not JSON") == len(shard.pointers)


def forge(shard: Shard, rng: random.Random, *, members: str) -> None:
    good = shard.intact[shard.newest]
    if members == "any":
        shard.put(shard.newest, forged_manifest(good, rng))
        return
    body = json.loads(good)
    del body["root"]
    name = rng.choice(sorted(body["images"]))
    for _ in range(rng.choice((1, 1, 2, 3))):
        body["images"][name] = forged(body["images"][name], rng)
    shard.put(shard.newest, seal(body))


@pytest.mark.parametrize("members", ["any", "images"])
def test_a_forged_manifest_ends_in_a_state_or_in_a_clear_error(shard: Shard, members: str) -> None:
    ends = dict.fromkeys(("read", "fell back", "too new"), 0)
    for seed in range(FORGERIES):
        forge(shard, random.Random(seed), members=members)
        try:
            found, reason = shard.restored_content() if members == "images" else (None, shard.restore().fell_back)
        except CheckpointTooNewError:
            ends["too new"] += 1
        else:
            ends["read" if reason is None else "fell back"] += 1
            if reason is not None and found is not None:
                assert found == shard.contents[0]

    assert ends["read"] > 0
    assert ends["fell back"] > 0


@pytest.mark.parametrize(
    "path", ["../out", "a/../../out", "/tmp/out", "..", "a\\..\\out", "a//b", "./x", "deep", "deep/work.bin/x"]
)
def test_no_file_is_written_outside_the_shards_folder(shard: Shard, path: str) -> None:
    body = json.loads(shard.intact[shard.newest])
    del body["root"]
    body["images"][f"file/{path}"] = body["images"]["file/deep/work.bin"]
    shard.put(shard.newest, seal(body))
    before = {each for each in shard.folder.parent.rglob("*") if not each.is_relative_to(shard.folder)}

    assert_stands_in(shard, shard.newest)

    assert {each for each in shard.folder.parent.rglob("*") if not each.is_relative_to(shard.folder)} == before


def test_a_newer_schema_stops_the_worker_and_nothing_is_lost(shard: Shard) -> None:
    shard.put(shard.newest, seal({"schema": SCHEMA + 1, "images": "in another shape"}))

    with pytest.raises(CheckpointTooNewError, match="upgrade it"):
        shard.restore()

    assert shard.objects.objects.keys() == shard.intact.keys()


def test_an_array_that_claims_more_than_its_bytes_takes_no_memory(shard: Shard) -> None:
    body = json.loads(shard.intact[shard.newest])
    del body["root"]
    body["images"]["array/rows"]["descr"]["shape"] = [2**20, 2**20]
    shard.put(shard.newest, seal(body))

    found, reason = shard.restored_content()

    assert found == shard.contents[0]
    assert "an array of 4398046511104 bytes is said to have 38400" in str(reason)

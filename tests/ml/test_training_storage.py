"""What a training's saves cost, and what happens when their objects are damaged."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from spotproof.checkpoints.carry import EngineSizes
from spotproof.leases.model import CheckpointPointer
from spotproof.ml.training import Training
from spotproof.worker.stopped import WorkerStopped
from tests.ml.test_training import Recipe, adamw
from tests.ml.workers import Shard, Workers, scramble
from tests.unit.checkpoints.builders import manifest_of
from tests.unit.checkpoints.owners import Owners

WORDS = 20_000
WIDTH = 64
TABLE_BYTES = WORDS * WIDTH * 4


class RecordingOwners(Owners):
    """Remembers every pointer."""

    def __init__(self, folder: Path) -> None:
        self.recorded: list[CheckpointPointer] = []
        super().__init__(folder, sizes=EngineSizes(inline_bytes=64))

    def record(self, pointer: CheckpointPointer) -> None:
        super().record(pointer)
        self.recorded.append(pointer)


@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_object_brings_the_generation_before_and_the_curve_stays_the_same(tmp_path: Path, seed: int) -> None:
    undisturbed, interrupted = Recipe(adamw), Recipe(adamw)
    Workers(tmp_path).run(undisturbed)
    workers = Workers(tmp_path, {12: "stop"})
    owners = workers.owners = RecordingOwners(tmp_path)
    with pytest.raises(WorkerStopped):
        interrupted(Shard(workers), owners.state)
    damage_newest(owners, random.Random(seed))

    scramble(seed)
    interrupted(Shard(workers), owners.take_over(fell_back=True))

    assert interrupted.curve.losses == undisturbed.curve.losses
    assert interrupted.final == undisturbed.final


def damage_newest(owners: RecordingOwners, rng: random.Random) -> None:
    """Flip a bit in an object that only the newest generation needs."""
    assert owners.pointer is not None
    older = [pointer for pointer in owners.recorded if pointer.seq == owners.pointer.seq - 1]
    new, old = (manifest_of(owners.objects, pointer).keys for pointer in (owners.pointer, *older))
    key = rng.choice(sorted(new - old))
    data = bytearray(owners.objects.objects[key])
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    owners.objects.objects[key] = bytes(data)


def saved_bytes(tmp_path: Path, optimizer_of: Any, *, rows: int, sparse: bool = False) -> tuple[int, int]:
    """Bytes of a save behind one step in which `rows` random rows of an embedding were looked up; and of the first."""
    owners = Owners(tmp_path, sizes=EngineSizes())
    table = nn.Embedding(WORDS, WIDTH, sparse=sparse)
    optimizer = optimizer_of(table.parameters())
    Training(owners.state, model=table, optimizer=optimizer)
    words = torch.Generator().manual_seed(1)

    def step() -> int:
        table(torch.randint(0, WORDS, (rows,), generator=words)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        saved = owners.save()
        assert saved is not None
        return saved.size_bytes

    first = step()
    return step(), first


def test_of_an_embedding_only_the_rows_that_were_looked_up_travel(tmp_path: Path) -> None:
    again, first = saved_bytes(
        tmp_path, lambda parameters: torch.optim.SparseAdam(parameters, lr=0.01), rows=100, sparse=True
    )

    changed = 3 * 100 * WIDTH * 4  # the rows, and their two moments
    assert first > TABLE_BYTES
    assert again < 1.2 * changed


def test_a_step_of_adamw_changes_everything_and_all_of_it_travels(tmp_path: Path) -> None:
    again, first = saved_bytes(tmp_path, lambda parameters: torch.optim.AdamW(parameters, lr=0.01), rows=WORDS)

    assert first > 2 * TABLE_BYTES
    assert 0.9 * 3 * TABLE_BYTES < again < 1.1 * 3 * TABLE_BYTES


def test_nothing_travels_when_nothing_was_trained(tmp_path: Path) -> None:
    owners = Owners(tmp_path, sizes=EngineSizes())
    model = nn.Linear(100, 100)
    Training(owners.state, model=model, optimizer=adamw(model.parameters()))

    assert owners.save() is not None
    assert owners.save() is None

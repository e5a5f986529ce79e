"""What a last save carries: what changed, and hardly more."""

from pathlib import Path

import numpy as np
import pytest

from spotproof.checkpoints.carry import EngineSizes
from spotproof.checkpoints.memory.pages import BLOCK
from tests.unit.checkpoints.owners import Owners

SIZES = EngineSizes(slice_bytes=64 * 2**10, pack_bytes=64 * 2**10, delta_bytes=32 * 2**10, inline_bytes=1024)
LENGTH = 16 * SIZES.slice_bytes


@pytest.mark.parametrize("share", [0.2, 0.4, 0.8])
def test_under_a_deadline_hardly_more_travels_than_changed(tmp_path: Path, share: float) -> None:
    owners, rng = Owners(tmp_path, sizes=SIZES), np.random.default_rng(1)
    memory = owners.state.array("memory", (LENGTH // BLOCK, BLOCK), "uint8")
    memory[:] = rng.integers(0, 256, memory.shape, dtype=np.uint8)
    owners.save()
    changed = rng.choice(len(memory), int(len(memory) * share), replace=False)
    memory[changed] ^= 1 + rng.integers(0, 255, (len(changed), BLOCK), dtype=np.uint8)

    saved = owners.save(deadline=1e9)

    assert saved is not None
    assert saved.size_bytes <= 1.1 * len(changed) * BLOCK
    assert np.array_equal(owners.look().array("memory", memory.shape, "uint8"), memory)

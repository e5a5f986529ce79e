"""Which slices travel whole, and what a long life of saves costs."""

from pathlib import Path

import numpy as np
import pytest

from spotproof.checkpoints.carry import EngineSizes
from spotproof.checkpoints.images.slices import DENSE_SHARE, Chain, dense_slices, rolling_slices
from spotproof.checkpoints.memory.trackers.choose import TrackerChoice
from spotproof.concurrency import ThreadSpawner
from tests.unit.checkpoints.owners import Owners

MIB = 2**20


def chain(*, deltas: int, touched: frozenset[int], slices: int = 8, base: int = 0, seqs: int = 0) -> Chain:
    return Chain(
        base_bytes=base,
        delta_bytes=deltas * MIB,
        slice_seqs=[seqs] * slices,
        touched=[(seq, touched) for seq in range(1, deltas + 1)],
    )


def test_a_slice_goes_whole_once_much_of_it_changed() -> None:
    limit = int(DENSE_SHARE * 100)

    assert dense_slices([limit, limit + 1, 0], blocks_per_slice=100, room_blocks=1000) == {1}


def test_the_fullest_slices_go_whole_until_the_rest_fits_the_buffer() -> None:
    assert dense_slices([5, 20, 10, 0], blocks_per_slice=100, room_blocks=16) == {1}
    assert dense_slices([5, 20, 10, 0], blocks_per_slice=100, room_blocks=5) == {1, 2}
    assert dense_slices([5, 20, 10, 0], blocks_per_slice=100, room_blocks=0) == {0, 1, 2}


def test_a_short_last_slice_is_dense_by_its_own_length() -> None:
    assert dense_slices([0, 9], blocks_per_slice=100, room_blocks=1000, last_blocks=10) == {1}
    assert dense_slices([], blocks_per_slice=100, room_blocks=0) == frozenset()


def test_while_the_deltas_are_few_and_small_nothing_is_rewritten() -> None:
    few = chain(deltas=3, touched=frozenset({0, 1}), base=100 * MIB)

    assert rolling_slices(few, delta_bytes=MIB, slice_bytes=16 * MIB) == frozenset()


def test_the_oldest_delta_goes_first_and_only_slices_that_need_it() -> None:
    old = Chain(
        base_bytes=100 * MIB,
        delta_bytes=60 * MIB,
        slice_seqs=[5, 0, 0, 0],
        touched=[(1, frozenset({0, 2})), (2, frozenset({3}))],
    )

    assert rolling_slices(old, delta_bytes=MIB, slice_bytes=16 * MIB) == {2}
    assert rolling_slices(old, delta_bytes=16 * MIB, slice_bytes=16 * MIB) == {2, 3}


@pytest.mark.parametrize("changed", [MIB, 10 * MIB, 100 * MIB])
def test_tidying_adds_no_more_than_twice_the_change_or_one_slice(changed: int) -> None:
    long = chain(deltas=500, touched=frozenset(range(100)), slices=100)

    chosen = rolling_slices(long, delta_bytes=changed, slice_bytes=16 * MIB)

    assert chosen
    assert len(chosen) * 16 * MIB <= max(2 * changed, 16 * MIB)


SMALL = EngineSizes(slice_bytes=256 * 2**10, pack_bytes=256 * 2**10, delta_bytes=64 * 2**10, inline_bytes=4096)


@pytest.mark.parametrize("tracker", ["compare", "auto"])
def test_over_five_hundred_saves_the_chain_stays_short_and_no_save_is_big(
    tmp_path: Path, tracker: TrackerChoice
) -> None:
    """8 MiB in 32 slices, 1 % of its 1 KiB rows rewritten between two saves."""
    owners = Owners(tmp_path, sizes=SMALL, tracker=tracker)
    rng = np.random.default_rng(1)
    rows = owners.state.array("rows", (8192, 256), "float32")
    rows[:] = rng.standard_normal(rows.shape)
    owners.save()
    longest = most_restored = total = 0
    changed = 81 * 1024
    for step in range(500):
        rows[rng.choice(8192, 81, replace=False)] = rng.standard_normal((81, 256))
        saved = owners.save()
        assert saved is not None
        assert saved.size_bytes <= 3 * changed + SMALL.slice_bytes + 64 * 2**10, f"save {step}"
        total += saved.size_bytes
        entry = owners.entry("array/rows")
        longest = max(longest, len(entry.deltas))
        most_restored = max(most_restored, sum(each.size_bytes for each in entry.segments))

    assert 32 < longest <= 64 + 32, "one slice a save: after as many saves as there are slices the oldest delta is free"
    assert most_restored <= 8 * MIB * 2.2
    assert total <= 500 * (3 * changed + SMALL.slice_bytes)
    assert np.array_equal(owners.look().array("rows", (8192, 256), "float32"), rows)
    stored = sum(len(data) for data in owners.objects.objects.values())
    assert stored <= 8 * MIB * 3, "two generations share most of what is stored"


def test_scattered_rows_cost_hardly_more_than_their_bytes(tmp_path: Path) -> None:
    owners = Owners(tmp_path, sizes=None)
    rng = np.random.default_rng(1)
    rows = owners.state.array("rows", (65_536, 256), "float32")  # 64 MiB
    rows[:] = rng.standard_normal(rows.shape)
    first = owners.save()
    rows[rng.choice(65_536, 655, replace=False)] = rng.standard_normal((655, 256))
    saved = owners.save()

    assert first is not None
    assert saved is not None
    assert saved.size_bytes <= 1.10 * 655 * 1024
    assert saved.requests <= 4


def test_shadow_and_buffers_stay_within_a_tenth_above_the_state(tmp_path: Path) -> None:
    """Up to 9 % of the rows change between two saves, or all of them."""
    size = 96 * MIB
    owners = Owners(tmp_path, sizes=None, spawner=ThreadSpawner())
    rng = np.random.default_rng(1)
    rows = owners.state.array("rows", size, "uint8")
    extra_max = 0
    for share in (0.001, 0.02, 0.05, 1.0, 0.09, 0.03, 1.0, 0.01):
        if share == 1.0:
            rows[:] = rng.integers(0, 255, size, np.uint8)
        else:
            rows.reshape(-1, 1024)[rng.choice(size // 1024, int(share * size / 1024), replace=False)] += 1
        assert owners.save() is not None
        image = owners.state.images["array/rows"]
        extra_max = max(extra_max, len(image.shadow) + owners.workshop.pool.held_bytes)

    assert extra_max <= 1.1 * size
    assert np.array_equal(owners.look().array("rows", size, "uint8"), rows)

"""Block deltas: exact, and strict about every number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.checkpoints.block_delta import blocks_of, blocks_within, decode_blocks, delta_bytes, write_header
from spotproof.checkpoints.memory.pages import BLOCK, Bytes8, Numbers
from spotproof.errors import CheckpointCorruptError


def encode_blocks(numbers: Numbers, data: Bytes8) -> bytes:
    raw = np.empty(delta_bytes(len(numbers)), np.uint8)
    blocks_of(raw, len(numbers))[:] = data
    write_header(raw, numbers)
    return raw.tobytes()


def encoded(*numbers: int) -> bytes:
    data = np.frombuffer(np.random.default_rng(len(numbers)).bytes(len(numbers) * BLOCK), np.uint8)
    return encode_blocks(np.array(numbers, np.int64), data)


def with_steps(*steps: int, count: int | None = None, blocks: int | None = None) -> bytes:
    count = len(steps) if count is None else count
    blocks = len(steps) if blocks is None else blocks
    return count.to_bytes(4, "little") + b"".join(step.to_bytes(4, "little") for step in steps) + bytes(blocks * BLOCK)


@given(st.sets(st.integers(0, 2**32 - 1), max_size=30))
def test_any_blocks_come_back(chosen: set[int]) -> None:
    numbers = np.array(sorted(chosen), np.int64)
    data = np.arange(len(numbers) * BLOCK, dtype=np.uint32).astype(np.uint8)

    raw = encode_blocks(numbers, data)
    found, xor = decode_blocks(raw, blocks_max=2**32)

    assert len(raw) == delta_bytes(len(numbers))
    assert found.dtype == np.int64
    assert found.tolist() == numbers.tolist()
    assert xor.tobytes() == data.tobytes()


def test_as_many_blocks_as_fit_are_within_a_size() -> None:
    assert blocks_within(delta_bytes(7)) == 7
    assert blocks_within(delta_bytes(7) - 1) == 6
    assert blocks_within(1) == 1


def test_a_number_beyond_the_image_is_corrupt_and_the_last_one_is_not() -> None:
    raw = encoded(0, 99)

    assert decode_blocks(raw, blocks_max=100)[0].tolist() == [0, 99]
    with pytest.raises(CheckpointCorruptError, match="beyond the 99"):
        decode_blocks(raw, blocks_max=99)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\x00", b"\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00x",
        encoded(1, 2)[:-1], encoded(1, 2) + b"\x00", encoded(1, 2)[:8],
        with_steps(5, 0), with_steps(0, 0), with_steps(1, 2, 0, 3),
        with_steps(1, 2, count=1), with_steps(1, 2, count=3), with_steps(1, count=2**32 - 1), with_steps(1, 2, blocks=1),
        with_steps(1, 2**32 - 1), with_steps(*[2**32 - 1] * 40),
    ],
)  # fmt: skip
def test_other_bytes_are_corrupt(raw: bytes) -> None:
    with pytest.raises(CheckpointCorruptError, match="block delta"):
        decode_blocks(raw, blocks_max=1000)


@pytest.mark.parametrize("numbers", [[], [0], [0, 1, 2], [999]])
def test_the_smallest_and_the_densest_deltas(numbers: list[int]) -> None:
    found, data = decode_blocks(encoded(*numbers), blocks_max=1000)

    assert found.tolist() == numbers
    assert data.size == len(numbers) * BLOCK

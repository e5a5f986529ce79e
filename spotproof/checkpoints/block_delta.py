"""What changed in an image, as bytes: the numbers of its changed blocks, then what to XOR onto each.

uint32 count, `count` uint32 numbers (the first as it is, then the difference to the one before), `count` times 256 bytes;
all little-endian. The numbers rise strictly, so every difference is at least 1.
"""

from typing import Final

import numpy as np

from spotproof.checkpoints.memory.pages import BLOCK, Bytes8, Numbers
from spotproof.checkpoints.store import Buffer
from spotproof.errors import CheckpointCorruptError

COUNT_BYTES: Final = 4
NUMBER_BYTES: Final = 4
BLOCKS_MAX: Final = 2**32  # numbers are 32 bits wide: 1 TiB of image
_LITTLE: Final = np.dtype("<u4")


def write_header(raw: Bytes8, numbers: Numbers) -> None:
    """Put count and numbers in front of the blocks, which lie behind them already: nothing is copied to make a delta.

    Args:
        raw: (delta_bytes(n),) uint8.
        numbers: (n,) int64, strictly rising, from 0 to below 2**32.
    """
    assert len(raw) == delta_bytes(len(numbers)), "room for the header and one block for each number"
    assert not len(numbers) or numbers[-1] < BLOCKS_MAX, "numbers are 32 bits wide"
    header = np.empty(1 + len(numbers), dtype=_LITTLE)
    header[0] = len(numbers)
    header[1:] = np.diff(numbers, prepend=0)
    raw[: header.nbytes] = header.view(np.uint8)


def blocks_of(raw: Bytes8, count: int) -> Bytes8:
    """(count * 256,) uint8: where the blocks of a delta of `count` lie."""
    return raw[COUNT_BYTES + count * NUMBER_BYTES :]


def blocks_within(size_bytes: int) -> int:
    """How many blocks a delta of at most `size_bytes` takes; at least one."""
    return max(1, (size_bytes - COUNT_BYTES) // (NUMBER_BYTES + BLOCK))


def delta_bytes(count: int) -> int:
    """How long the encoding of `count` blocks is."""
    return COUNT_BYTES + count * (NUMBER_BYTES + BLOCK)


def decode_blocks(raw: Buffer, *, blocks_max: int) -> tuple[Numbers, Bytes8]:
    """The numbers, (n,) int64 strictly rising, and the XOR data, (n * 256,) uint8: a view of `raw`.

    Args:
        raw: header and blocks.
        blocks_max: how many blocks the image has.

    Raises:
        CheckpointCorruptError: cut short or too long, or a number that is out of order or beyond the image.
    """
    flat = np.frombuffer(raw, dtype=np.uint8)
    count = int.from_bytes(flat[:COUNT_BYTES].tobytes(), "little")
    if flat.size != delta_bytes(count):
        raise CheckpointCorruptError(f"a block delta of {flat.size} bytes can't hold {count} blocks")
    start = COUNT_BYTES + count * NUMBER_BYTES
    steps = flat[COUNT_BYTES:start].view(_LITTLE)
    numbers = np.cumsum(steps, dtype=np.int64)
    if np.any(steps[1:] == 0) or (count and int(numbers[-1]) >= blocks_max):
        raise CheckpointCorruptError(f"a block delta names blocks twice or beyond the {blocks_max} of its image")
    return numbers, flat[start:]

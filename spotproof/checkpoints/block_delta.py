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


def encode_blocks(numbers: Numbers, data: Bytes8) -> list[Buffer]:
    """The delta as two pieces, so that the blocks themselves are not copied.

    Args:
        numbers: (n,) int64, strictly rising, from 0 to below 2**32.
        data: (n * 256,) uint8, C-contiguous: the XOR of each block's old and new bytes.
    """
    assert data.size == len(numbers) * BLOCK, "one block of data for each number"
    assert not len(numbers) or numbers[-1] < BLOCKS_MAX, "numbers are 32 bits wide"
    header = np.empty(1 + len(numbers), dtype=_LITTLE)
    header[0] = len(numbers)
    header[1:] = np.diff(numbers, prepend=0)
    return [header.view(np.uint8).data, data.data]


def delta_bytes(count: int) -> int:
    """How long the encoding of `count` blocks is."""
    return COUNT_BYTES + count * (NUMBER_BYTES + BLOCK)


def decode_blocks(raw: Buffer, *, blocks_max: int) -> tuple[Numbers, Bytes8]:
    """The numbers, (n,) int64 strictly rising, and the XOR data, (n * 256,) uint8: a view of `raw`.

    Args:
        raw: what `encode_blocks` returned, joined.
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

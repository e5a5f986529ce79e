"""Numpy memory owned by the library."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from spotproof.checkpoints.entries import ImageKind
from spotproof.checkpoints.memory.arena import allocate
from spotproof.checkpoints.memory.pages import Bytes8, Piece, padded
from spotproof.errors import CheckpointCorruptError, UnsavableValueError

KIND: Final[ImageKind] = "array"
BYTES_MAX: Final = 2**40
KINDS_OF_NUMBERS: Final = "biufcSU"  # numpy dtype kinds whose bytes mean the same everywhere
SIZES_MAX: Final = {"f": 8, "c": 16}  # bytes; a longer float is another format on every architecture
DIMENSIONS_MAX: Final = 32


class LiveArray:
    """One array. It never moves; whoever holds a view of it writes into the tracked memory."""

    kind: ImageKind = KIND

    def __init__(self, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._size_bytes = math.prod(shape) * dtype.itemsize
        self._memory = allocate(padded(self._size_bytes))
        self.array: npt.NDArray[Any] = self._memory[: self._size_bytes].view(dtype).reshape(shape)

    def describe(self) -> dict[str, Any]:
        return {"dtype": self.dtype.str, "shape": list(self.array.shape)}

    def pieces(self) -> Sequence[Piece]:
        return [Piece(offset=0, data=self._memory[: self._size_bytes])] if self._size_bytes else []

    def release(self) -> None:
        """Nothing to do: the memory stays."""

    def allocate_shadow(self, size_bytes: int) -> Bytes8:
        return allocate(size_bytes)

    def memory(self) -> Bytes8 | None:
        return self._memory if self._size_bytes else None

    def load(self, shadow: Bytes8, start: int, stop: int) -> None:
        self._memory[start:stop] = shadow[start:stop]

    def check_loaded(self) -> None:
        """Any bytes are numbers."""


def new_array(name: str, shape: object, dtype: object) -> LiveArray:
    """A zeroed array.

    Raises:
        UnsavableValueError: not a shape, or a dtype whose bytes mean nothing elsewhere (objects, records, times).
    """
    return LiveArray(shape=check_shape(name, shape), dtype=check_dtype(name, dtype))


def restored_array(descr: dict[str, Any], length: int) -> LiveArray:
    """The array that a manifest describes, zeroed.

    Raises:
        CheckpointCorruptError: the description is none, or does not fit the length.
    """
    try:
        shape, dtype = check_shape("", descr["shape"]), check_dtype("", descr["dtype"])
    except (KeyError, UnsavableValueError) as error:
        raise CheckpointCorruptError(f"no description of an array: {error}") from error
    size_bytes = math.prod(shape) * dtype.itemsize
    if size_bytes != length:
        raise CheckpointCorruptError(f"an array of {size_bytes} bytes is said to have {length}")
    return LiveArray(shape=shape, dtype=dtype)


def check_shape(name: str, shape: object) -> tuple[int, ...]:
    """The shape as a tuple; UnsavableValueError if it is none."""
    axes = (shape,) if isinstance(shape, int) else shape
    if not isinstance(axes, tuple | list) or len(axes) > DIMENSIONS_MAX:
        raise UnsavableValueError(f"state.array({name!r}): a shape is whole numbers, got {shape!r}")
    if not all(isinstance(axis, int) and not isinstance(axis, bool) and 0 <= axis < 2**48 for axis in axes):
        raise UnsavableValueError(f"state.array({name!r}): a shape is whole numbers of 0 or more, got {shape!r}")
    return tuple(axes)


def check_dtype(name: str, dtype: object) -> np.dtype[Any]:
    """The dtype with its byte order; UnsavableValueError if its bytes mean nothing elsewhere."""
    try:
        known: np.dtype[Any] = np.dtype(dtype)  # type: ignore[call-overload]
    except (TypeError, ValueError, SyntaxError):  # which one depends on how wrong it is
        raise UnsavableValueError(f"state.array({name!r}): {dtype!r:.200} is no numpy dtype") from None
    meaning = known.kind in KINDS_OF_NUMBERS and known.itemsize <= SIZES_MAX.get(known.kind, known.itemsize)
    if not meaning or known.itemsize == 0 or known.names is not None:
        raise UnsavableValueError(
            f"state.array({name!r}): dtype {known} can't be saved; use numbers, booleans or fixed-width text"
        )
    return known

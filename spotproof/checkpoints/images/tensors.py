"""A named set of tensors as one image in the safetensors layout: header length, JSON header, then the elements."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from spotproof.checkpoints.entries import ImageKind
from spotproof.checkpoints.images.tensor_bytes import SIZES, as_numpy, dtype_name, read_bytes, size_bytes, write_bytes
from spotproof.checkpoints.memory.arena import allocate
from spotproof.checkpoints.memory.pages import PAGE, Bytes8, Piece
from spotproof.errors import CheckpointCorruptError, UnsavableValueError

KIND: Final[ImageKind] = "tensors"
HEADER_BYTES_MAX: Final = 100 * 10**6  # of the safetensors format
_LENGTH_BYTES: Final = 8
Give = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedTensor:
    """One tensor of a restored image."""

    dtype: str  # safetensors' name
    shape: tuple[int, ...]
    data: Bytes8

    def to_numpy(self) -> Any:
        return as_numpy(self.data, self.dtype, self.shape)


class LiveTensors:
    """The tensors that `give` returns at each save. Until it is bound, a restored image stands for itself."""

    kind: ImageKind = KIND

    def __init__(self, name: str, give: Give | None) -> None:
        self._name = name
        self._give = give
        self._restored: Bytes8 | None = None

    def bind(self, give: Give) -> None:
        self._give = give
        self._restored = None

    def describe(self) -> dict[str, Any]:
        return {"format": "safetensors"}

    def pieces(self) -> Sequence[Piece]:
        if self._give is None:
            assert self._restored is not None, "tensors are given or restored"
            return [Piece(offset=0, data=self._restored)]
        return _lay_out(self._name, self._give())

    def release(self) -> None:
        """Nothing to do: views keep what they show."""

    def allocate_shadow(self, size: int) -> Bytes8:
        return allocate(size)

    def memory(self) -> Bytes8 | None:
        return None

    def restored(self, size: int) -> None:
        """Room for the restored bytes, which nobody else holds."""
        self._restored = allocate(size)[:size]

    def load(self, shadow: Bytes8, start: int, stop: int) -> None:
        if self._restored is not None:
            self._restored[start:stop] = shadow[start:stop]

    def check_loaded(self) -> None:
        """Tell now what `saved` would tell the user's code: while an older generation can stand in."""
        self.saved()

    def saved(self) -> dict[str, SavedTensor]:
        """What was restored and not bound yet.

        Raises:
            CheckpointCorruptError: the bytes are no safetensors image.
        """
        return {} if self._restored is None else parse_image(self._restored)


def load_into(name: str, tensors: Mapping[str, Any], saved: Mapping[str, SavedTensor]) -> dict[str, SavedTensor]:
    """Write saved values into the tensors of the same names; what had no counterpart is returned.

    Raises:
        UnsavableValueError: a tensor has another dtype or shape than its saved value.
    """
    for key in tensors.keys() & saved.keys():
        at = f"state.tensors({name!r})[{key!r}]"
        given, kept = (dtype_name(tensors[key], at=at), tuple(tensors[key].shape)), (saved[key].dtype, saved[key].shape)
        if given != kept:
            raise UnsavableValueError(
                f"{at}: saved as {kept[0]} of shape {kept[1]}, now {given[0]} of shape {given[1]}"
            )
        write_bytes(tensors[key], saved[key].data)
    return {key: each for key, each in saved.items() if key not in tensors}


def parse_image(image: Bytes8) -> dict[str, SavedTensor]:
    """The tensors of a safetensors image, as views of it.

    Raises:
        CheckpointCorruptError: it is none.
    """
    try:
        length = int.from_bytes(image[:_LENGTH_BYTES].tobytes(), "little")
        if not 2 <= length <= min(HEADER_BYTES_MAX, len(image) - _LENGTH_BYTES):
            raise ValueError(f"a header of {length} bytes")
        body = image[_LENGTH_BYTES + length :]
        header = json.loads(image[_LENGTH_BYTES : _LENGTH_BYTES + length].tobytes())
        return {key: _tensor(entry, body) for key, entry in header.items() if key != "__metadata__"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CheckpointCorruptError(f"no safetensors image: {error}") from error


def _tensor(entry: dict[str, Any], body: Bytes8) -> SavedTensor:
    shape = tuple(entry["shape"])
    start, stop = entry["data_offsets"]
    if not all(type(axis) is int and axis >= 0 for axis in shape) or entry["dtype"] not in SIZES:
        raise ValueError(f"a tensor of dtype {entry['dtype']!r} and shape {shape!r}")
    if not 0 <= start <= stop <= len(body) or stop - start != size_bytes(entry["dtype"], shape):
        raise ValueError(f"a tensor of shape {shape} at bytes {start} to {stop}")
    return SavedTensor(dtype=entry["dtype"], shape=shape, data=body[start:stop])


def _lay_out(name: str, tensors: Mapping[str, Any]) -> list[Piece]:
    header: dict[str, Any] = {}
    data: list[Bytes8] = []
    offset = 0
    for key in sorted(tensors):
        tensor, at = tensors[key], f"state.tensors({name!r})[{key!r}]"
        if not isinstance(key, str):
            raise UnsavableValueError(f"{at}: names of tensors are text")
        dtype = dtype_name(tensor, at=at)
        each = read_bytes(tensor)
        header[key] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [offset, offset + len(each)]}
        offset += len(each)
        data.append(each)
    return _pieces([_header_bytes(header), *data])


def _header_bytes(header: dict[str, Any]) -> Bytes8:
    """Length and JSON, padded with spaces to a whole page, so that pages of elements do not move when names change."""
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(_LENGTH_BYTES + len(text)) % PAGE)
    return np.frombuffer(len(text).to_bytes(_LENGTH_BYTES, "little") + text, np.uint8)


def _pieces(parts: Sequence[Bytes8]) -> list[Piece]:
    pieces, offset = [], 0
    for part in parts:
        if len(part):
            pieces.append(Piece(offset=offset, data=part))
            offset += len(part)
    return pieces

"""The bytes of one tensor, numpy's or torch's: read as a view where that is possible, written in place."""

import math
from typing import Any, Final

import numpy as np

from spotproof.checkpoints.memory.pages import Bytes8
from spotproof.errors import UnsavableValueError

# Names of the safetensors format (its README, "Format"), and of numpy or torch.
_NAMES: Final = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "uint16": "U16", "int32": "I32", "uint32": "U32",
    "int64": "I64", "uint64": "U64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
    "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "complex64": "C64",
}  # fmt: skip
SIZES: Final = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
NUMPY: Final = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "I16": "<i2", "U16": "<u2", "F16": "<f2", "I32": "<i4", "U32": "<u4",
    "F32": "<f4", "I64": "<i8", "U64": "<u8", "F64": "<f8", "C64": "<c8",
}  # fmt: skip


def is_torch(tensor: Any) -> bool:
    return hasattr(tensor, "detach") and hasattr(tensor, "untyped_storage")


def dtype_name(tensor: Any, *, at: str) -> str:
    """The safetensors name of the dtype.

    Raises:
        UnsavableValueError: neither a numpy array nor a torch tensor, one without plain bytes (sparse, or on the meta
            device), or a dtype that the format does not know.
    """
    if not is_torch(tensor) and not isinstance(tensor, np.ndarray):
        raise UnsavableValueError(f"{at}: expected a numpy array or a torch tensor, got {type(tensor).__name__}")
    if is_torch(tensor):
        _check_plain(tensor, at=at)
    text = str(tensor.dtype).removeprefix("torch.")
    if text not in _NAMES or (isinstance(tensor, np.ndarray) and tensor.dtype.newbyteorder("<") != tensor.dtype):
        raise UnsavableValueError(f"{at}: dtype {text} can't be saved; use one of {', '.join(_NAMES)}")
    return _NAMES[text]


def read_bytes(tensor: Any) -> Bytes8:
    """The tensor's elements in row order as (n,) bytes; a view unless it is strided or on a device."""
    if isinstance(tensor, np.ndarray):
        flat: Bytes8 = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
        return flat
    import torch

    plain = tensor.detach()
    if plain.numel() == 0:
        return np.empty(0, np.uint8)
    # Conjugation and sign may be pending, as bits beside the elements.
    packed: Bytes8 = plain.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8).numpy()
    return packed


def write_bytes(tensor: Any, data: Bytes8) -> None:
    """Replace the tensor's elements by these; dtype and size are as `read_bytes` gave them."""
    if isinstance(tensor, np.ndarray):
        tensor[...] = data.view(tensor.dtype).reshape(tensor.shape)
        return
    import torch

    if tensor.numel():
        values = torch.from_numpy(data.copy()).view(tensor.dtype).reshape(tensor.shape)
        with torch.no_grad():
            tensor.detach().copy_(values)


def as_numpy(data: Bytes8, dtype: str, shape: tuple[int, ...]) -> Any:
    """A copy as a numpy array; dtypes that numpy does not have come as their raw bytes, last axis = element size."""
    if dtype in NUMPY:
        return data.copy().view(NUMPY[dtype]).reshape(shape)
    return data.copy().reshape(*shape, SIZES[dtype])


def size_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    return SIZES[dtype] * math.prod(shape)


def _check_plain(tensor: Any, *, at: str) -> None:
    layout = str(tensor.layout).removeprefix("torch.")
    if layout != "strided":
        raise UnsavableValueError(f"{at}: a {layout} tensor can't be saved; save its indices and values, or to_dense()")
    if tensor.is_meta:
        raise UnsavableValueError(f"{at}: a tensor on the meta device has no values; give the model real memory first")

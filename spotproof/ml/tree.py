"""Nested plain values with tensors in them, as text and tensors apart; never code, so no pickle."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch

from spotproof.checkpoints.serializers import DEFAULT
from spotproof.errors import CheckpointCorruptError

TORCH: Final = "torch"
NUMPY: Final = "numpy"
TUPLE: Final = "tuple"
COUNTER: Final = "counter"


@dataclass(frozen=True, slots=True)
class Flat:
    """A tree taken apart. The tensors are the live ones."""

    text: bytes
    tensors: dict[str, Any] = field(default_factory=dict)


def flatten(tree: Any, *, at: str) -> Flat:
    """Take a tree apart: dicts, lists, tuples, plain values, torch tensors and numpy arrays.

    Subclasses of dict and list come back as plain ones, except for Counter; numpy's scalars as Python's.

    Args:
        at: what messages call the root.

    Raises:
        UnsavableValueError: something else is in it; the text names its place.
    """
    tensors: dict[str, Any] = {}
    plain = _take_apart(tree, at, tensors)
    return Flat(DEFAULT.encode(plain, at=at), tensors)


def unflatten(text: bytes, tensors: Mapping[str, Any]) -> Any:
    """Put together what `flatten` took apart.

    Args:
        tensors: by the same names, as numpy arrays; dtypes that numpy does not have as their raw bytes.

    Raises:
        CheckpointCorruptError: not what `flatten` made.
    """
    try:
        return _put_together(DEFAULT.decode(text), tensors)
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise CheckpointCorruptError(f"the numbers of a training do not fit its tensors: {error!r}") from error


def _take_apart(value: Any, at: str, tensors: dict[str, Any]) -> Any:
    if isinstance(value, torch.Tensor):
        tensors[at] = value
        return (TORCH, at, str(value.dtype).removeprefix("torch."), list(value.shape))
    if isinstance(value, np.ndarray):
        tensors[at] = value
        return (NUMPY, at)
    if isinstance(value, dict):
        plain = {key: _take_apart(item, f"{at}/{key}", tensors) for key, item in value.items()}
        return (COUNTER, plain) if isinstance(value, Counter) else plain
    if isinstance(value, list | tuple):
        items = [_take_apart(item, f"{at}/{number}", tensors) for number, item in enumerate(value)]
        return (TUPLE, items) if isinstance(value, tuple) else items
    if isinstance(value, np.generic):
        return value.item()
    DEFAULT.check(value, at=at)
    return value


def _put_together(value: Any, tensors: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _put_together(item, tensors) for key, item in value.items()}
    if isinstance(value, list):
        return [_put_together(item, tensors) for item in value]
    if isinstance(value, tuple):
        return _BUILDERS[value[0]](value[1:], tensors)
    return value


def as_torch(array: Any, dtype: torch.dtype, shape: Sequence[int]) -> torch.Tensor:
    """The array's bytes as a tensor, without a copy. What numpy has no dtype for comes as raw bytes."""
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return torch.from_numpy(raw).view(dtype).reshape(tuple(shape))


def _torch_tensor(content: tuple[Any, ...], tensors: Mapping[str, Any]) -> torch.Tensor:
    name, dtype, shape = content
    return as_torch(tensors[name], getattr(torch, dtype), shape)


_BUILDERS: Final[dict[str, Callable[[tuple[Any, ...], Mapping[str, Any]], Any]]] = {
    TORCH: _torch_tensor,
    NUMPY: lambda content, tensors: tensors[content[0]],
    TUPLE: lambda content, tensors: tuple(_put_together(item, tensors) for item in content[0]),
    COUNTER: lambda content, tensors: Counter(_put_together(content[0], tensors)),
}

"""Loads an optimizer's saved state without changing a bit of it."""

import itertools
from typing import Any

from torch.optim import Optimizer

from spotproof.errors import UnsavableValueError


def load_exactly(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """`optimizer.load_state_dict`, and where that casts a tensor to its parameter's dtype, the saved tensor itself.

    torch casts floating point state to the parameter's dtype (`Optimizer._process_value_according_to_param_policy`), so
    float32 moments of bfloat16 parameters would lose bits.

    Raises:
        UnsavableValueError: the optimizer has other groups or other numbers of parameters than the saved one.
    """
    try:
        optimizer.load_state_dict(saved)
    except (ValueError, KeyError) as error:
        raise UnsavableValueError(f"the optimizer is not the one that was saved: {error}") from error
    parameters = list(itertools.chain.from_iterable(group["params"] for group in optimizer.param_groups))
    for number, kept in saved["state"].items():
        live = optimizer.state[parameters[number]]
        for key, value in kept.items():
            if getattr(live[key], "dtype", None) != getattr(value, "dtype", None):
                live[key] = value.to(live[key].device)

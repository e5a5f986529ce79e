"""Random number generators as plain values: the global ones of Python, numpy and torch, and a job's own."""

import random
from typing import Any

import numpy as np
import torch

from spotproof.errors import UnsavableValueError


def global_states() -> dict[str, Any]:
    """Where the generators stand that everybody draws from, the ones on every CUDA device included."""
    return {
        "python": _python_state(random.getstate()),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_global_states(states: dict[str, Any]) -> None:
    """Put the generators where they stood. States of CUDA devices that this host does not have are left out."""
    random.setstate(_python_tuple(states["python"]))
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for device, state in enumerate(states["cuda"][:devices]):
        torch.cuda.set_rng_state(state, device)


def generator_state(generator: Any, *, at: str) -> Any:
    """Where a generator stands.

    Raises:
        UnsavableValueError: it is none of `torch.Generator`, `numpy.random.Generator` and `random.Random`.
    """
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, random.Random):
        return _python_state(generator.getstate())
    raise UnsavableValueError(
        f"{at} is a {type(generator).__name__}: give a torch.Generator, a numpy.random.Generator or a random.Random"
    )


def set_generator_state(generator: Any, state: Any) -> None:
    """Put a generator of a kind that `generator_state` knows where it stood."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.setstate(_python_tuple(state))


def _python_state(state: tuple[Any, ...]) -> dict[str, Any]:
    version, words, gauss = state
    return {"version": version, "words": np.array(words, np.uint32), "gauss": gauss}


def _python_tuple(state: dict[str, Any]) -> tuple[Any, ...]:
    return state["version"], tuple(state["words"].tolist()), state["gauss"]

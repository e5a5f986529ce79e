"""A model's parameters, buffers and gradients by name: the live tensors, each once."""

from typing import Any

import torch
from torch import nn

from spotproof.ml.tree import as_torch


def tensors_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers, the ones that `state_dict` leaves out too. What is shared (tied) is there once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def gradients_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Gradients that were not set to None."""
    return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


def set_gradients(model: nn.Module, saved: dict[str, Any]) -> None:
    """Give the parameters these gradients (as numpy arrays or raw bytes); those without one get None."""
    for name, parameter in model.named_parameters():
        gradient = saved.get(name)
        parameter.grad = None
        if gradient is not None:
            parameter.grad = as_torch(gradient, parameter.dtype, parameter.shape).to(parameter.device)


def extra_states(model: nn.Module) -> dict[str, Any]:
    """What modules want saved besides tensors (`get_extra_state`), by the module's name."""
    own = nn.Module.get_extra_state
    return {
        name: module.get_extra_state()
        for name, module in model.named_modules()
        if type(module).get_extra_state is not own
    }


def set_extra_states(model: nn.Module, saved: dict[str, Any]) -> None:
    """Hand the modules what they wanted saved."""
    modules = dict(model.named_modules())
    for name, state in saved.items():
        modules[name].set_extra_state(state)

"""Everything of a training that a next worker needs, as tensors of a shard's state."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn
from torch.optim import Optimizer

from spotproof.checkpoints.state import State
from spotproof.errors import UnsavableValueError
from spotproof.ml.model_tensors import extra_states, gradients_of, set_extra_states, set_gradients, tensors_of
from spotproof.ml.optimizer_state import load_exactly
from spotproof.ml.random_states import generator_state, global_states, set_generator_state, set_global_states
from spotproof.ml.tree import Flat, flatten, unflatten


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a training consists of."""

    model: nn.Module
    optimizer: Optimizer | None = None
    stateful: Mapping[str, Any] = field(default_factory=dict)  # whatever has state_dict and load_state_dict
    generators: Mapping[str, Any] = field(default_factory=dict)


class SavedTraining:
    """Four sets of tensors below one name: model, gradients, optimizer (and all other tensors), numbers.

    They are apart because offsets within a set move when one of its tensors comes, goes or changes its size, and what
    moved travels again.
    """

    def __init__(self, state: State, name: str) -> None:
        """Look at what is saved.

        Raises:
            CheckpointCorruptError: the saved numbers are not readable.
        """
        self._state = state
        self._name = name
        self._parts: Parts | None = None
        self._numbers: Callable[[], Any] = dict
        self._saved: dict[str, Any] | None = None
        text = state.tensors(f"{name}/numbers").get("text")
        if text is not None:
            self._saved = unflatten(text.tobytes(), state.tensors(f"{name}/optimizer"))

    @property
    def numbers(self) -> Any:
        """The saved numbers of the loop itself; None if nothing was saved."""
        return None if self._saved is None else self._saved["numbers"]

    def load_model(self, model: nn.Module) -> None:
        """Save the model's tensors from now on; saved values are written into them.

        Raises:
            UnsavableValueError: the model is another than the saved one; the text names what differs.
        """
        at = f"{self._name}/model"
        unknown = self._state.tensors(at, lambda: tensors_of(model))
        if unknown:
            raise UnsavableValueError(f"{at}: {min(unknown)!r} was saved, which this model does not have")
        count = len(tensors_of(model))
        if self._saved is not None and self._saved["tensors"] != count:
            raise UnsavableValueError(f"{at}: {self._saved['tensors']} tensors were saved, this model has {count}")

    def load(self, parts: Parts, numbers: Callable[[], Any]) -> None:
        """Load what was saved into the parts, and save them from now on.

        Args:
            numbers: the loop's own, called at each save: plain values and tensors.

        Raises:
            UnsavableValueError: a part is another than the saved one; the text names what differs.
        """
        self.load_model(parts.model)
        gradients = self._state.tensors(f"{self._name}/gradients", self._give_gradients)
        self._state.tensors(f"{self._name}/optimizer", self._give_tensors)
        self._state.tensors(f"{self._name}/numbers", self._give_text)
        if self._saved is not None:
            _load(parts, self._saved, at=self._name)
            set_gradients(parts.model, gradients)
            self._saved = {
                key: self._saved[key] for key in ("tensors", "numbers", "random")
            }  # the rest is in the parts
        self._parts, self._numbers = parts, numbers

    def load_random_states(self) -> None:
        """Put the global generators where they stood at the save; nothing if nothing was saved."""
        if self._saved is not None:
            set_global_states(self._saved["random"])

    def _give_gradients(self) -> dict[str, Any]:
        return {} if self._parts is None else gradients_of(self._parts.model)

    def _give_tensors(self) -> dict[str, Any]:
        return {} if self._parts is None else self._flat(self._parts).tensors

    def _give_text(self) -> dict[str, Any]:
        return {} if self._parts is None else {"text": np.frombuffer(self._flat(self._parts).text, np.uint8)}

    def _flat(self, parts: Parts) -> Flat:
        tree = {
            "tensors": len(tensors_of(parts.model)),
            "extra": extra_states(parts.model),
            "optimizer": None if parts.optimizer is None else parts.optimizer.state_dict(),
            "stateful": {key: each.state_dict() for key, each in parts.stateful.items()},
            "generators": {key: generator_state(each, at=key) for key, each in parts.generators.items()},
            "random": global_states(),
            "numbers": self._numbers(),
        }
        return flatten(tree, at=self._name)


def _load(parts: Parts, saved: dict[str, Any], *, at: str) -> None:
    if (parts.optimizer is None) != (saved["optimizer"] is None):
        raise UnsavableValueError(f"{at}: saved with an optimizer or without, and now the other way round")
    for kind in ("stateful", "generators"):
        known, given = set(saved[kind]), set(getattr(parts, kind))
        if known != given:
            raise UnsavableValueError(f"{at}: saved with {sorted(known)}, given are {sorted(given)}")
    if parts.optimizer is not None:
        load_exactly(parts.optimizer, saved["optimizer"])
    for key, each in parts.stateful.items():
        each.load_state_dict(saved["stateful"][key])
    for key, each in parts.generators.items():
        set_generator_state(each, saved["generators"][key])
    set_extra_states(parts.model, saved["extra"])

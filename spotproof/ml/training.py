"""A plain PyTorch loop that goes on where it stopped, to the bit."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final

from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from spotproof.checkpoints.state import State
from spotproof.errors import UnsavableValueError
from spotproof.ml.data_order import DataOrder
from spotproof.ml.saved_training import Parts, SavedTraining

_OURS: Final = frozenset({"batch_sampler", "sampler", "generator"})  # options of the loader


class Training:
    """Restores the parts of a training when it is made, and has them saved from then on.

    Every safe point between two batches is exact: gradients that were not set to None are saved too. Make it when all
    its parts are made, and before the first random number of the loop is drawn.
    """

    def __init__(
        self,
        state: State,
        *,
        model: nn.Module,
        optimizer: Optimizer | None = None,
        scheduler: Any = None,
        scaler: Any = None,
        generators: Mapping[str, Any] | None = None,
        others: Mapping[str, Any] | None = None,
        name: str = "training",
    ) -> None:
        """Restore what was saved under this name.

        Args:
            scheduler: of learning rates.
            scaler: `torch.amp.GradScaler`.
            generators: by name, of kinds torch.Generator, numpy.random.Generator, random.Random. The global ones are
                saved in any case.
            others: by name, whatever else has `state_dict` and `load_state_dict`: a second optimizer, averaged weights.
            name: of this training within the shard's state.

        Raises:
            UnsavableValueError: a part is another than the one that was saved.
        """
        stateful = {"scheduler": scheduler, "scaler": scaler, **(others or {})}
        self._saved = SavedTraining(state, name)
        self._epoch = self._batch = self._steps = 0
        self._order: DataOrder | None = None
        self._saved_order: dict[str, Any] | None = None
        if self._saved.numbers is not None:
            self._epoch, self._batch, self._steps, self._saved_order = self._saved.numbers
        parts = Parts(
            model=model,
            optimizer=optimizer,
            stateful={key: each for key, each in stateful.items() if each is not None},
            generators=generators or {},
        )
        self._saved.load(parts, self._numbers)
        self._saved.load_random_states()

    @property
    def resumed(self) -> bool:
        """Whether something was restored."""
        return self._saved.numbers is not None

    @property
    def epoch(self) -> int:
        """Number of the epoch that the batch in hand belongs to, from 0."""
        return self._epoch

    @property
    def steps(self) -> int:
        """Batches handed out since the very first start."""
        return self._steps

    @property
    def epoch_ends(self) -> bool:
        """Whether the batch in hand is the last of its epoch."""
        return self._order is not None and self._batch == self._order.batches

    def batches(
        self,
        dataset: Dataset[Any],
        *,
        batch_size: int,
        epochs: int,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        **loader_options: Any,
    ) -> Iterator[Any]:
        """The batches that are left until so many epochs are done. Make a safe point behind each, none within.

        Args:
            dataset: with a length, and samples by number.
            seed: of the order; each epoch has another.
            loader_options: for `torch.utils.data.DataLoader`: collate_fn, num_workers, pin_memory, …

        Raises:
            UnsavableValueError: the data or their order are others than when the training was saved.
        """
        order = DataOrder(
            samples=len(dataset),
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=drop_last,
            seed=seed,
        )
        self._enter(order, loader_options)
        while self._epoch < epochs:
            if self._batch < order.batches:
                yield from self._rest_of_epoch(order, dataset, loader_options)
            if self._epoch + 1 == epochs:
                return  # `epoch` and `epoch_ends` stay those of the last batch
            self._epoch, self._batch = self._epoch + 1, 0

    def _rest_of_epoch(self, order: DataOrder, dataset: Dataset[Any], loader_options: dict[str, Any]) -> Iterator[Any]:
        loader = DataLoader(
            dataset,
            batch_sampler=order.epoch(self._epoch, first_batch=self._batch),
            generator=order.generator(self._epoch),  # else the loader draws from the global one whenever it is made
            **loader_options,
        )
        for batch in loader:
            self._batch += 1
            self._steps += 1
            yield batch

    def _enter(self, order: DataOrder, loader_options: dict[str, Any]) -> None:
        refused = _OURS & loader_options.keys()
        if refused:
            raise UnsavableValueError(
                f"batches(...) makes its own {min(refused)}: the order must be known to be resumed"
            )
        now = dataclasses.asdict(order)
        if self._saved_order is not None:
            for key, was in self._saved_order.items():
                if now[key] != was:
                    raise UnsavableValueError(f"batches(...): saved with {key}={was}, resumed with {key}={now[key]}")
        if self._order is None:
            self._saved.load_random_states()  # whatever was drawn since this object was made
        self._order = order

    def _numbers(self) -> list[Any]:
        order = self._saved_order if self._order is None else dataclasses.asdict(self._order)
        return [self._epoch, self._batch, self._steps, order]

"""Hugging Face's Trainer under a shard: saved by policy and on a stop, resumed to the bit."""

import dataclasses
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from safetensors.torch import save_file
from transformers import Trainer, TrainerCallback, TrainerState, __version__
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import TrainOutput

from spotproof.checkpoints.state import State
from spotproof.errors import ConfigurationError
from spotproof.ml.random_states import global_states, set_global_states
from spotproof.ml.saved_training import Parts, SavedTraining

WEIGHTS: Final = "model.safetensors"  # transformers.utils.SAFE_WEIGHTS_NAME
TRAINER_STATE: Final = "trainer_state.json"  # transformers.trainer.TRAINER_STATE_NAME
# The Trainer's running sums between two log lines (transformers 5, Trainer._inner_training_loop). Its own checkpoints
# lack them, so that the first line it logs after a resume, and its final loss, are means of fewer steps.
SUMS: Final = ("_tr_loss", "_total_loss_scalar", "_globalstep_last_logged", "_initial_global_step", "current_flos")


class TrainingShard(Protocol):
    """What is needed of a shard."""

    fraction_done: float

    def safe_point(self) -> None:
        """May save; raises `WorkerStopped` when the worker must leave."""
        ...

    @property
    def scratch_dir(self) -> Path:
        """A folder of this lease's own."""
        ...


def train(trainer: Trainer, *, shard: TrainingShard, state: State, name: str = "trainer") -> TrainOutput:
    """`trainer.train()` for a shard: goes on where an earlier worker stopped, and saves at safe points between steps.

    Args:
        trainer: just made, on one process.
        name: of this training within the shard's state.

    Raises:
        ConfigurationError: the Trainer skips no data on resume, loads the best of its own checkpoints at the end, or runs
            on several processes.
        UnsavableValueError: model or optimizer are others than the ones that were saved.
        WorkerStopped: from `shard.safe_point()`. Let it pass.
    """
    if trainer.args.ignore_data_skip:
        raise ConfigurationError("ignore_data_skip=True repeats data after a resume: leave it at False")
    if trainer.args.load_best_model_at_end:
        raise ConfigurationError(
            "load_best_model_at_end=True loads a folder that an interruption loses: leave it at False"
        )
    if trainer.args.world_size != 1:
        raise ConfigurationError(f"a shard is trained by one process, this Trainer runs on {trainer.args.world_size}")
    callback = SpotproofCallback(trainer, shard=shard, state=state, name=name)
    trainer.add_callback(callback)
    try:
        return callback.train()
    finally:
        trainer.remove_callback(callback)


class SpotproofCallback(TrainerCallback):  # type: ignore[misc]  # transformers has no types here
    """Makes the begin of each step a safe point: the step before is logged, evaluated and saved by then."""

    def __init__(self, trainer: Trainer, *, shard: TrainingShard, state: State, name: str) -> None:
        self._trainer = trainer
        self._shard = shard
        self._saved = SavedTraining(state, name)
        self._finished = False
        self._epoch_random: Any = None  # where the global generators stood when the epoch's order was drawn
        self._due: set[str] = (
            set() if self._saved.numbers is None else {"order", "step"}
        )  # random states that are to be loaded

    def train(self) -> TrainOutput:
        """Run the Trainer from what is saved, or from the start."""
        numbers = self._saved.numbers
        if numbers is None:
            return self._trainer.train()
        if numbers["finished"]:
            return self._output_of(json.loads(numbers["state"]))
        with _resumable_folder(self._shard.scratch_dir, numbers["state"]) as folder:
            return self._trainer.train(resume_from_checkpoint=str(folder))

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Load everything: the Trainer has made its optimizer and its scheduler by now.

        Raises:
            ConfigurationError: a version of transformers that works otherwise inside.
        """
        missing = [name for name in SUMS if not hasattr(self._trainer, name)]
        if missing:
            raise ConfigurationError(
                f"transformers {__version__} has no Trainer.{missing[0]}: use 5.23, which is known"
            )
        scaler = getattr(self._trainer.accelerator, "scaler", None)
        stateful = {"scheduler": self._trainer.lr_scheduler, "scaler": scaler}
        parts = Parts(
            model=self._trainer.model,
            optimizer=self._trainer.optimizer,
            stateful={key: each for key, each in stateful.items() if each is not None},
        )
        self._saved.load(parts, self._numbers)
        if self._saved.numbers is not None:
            for key, value in self._saved.numbers["sums"].items():
                setattr(self._trainer, key, value.to(self._trainer.args.device) if key == "_tr_loss" else value)

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Samplers draw an epoch's order right behind this."""
        if "order" in self._due:
            self._due.remove("order")
            set_global_states(self._saved.numbers["epoch_random"])
        self._epoch_random = global_states()

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        if "step" in self._due:
            self._due.remove("step")
            self._saved.load_random_states()
        state = self._trainer.state
        self._shard.fraction_done = state.global_step / state.max_steps
        self._shard.safe_point()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        """Should the job make safe points behind the training, it is not trained again."""
        self._finished = True

    def _numbers(self) -> dict[str, Any]:
        handler = self._trainer.callback_handler
        exportable = [each for each in [*handler.callbacks, self._trainer.control] if isinstance(each, ExportableState)]
        callbacks = TrainerState(stateful_callbacks=exportable).stateful_callbacks
        state = {**dataclasses.asdict(self._trainer.state), "stateful_callbacks": callbacks}
        return {
            "state": json.dumps(state),
            "sums": {name: getattr(self._trainer, name) for name in SUMS},
            "epoch_random": self._epoch_random,
            "finished": self._finished,
        }

    def _output_of(self, state: dict[str, Any]) -> TrainOutput:
        """What the training returned that had ended."""
        self._trainer.state = TrainerState(**state)
        self._saved.load_model(self._trainer.model)
        self._saved.load_random_states()
        metrics = {key: value for key, value in state["log_history"][-1].items() if key != "step"}
        return TrainOutput(state["global_step"], metrics["train_loss"], metrics)


@contextmanager
def _resumable_folder(parent: Path, state: str) -> Iterator[Path]:
    """A checkpoint folder as the Trainer wants one, with its own state and no weights: those are loaded in place."""
    folder = Path(tempfile.mkdtemp(prefix="resume-", dir=parent))
    trainer_log = logging.getLogger("transformers.trainer")
    try:
        save_file({}, folder / WEIGHTS)
        (folder / TRAINER_STATE).write_text(state)
        trainer_log.addFilter(_says_more_than_that_weights_are_missing)
        yield folder
    finally:
        trainer_log.removeFilter(_says_more_than_that_weights_are_missing)
        shutil.rmtree(folder, ignore_errors=True)


def _says_more_than_that_weights_are_missing(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith("There were missing keys in the checkpoint model loaded")

"""The Trainer of Hugging Face: whatever ends it, wherever, its log and its weights are those of the undisturbed run."""

import logging
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from transformers import EarlyStoppingCallback, TrainerCallback
from transformers.trainer_utils import TrainOutput

from spotproof.checkpoints.state import State
from spotproof.errors import ConfigurationError, UnsavableValueError
from spotproof.interruptions.monitor import Monitor
from spotproof.ml import hf_trainer
from spotproof.ml.hf_trainer import train
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.shard_handle import ShardHandle
from tests.ml.tiny_trainers import language_model, make_trainer
from tests.ml.workers import End, Shard, Workers, scramble, weights
from tests.unit.worker.world import World, notice

CLOCKED = {"train_runtime", "train_samples_per_second", "train_steps_per_second"}
EVAL_CLOCKED = {"eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "eval_model_preparation_time"}
PLANS: list[dict[int, End]] = [
    {2: "stop"},
    {11: "stop", 12: "kill"},
    {5: "kill", 9: "stop", 14: "kill", 19: "stop", 24: "kill"},
]


@dataclass
class Run:
    """One training; what it came to."""

    folder: Path
    arguments: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)
    output: TrainOutput | None = None
    final: dict[str, bytes] = field(default_factory=dict)
    by_trainer: bool = False  # nothing of ours takes part

    def __call__(self, shard: Shard, state: State) -> None:
        trainer = make_trainer(self.folder, **self.arguments)
        self.output = trainer.train() if self.by_trainer else train(trainer, shard=shard, state=state)
        self.history = [without_clock(line) for line in trainer.state.log_history]
        self.final = weights(trainer.model)

    @property
    def loss(self) -> float:
        assert self.output is not None
        return float(self.output.training_loss)


def without_clock(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in CLOCKED | EVAL_CLOCKED}


SETTINGS: dict[str, dict[str, Any]] = {
    "adamw with dropout, linear decay": {},
    "sgd with momentum, cosine": {"optim": "sgd", "optim_args": "momentum=0.9", "lr_scheduler_type": "cosine"},
    "accumulated gradients": {"gradient_accumulation_steps": 3, "warmup_steps": 2, "num_train_epochs": 7},
    "loss is logged as the mean of four steps": {"logging_steps": 4},
    "limited by steps": {"max_steps": 25, "num_train_epochs": 1},
    "evaluated on the way": {"eval_strategy": "steps", "eval_steps": 3, "lr_scheduler_type": "reduce_lr_on_plateau"},
    "grouped by length": {"train_sampling_strategy": "group_by_length"},
    "bf16": {"bf16": True},
    "rewritten activations": {"activation_checkpointing": True},
    "noisy embeddings": {"neftune_noise_alpha": 5.0},
}


CASES = [*((name, PLANS[-1]) for name in SETTINGS), *(("accumulated gradients", plan) for plan in PLANS[:-1])]


@pytest.mark.parametrize(("name", "plan"), CASES, ids=str)
def test_an_interrupted_training_is_the_undisturbed_one_to_the_bit(
    tmp_path: Path, name: str, plan: dict[int, End]
) -> None:
    undisturbed, interrupted = Run(tmp_path, SETTINGS[name], by_trainer=True), Run(tmp_path, SETTINGS[name])
    Workers(tmp_path).run(undisturbed)
    workers = Workers(tmp_path, plan)

    workers.run(interrupted)

    assert workers.ended == len(plan)
    assert interrupted.history == undisturbed.history
    assert interrupted.loss == undisturbed.loss
    assert interrupted.final == undisturbed.final


def test_every_single_step_can_be_the_last(tmp_path: Path) -> None:
    settings = {"gradient_accumulation_steps": 3, "num_train_epochs": 2}
    undisturbed, interrupted = Run(tmp_path, settings, by_trainer=True), Run(tmp_path, settings)
    Workers(tmp_path).run(undisturbed)

    Workers(tmp_path, dict.fromkeys(range(1, 15), "stop")).run(interrupted)

    assert interrupted.history == undisturbed.history
    assert interrupted.final == undisturbed.final


def test_a_notice_ends_the_trainer_at_a_safe_point_and_the_next_worker_goes_on(tmp_path: Path) -> None:
    """Through the real lease, policy and engine."""
    world = World()
    begun: list[int] = []
    undisturbed = Run(tmp_path, {}, by_trainer=True)
    Workers(tmp_path).run(undisturbed)
    finals: list[dict[str, bytes]] = []

    def job(shard: ShardHandle, state: State) -> Generator[None, None, int]:
        scramble(len(begun))
        trainer = make_trainer(tmp_path)
        trainer.add_callback(Interrupting(world, worker.monitor, begun, at={7}))
        steps = int(train(trainer, shard=shard, state=state).global_step)
        finals.append(weights(trainer.model))
        yield
        return steps

    worker = world.worker(job)
    assert worker.execute() is ShardOutcome.RELEASED
    worker = world.worker(job)
    assert worker.execute() is ShardOutcome.COMMITTED

    assert begun == [*range(1, 8), *range(8, 31)]  # step 7 was not done twice: its stop was told during it
    assert finals == [undisturbed.final]


class Interrupting(TrainerCallback):  # type: ignore[misc]  # no types
    """Tells the worker's monitor of a stop during a step, and takes a second for each."""

    def __init__(self, world: World, monitor: Monitor, begun: list[int], *, at: set[int]) -> None:
        self._world = world
        self._monitor = monitor
        self._begun = begun
        self._at = at

    def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        self._world.clock.advance(1)
        self._begun.append(state.global_step)
        if state.global_step in self._at:
            self._monitor.offer(notice(self._world, in_s=4))


def test_a_training_that_has_ended_is_not_done_again_when_the_job_is_interrupted_behind_it(tmp_path: Path) -> None:
    steps: list[int] = []
    outputs: list[TrainOutput] = []
    finals: list[dict[str, bytes]] = []

    def job(shard: Shard, state: State) -> None:
        trainer = make_trainer(tmp_path, max_steps=5)
        trainer.add_callback(Counting(steps))
        outputs.append(train(trainer, shard=shard, state=state))
        finals.append(weights(trainer.model))
        assert [line["step"] for line in trainer.state.log_history] == [1, 2, 3, 4, 5, 5]
        shard.safe_point()

    Workers(tmp_path, {6: "stop", 7: "stop"}).run(job)

    assert steps == [1, 2, 3, 4, 5]
    assert finals == [finals[0]] * 3
    assert outputs[1].training_loss == outputs[2].training_loss == outputs[0].training_loss
    assert outputs[2].global_step == 5


class Counting(TrainerCallback):  # type: ignore[misc]  # no types
    def __init__(self, steps: list[int]) -> None:
        self._steps = steps

    def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        self._steps.append(state.global_step)


def test_patience_with_a_stagnating_model_is_remembered(tmp_path: Path) -> None:
    def history(plan: dict[int, End]) -> list[dict[str, Any]]:
        def job(shard: Shard, state: State) -> list[dict[str, Any]]:
            trainer = make_trainer(
                tmp_path / "out",
                learning_rate=0.0,
                eval_strategy="steps",
                eval_steps=2,
                metric_for_best_model="eval_loss",
                restore_callback_states_from_checkpoint=True,
                callbacks=[EarlyStoppingCallback(early_stopping_patience=3)],
            )
            train(trainer, shard=shard, state=state)
            return [without_clock(line) for line in trainer.state.log_history]

        result: list[dict[str, Any]] = Workers(tmp_path, plan).run(job)
        return result

    undisturbed = history({})

    assert undisturbed[-1]["step"] == 8  # the best was the first, after two steps; three more, and it ends
    assert history({4: "stop", 7: "stop"}) == undisturbed


def test_a_resume_leaves_no_folder_and_no_warning_of_missing_weights(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("transformers").addHandler(caplog.handler)
    workers = Workers(tmp_path / "host", {3: "stop"})
    (tmp_path / "host").mkdir()

    workers.run(Run(tmp_path / "out", {"max_steps": 5}))

    logging.getLogger("transformers").removeHandler(caplog.handler)
    assert workers.ended == 1
    assert list(workers.owners.workshop.folder.iterdir()) == []
    assert "missing keys" not in caplog.text
    assert logging.getLogger("transformers.trainer").filters == []


def test_the_trainer_tells_how_much_is_done(tmp_path: Path) -> None:
    told: list[float] = []

    class Listening(Shard):
        def safe_point(self) -> None:
            told.append(self.fraction_done)
            super().safe_point()

    workers = Workers(tmp_path)
    train(make_trainer(tmp_path, max_steps=4), shard=Listening(workers), state=workers.owners.state)

    assert told == [0.0, 0.25, 0.5, 0.75]


def test_another_model_is_refused_in_one_line(tmp_path: Path) -> None:
    workers = Workers(tmp_path, {3: "stop"})
    models = [language_model(), language_model(n_inner=24)]

    def job(shard: Shard, state: State) -> None:
        train(make_trainer(tmp_path, model=models.pop(0)), shard=shard, state=state)

    with pytest.raises(UnsavableValueError, match=r"saved as F32 of shape .*, now F32 of shape .*") as refused:
        workers.run(job)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"ignore_data_skip": True},
        {"load_best_model_at_end": True, "save_strategy": "steps", "eval_strategy": "steps"},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_what_could_not_be_resumed_exactly_is_refused(tmp_path: Path, arguments: dict[str, Any]) -> None:
    workers = Workers(tmp_path)

    with pytest.raises(ConfigurationError, match=f"{next(iter(arguments))}=True .* leave it at False"):
        train(make_trainer(tmp_path, **arguments), shard=Shard(workers), state=workers.owners.state)


def test_a_trainer_that_works_otherwise_inside_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = Workers(tmp_path)
    monkeypatch.setattr(hf_trainer, "SUMS", ("_tr_loss", "_moved_elsewhere"))

    with pytest.raises(ConfigurationError, match=r"transformers .* has no Trainer\._moved_elsewhere"):
        train(make_trainer(tmp_path), shard=Shard(workers), state=workers.owners.state)

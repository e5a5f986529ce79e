"""A plain PyTorch loop: whatever ends it, wherever, the curve and the weights are those of the undisturbed run."""

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import TensorDataset

from spotproof.checkpoints.state import State
from spotproof.errors import UnsavableValueError
from spotproof.ml.training import Training
from spotproof.worker.outcome import ShardOutcome
from spotproof.worker.shard_handle import ShardHandle
from tests.ml.workers import Curve, End, Shard, Workers, scramble, weights
from tests.unit.worker.world import World, notice

EPOCHS = 3
SAMPLES = 44  # 11 batches of 4
PLANS: list[dict[int, End]] = [
    {1: "stop"},
    {11: "stop", 12: "stop"},  # at the end of an epoch, and right behind it
    {5: "kill", 9: "stop", 16: "kill", 23: "stop", 30: "kill"},
]


def data() -> TensorDataset:
    words = torch.Generator().manual_seed(5)
    return TensorDataset(torch.randn(SAMPLES, 6, generator=words), torch.randn(SAMPLES, 2, generator=words))


def network() -> nn.Module:
    """Dropout draws from the global generator; batch norm has buffers, one of them an integer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 2))


@dataclass
class Recipe:
    """One training; everything it does is in `curve` and `final`."""

    optimizer: Callable[[Any], Any]
    scheduler: Callable[[Any], Any] = lambda optimizer: None
    accumulate: int = 1
    scaled: bool = False
    curve: Curve = field(default_factory=Curve)
    rates: Curve = field(default_factory=Curve)
    final: dict[str, bytes] = field(default_factory=dict)

    def __call__(self, shard: Shard, state: State) -> None:
        model = network()
        optimizer = self.optimizer(model.parameters())
        scheduler = self.scheduler(optimizer)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12, growth_interval=5, enabled=self.scaled)
        training = Training(state, model=model, optimizer=optimizer, scheduler=scheduler, scaler=scaler)
        if not training.resumed:
            torch.manual_seed(3)
        for features, target in training.batches(data(), batch_size=4, epochs=EPOCHS, seed=1):
            loss = nn.functional.mse_loss(model(features), target)
            scaler.scale(loss / self.accumulate).backward()
            if training.steps % self.accumulate == 0:
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
            if scheduler is not None:
                scheduler.step(loss.item()) if isinstance(
                    scheduler, lr_scheduler.ReduceLROnPlateau
                ) else scheduler.step()
            self.curve.note(training.steps, loss.item())
            self.rates.note(training.steps, optimizer.param_groups[0]["lr"])
            shard.safe_point()
        self.final = weights(model)


def sgd(parameters: Any) -> Any:
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True)


def adamw(parameters: Any) -> Any:
    return torch.optim.AdamW(parameters, lr=0.01)


RECIPES: dict[str, Callable[[], Recipe]] = {
    "sgd with momentum": lambda: Recipe(sgd),
    "adamw": lambda: Recipe(adamw),
    "amsgrad, one group of its own": lambda: Recipe(
        lambda parameters: torch.optim.Adam([{"params": [each]} for each in parameters], lr=0.01, amsgrad=True)
    ),
    "adagrad": lambda: Recipe(lambda parameters: torch.optim.Adagrad(parameters, lr=0.1)),
    "rmsprop, centered": lambda: Recipe(lambda parameters: torch.optim.RMSprop(parameters, centered=True)),
    "steps": lambda: Recipe(sgd, lambda optimizer: lr_scheduler.StepLR(optimizer, 7)),
    "milestones": lambda: Recipe(sgd, lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [6, 6, 20])),
    "one cycle": lambda: Recipe(adamw, lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=40)),
    "lambda": lambda: Recipe(adamw, lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: 0.97**step)),
    "plateau": lambda: Recipe(sgd, lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)),
    "warmup, then cosine": lambda: Recipe(
        adamw,
        lambda optimizer: lr_scheduler.SequentialLR(
            optimizer,
            [lr_scheduler.LinearLR(optimizer, total_iters=8), lr_scheduler.CosineAnnealingLR(optimizer, 25)],
            milestones=[8],
        ),
    ),
    "accumulated gradients": lambda: Recipe(adamw, accumulate=4),
    "scaled gradients": lambda: Recipe(sgd, scaled=True),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_an_interrupted_training_is_the_undisturbed_one_to_the_bit(
    tmp_path: Path, name: str, plan: dict[int, End]
) -> None:
    undisturbed, interrupted = RECIPES[name](), RECIPES[name]()
    Workers(tmp_path).run(undisturbed)
    workers = Workers(tmp_path, plan)

    workers.run(interrupted)

    assert workers.ended == len(plan)
    assert len(undisturbed.curve.losses) == EPOCHS * 11
    assert interrupted.curve.losses == undisturbed.curve.losses
    assert interrupted.rates.losses == undisturbed.rates.losses
    assert interrupted.final == undisturbed.final


def test_every_single_safe_point_is_exact(tmp_path: Path) -> None:
    undisturbed, interrupted = Recipe(adamw, accumulate=3), Recipe(adamw, accumulate=3)
    Workers(tmp_path).run(undisturbed)

    Workers(tmp_path, dict.fromkeys(range(1, EPOCHS * 11 + 1), "stop")).run(interrupted)

    assert interrupted.curve.losses == undisturbed.curve.losses
    assert interrupted.final == undisturbed.final


def test_a_job_that_yields_behind_each_batch_survives_notices(tmp_path: Path) -> None:
    """Through the real lease, policy and engine."""
    undisturbed, world = Recipe(adamw), World()
    Workers(tmp_path).run(undisturbed)
    curve = Curve()
    finals: list[dict[str, bytes]] = []

    def job(shard: ShardHandle, state: State) -> Generator[None, None, int]:
        scramble(world.workers)
        model = network()
        optimizer = adamw(model.parameters())
        training = Training(state, model=model, optimizer=optimizer)
        if not training.resumed:
            torch.manual_seed(3)
        for features, target in training.batches(data(), batch_size=4, epochs=EPOCHS, seed=1):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(features), target)
            loss.backward()
            optimizer.step()
            curve.note(training.steps, loss.item())
            world.clock.advance(1)
            if (training.steps, world.workers) in {(9, 1), (20, 2)}:
                worker.monitor.offer(notice(world, in_s=4))
            yield
        finals.append(weights(model))
        return training.steps

    outcomes = []
    while not finals:
        worker = world.worker(job)
        outcomes.append(worker.execute())

    assert outcomes == [ShardOutcome.RELEASED, ShardOutcome.RELEASED, ShardOutcome.COMMITTED]
    assert curve.losses == undisturbed.curve.losses
    assert finals == [undisturbed.final]


def test_every_kind_of_generator_goes_on_where_it_stood(tmp_path: Path) -> None:
    def draws(plan: dict[int, End]) -> list[tuple[float, ...]]:
        seen: dict[int, tuple[float, ...]] = {}

        def job(shard: Shard, state: State) -> None:
            own_torch, own_python = torch.Generator().manual_seed(1), random.Random(2)
            pcg, twister = np.random.default_rng(3), np.random.Generator(np.random.MT19937(4))
            training = Training(
                state,
                model=nn.Linear(1, 1),
                generators={"torch": own_torch, "python": own_python, "pcg": pcg, "twister": twister},
            )
            if not training.resumed:
                torch.manual_seed(5)
                np.random.seed(6)
                random.seed(7)
            for _ in training.batches(data(), batch_size=8, epochs=2):
                seen[training.steps] = (
                    float(torch.rand((), generator=own_torch)),
                    own_python.gauss(),
                    pcg.normal(),
                    twister.normal(),
                    float(torch.randn(())),
                    float(np.random.normal()),
                    random.gauss(),
                )
                shard.safe_point()

        Workers(tmp_path, plan).run(job)
        return [seen[step] for step in sorted(seen)]

    assert draws({3: "stop", 4: "kill", 8: "stop"}) == draws({})


def test_random_numbers_drawn_while_samples_are_put_together_are_the_same(tmp_path: Path) -> None:
    def noisy(samples: list[Any]) -> torch.Tensor:
        return torch.stack([sample[0] for sample in samples]) + torch.randn(len(samples), 6)

    def batches(plan: dict[int, End]) -> dict[int, bytes]:
        seen: dict[int, bytes] = {}

        def job(shard: Shard, state: State) -> None:
            training = Training(state, model=nn.Linear(1, 1))
            if not training.resumed:
                torch.manual_seed(5)
            for batch in training.batches(data(), batch_size=4, epochs=2, collate_fn=noisy):
                seen[training.steps] = batch.numpy().tobytes()
                shard.safe_point()

        Workers(tmp_path, plan).run(job)
        return seen

    assert batches({3: "stop", 12: "kill"}) == batches({})


def test_each_sample_comes_once_an_epoch_in_an_order_of_its_own() -> None:
    training = Training(State(), model=nn.Linear(1, 1))
    numbers = TensorDataset(torch.arange(10))
    seen: list[list[int]] = [[], [], []]
    ends = []

    for (batch,) in training.batches(numbers, batch_size=4, epochs=3):
        seen[training.epoch] += batch.tolist()
        ends.append(training.epoch_ends)

    assert [sorted(each) for each in seen] == [list(range(10))] * 3
    assert len({tuple(each) for each in seen}) == 3
    assert ends == [False, False, True] * 3


def test_more_epochs_can_follow() -> None:
    training = Training(State(), model=nn.Linear(1, 1))

    first = [training.epoch for _ in training.batches(data(), batch_size=40, epochs=2, drop_last=True)]
    again = [training.epoch for _ in training.batches(data(), batch_size=40, epochs=2, drop_last=True)]
    more = [training.epoch for _ in training.batches(data(), batch_size=40, epochs=3, drop_last=True)]

    assert (first, again, more) == ([0, 1], [], [2])


def saved_with(tmp_path: Path, **parts: Any) -> State:
    workers = Workers(tmp_path)
    training = Training(workers.owners.state, **parts)
    next(iter(training.batches(data(), batch_size=4, epochs=1)))
    workers.owners.save()
    return workers.owners.take_over()


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (nn.Linear(6, 3), r"training/model'\)\['bias'\]: saved as F32 of shape \(2,\), now F32 of shape \(3,\)"),
        (nn.Linear(6, 2, bias=False), "training/model: 'bias' was saved, which this model does not have"),
        (nn.Linear(6, 2).double(), "saved as F32 of shape .*, now F64"),
        (nn.ModuleDict({"new": nn.Linear(6, 2), "old": nn.Linear(6, 2)}), "which this model does not have"),
    ],
)
def test_another_model_is_refused_in_one_line(tmp_path: Path, model: nn.Module, told: str) -> None:
    state = saved_with(tmp_path, model=nn.Linear(6, 2))

    with pytest.raises(UnsavableValueError, match=told) as refused:
        Training(state, model=model)

    assert "\n" not in str(refused.value)


def test_a_model_that_has_grown_is_refused(tmp_path: Path) -> None:
    state = saved_with(tmp_path, model=nn.Linear(6, 2, bias=False))

    with pytest.raises(UnsavableValueError, match="1 tensors were saved, this model has 2"):
        Training(state, model=nn.Linear(6, 2))


def test_another_optimizer_is_refused(tmp_path: Path) -> None:
    model = nn.Linear(6, 2)
    state = saved_with(tmp_path, model=model, optimizer=sgd(model.parameters()))

    with pytest.raises(UnsavableValueError, match="the optimizer is not the one that was saved"):
        Training(state, model=model, optimizer=sgd([model.weight]))


def test_a_scheduler_that_was_not_there_is_refused(tmp_path: Path) -> None:
    state = saved_with(tmp_path, model=nn.Linear(6, 2))

    with pytest.raises(UnsavableValueError, match=r"saved with \[\], given are \['scheduler'\]"):
        Training(state, model=nn.Linear(6, 2), scheduler=lr_scheduler.StepLR(sgd(nn.Linear(1, 1).parameters()), 1))


@pytest.mark.parametrize("change", [{"batch_size": 5}, {"seed": 9}, {"shuffle": False}])
def test_other_data_than_before_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    training = Training(saved_with(tmp_path, model=nn.Linear(6, 2)), model=nn.Linear(6, 2))

    with pytest.raises(UnsavableValueError, match=f"resumed with {next(iter(change))}={next(iter(change.values()))}"):
        next(iter(training.batches(data(), **{"batch_size": 4, "epochs": 1, **change})))


def test_a_sampler_of_the_jobs_own_is_refused() -> None:
    training = Training(State(), model=nn.Linear(6, 2))

    with pytest.raises(UnsavableValueError, match="makes its own sampler"):
        next(iter(training.batches(data(), batch_size=4, epochs=1, sampler=[1, 2])))


def test_what_is_no_generator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsavableValueError, match="rng is a int"):
        saved_with(tmp_path, model=nn.Linear(6, 2), generators={"rng": 3})

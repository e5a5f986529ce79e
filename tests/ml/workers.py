"""Worker after worker on one shard: each may be stopped, which saves, or killed, which does not."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from spotproof.checkpoints.carry import EngineSizes
from spotproof.checkpoints.state import State
from spotproof.worker.stopped import WorkerStopped
from tests.unit.checkpoints.owners import Owners

End = Literal["stop", "kill"]


class KilledError(BaseException):
    """Stands for SIGKILL: nothing of the worker runs any more."""


class Shard:
    """One worker's: saves at every second safe point, and ends as planned at the safe points counted over all workers."""

    def __init__(self, workers: "Workers") -> None:
        self._workers = workers
        self.fraction_done = 0.0

    @property
    def scratch_dir(self) -> Path:
        return self._workers.owners.workshop.folder

    def safe_point(self) -> None:
        self._workers.points += 1
        end = self._workers.plan.get(self._workers.points)
        if end == "kill":
            raise KilledError
        if end == "stop" or self._workers.points % 2 == 0:
            self._workers.owners.save()
        if end == "stop":
            raise WorkerStopped(InterruptedError("notice"))


class Workers:
    """Runs a job to its end, with a fresh worker after each end of one."""

    def __init__(self, folder: Path, plan: dict[int, End] | None = None) -> None:
        self.owners = Owners(folder, sizes=EngineSizes())
        self.plan = plan or {}
        self.points = 0
        self.ended = 0

    def run(self, job: Callable[[Shard, State], Any]) -> Any:
        while True:
            scramble(self.ended)
            try:
                return job(Shard(self), self.owners.state)
            except (WorkerStopped, KilledError):
                self.ended += 1
                self.owners.take_over()


class Curve:
    """Losses by step. A step that is done again must give the same loss."""

    def __init__(self) -> None:
        self.losses: dict[int, float] = {}

    def note(self, step: int, loss: float) -> None:
        assert self.losses.setdefault(step, loss) == loss, f"step {step} was another the second time"


def scramble(seed: int) -> None:
    """A fresh process has other random numbers."""
    torch.manual_seed(1000 + seed)
    np.random.seed(1000 + seed)
    random.seed(1000 + seed)


def weights(model: torch.nn.Module) -> dict[str, bytes]:
    """Every bit of a model."""
    return {key: each.detach().numpy().tobytes() for key, each in model.state_dict().items()}

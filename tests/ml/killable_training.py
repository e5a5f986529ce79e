"""A worker process that trains, to be killed: `python -m tests.ml.killable_training loop|trainer FOLDER TOKEN`.

It prints a line a step, the step and its loss as hexadecimal floating point, and "done" with the weights' digest.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch

from spotproof.checkpoints.engine import CheckpointEngine
from spotproof.checkpoints.state import State
from spotproof.checkpoints.workshop import Workshop
from spotproof.concurrency import ThreadSpawner
from spotproof.leases.model import CheckpointPointer
from spotproof.ml.training import Training
from tests.ml.folder_store import FolderObjectStore
from tests.ml.workers import scramble, weights
from tests.unit.checkpoints.builders import make_engine


class SavingShard:
    """Begins a save at every safe point at which none is on its way."""

    def __init__(self, folder: Path, token: int) -> None:
        self._pointer_file = folder / "pointer.json"
        self._workshop = Workshop(scratch_dir=str(folder))
        objects = FolderObjectStore(folder / "bucket")
        self.engine: CheckpointEngine = make_engine(objects, token, workshop=self._workshop, spawner=ThreadSpawner())
        pointer = None
        if self._pointer_file.exists():
            pointer = CheckpointPointer(**json.loads(self._pointer_file.read_text()))
        restored = self.engine.restore(pointer)
        assert restored.fell_back is None, restored.fell_back
        self.state: State = restored.state
        self.fraction_done = 0.0

    @property
    def scratch_dir(self) -> Path:
        return self._workshop.folder

    def safe_point(self) -> None:
        self.engine.settle()
        if self.engine.wait(0):
            self.engine.begin(self.state, record=self._record)

    def _record(self, pointer: CheckpointPointer) -> None:
        part = self._pointer_file.with_suffix(".part")
        part.write_text(json.dumps({"manifest_key": pointer.manifest_key, "seq": pointer.seq}))
        part.replace(self._pointer_file)


def loop(shard: SavingShard) -> Any:
    from tests.ml.test_training import adamw, data, network

    model = network()
    optimizer = adamw(model.parameters())
    training = Training(shard.state, model=model, optimizer=optimizer)
    if not training.resumed:
        torch.manual_seed(3)
    for features, target in training.batches(data(), batch_size=4, epochs=4, seed=1):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(features), target)
        loss.backward()
        optimizer.step()
        shard.safe_point()
        say(training.steps, loss.item())
    return model


def trainer(shard: SavingShard) -> Any:
    from transformers import PrinterCallback, TrainerCallback

    from spotproof.ml.hf_trainer import train
    from tests.ml.tiny_trainers import make_trainer

    class Speaker(TrainerCallback):  # type: ignore[misc]  # no types
        def on_log(self, _: Any, state: Any, *__: Any, logs: dict[str, float], **___: Any) -> None:
            if "loss" in logs:
                say(state.global_step, logs["loss"])

    made = make_trainer(shard.scratch_dir, gradient_accumulation_steps=2)
    made.remove_callback(PrinterCallback)
    made.add_callback(Speaker())
    train(made, shard=shard, state=shard.state)
    return made.model


def say(step: int, loss: float) -> None:
    sys.stdout.write(f"{step} {loss.hex()}\n")
    sys.stdout.flush()


def main() -> None:
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    kind, folder, token = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    scramble(token)
    model = {"loop": loop, "trainer": trainer}[kind](SavingShard(folder, token))
    digest = hashlib.sha256(repr(sorted(weights(model).items())).encode()).hexdigest()
    sys.stdout.write(f"done {digest}\n")


if __name__ == "__main__":
    main()

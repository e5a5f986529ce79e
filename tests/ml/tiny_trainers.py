"""Trainers of Hugging Face over tiny models with random weights, and data that are made up."""

from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

WORDS = 32
LENGTH = 12
SAMPLES = 38


class Sentences(Dataset):  # type: ignore[misc]  # there is no torch where types are checked
    """Made up, of several lengths of padding."""

    def __init__(self, samples: int = SAMPLES) -> None:
        words = torch.Generator().manual_seed(11)
        self._ids = torch.randint(1, WORDS, (samples, LENGTH), generator=words)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        ids = self._ids[number].clone()
        ids[LENGTH - number % 5 :] = 0
        return {"input_ids": ids, "labels": torch.where(ids == 0, -100, ids)}


def language_model(**changes: Any) -> GPT2LMHeadModel:
    """Two layers with dropout; its output layer shares the embedding's weights."""
    config = GPT2Config(
        vocab_size=WORDS,
        n_positions=LENGTH,
        n_embd=16,
        n_layer=2,
        n_head=2,
        resid_pdrop=0.2,
        embd_pdrop=0.2,
        attn_pdrop=0.2,
        bos_token_id=0,
        eos_token_id=0,
        **changes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return GPT2LMHeadModel(config)


def make_trainer(folder: Path, *, model: Any = None, callbacks: Any = (), **arguments: Any) -> Trainer:
    """On the CPU, logging every step, without checkpoints of its own."""
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": 3,
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "seed": 13,
        **arguments,
    }
    return Trainer(
        model=model or language_model(),
        args=TrainingArguments(**settings),
        train_dataset=Sentences(),
        eval_dataset=Sentences(10),
        callbacks=list(callbacks),
    )

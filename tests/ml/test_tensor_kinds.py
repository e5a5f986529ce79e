"""Tensors of every kind come back with every bit, or are refused in one line."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from spotproof.checkpoints.state import State
from spotproof.errors import CheckpointCorruptError, UnsavableValueError
from spotproof.ml.model_tensors import tensors_of
from spotproof.ml.training import Training
from spotproof.ml.tree import flatten, unflatten
from tests.ml.workers import Workers
from tests.unit.checkpoints.owners import Owners

NUMBERS = torch.tensor([[1.5, -2.25, float("nan")], [0.0, -0.0, float("inf")]])
KINDS: dict[str, torch.Tensor] = {
    "float64": NUMBERS.double(),
    "float32": NUMBERS,
    "bfloat16": NUMBERS.bfloat16(),
    "float16": NUMBERS.half(),
    "float8": torch.tensor([1.5, -2.0]).to(torch.float8_e4m3fn),
    "float8 of wide range": torch.tensor([1.5, -2.0]).to(torch.float8_e5m2),
    "complex": torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex64),
    "int64": torch.tensor([2**62, -(2**62)]),
    "int32": torch.tensor([1, -1], dtype=torch.int32),
    "int16": torch.tensor([1, -1], dtype=torch.int16),
    "int8": torch.tensor([1, -1], dtype=torch.int8),
    "uint8": torch.tensor([1, 255], dtype=torch.uint8),
    "uint16": torch.tensor([1, 65535], dtype=torch.uint16),
    "bool": torch.tensor([True, False, True]),
    "no dimension": torch.tensor(3.5),
    "no dimension, bfloat16": torch.tensor(3.5, dtype=torch.bfloat16),
    "empty": torch.empty(0),
    "empty in one dimension": torch.empty(3, 0, 2, dtype=torch.int64),
    "transposed": torch.arange(6.0).reshape(2, 3).t(),
    "every other": torch.arange(10)[::2],
    "in channels last": torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    "expanded": torch.tensor([1.0, 2.0]).expand(3, 2),
    "with a gradient": torch.tensor([1.0, 2.0], requires_grad=True),
    "conjugated": torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex64).conj(),
    "negated": torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex64).conj().imag,
}


def bits(tensor: torch.Tensor) -> tuple[Any, ...]:
    plain = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return plain.dtype, plain.shape, plain.reshape(-1).view(torch.uint8).tolist() if plain.numel() else []


def blank(tensor: torch.Tensor) -> torch.Tensor:
    """Memory of the same layout with other content."""
    with torch.no_grad():
        made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=torch.uint8)
        return made.to(tensor.dtype) if 0 not in tensor.stride() else torch.zeros(tensor.shape, dtype=tensor.dtype)


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    return Owners(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_is_restored_in_place_with_every_bit(owners: Owners, kind: str) -> None:
    owners.state.tensors("weights", {"x": KINDS[kind]})
    owners.save()
    state = owners.take_over()
    target = blank(KINDS[kind])

    rest = state.tensors("weights", {"x": target})

    assert rest == {}
    assert bits(target) == bits(KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_tensor_in_a_tree_comes_back_with_every_bit(owners: Owners, kind: str) -> None:
    flat = flatten({"a": [KINDS[kind]]}, at="root")
    owners.state.tensors("tree", flat.tensors)
    owners.save()

    back = unflatten(flat.text, owners.take_over().tensors("tree"))

    assert bits(back["a"][0]) == bits(KINDS[kind])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: torch.eye(3).to_sparse(), "a sparse_coo tensor can't be saved"),
        (lambda: torch.eye(3).to_sparse_csr(), "a sparse_csr tensor can't be saved"),
        (lambda: torch.empty(2, device="meta"), "a tensor on the meta device has no values"),
        (lambda: torch.zeros(2, dtype=torch.complex128), "dtype complex128 can't be saved"),
    ],
    ids=["sparse", "sparse by rows", "meta", "complex128"],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_what_has_no_plain_bytes_is_refused_in_one_line(owners: Owners, make: Any, told: str) -> None:
    owners.state.tensors("weights", {"x": make()})

    with pytest.raises(UnsavableValueError, match=told) as refused:
        owners.save()

    assert "state.tensors('weights')['x']" in str(refused.value)
    assert "\n" not in str(refused.value)


class Tied(nn.Module):  # type: ignore[misc]  # there is no torch where types are checked
    """One weight under two names, a buffer that `state_dict` leaves out, and something that is no tensor."""

    def __init__(self, *, seed: int) -> None:
        super().__init__()
        words = torch.Generator().manual_seed(seed)
        self.embedding = nn.Embedding.from_pretrained(torch.randn(8, 4, generator=words), freeze=False)
        self.output = nn.Linear(4, 8, bias=False)
        self.output.weight = self.embedding.weight
        self.register_buffer("unsaved", torch.randn(3, generator=words), persistent=False)
        self.register_buffer("none", None)
        self.told = {"scale": float(seed)}

    def get_extra_state(self) -> Any:
        return self.told

    def set_extra_state(self, state: Any) -> None:
        self.told = state


def test_shared_weights_are_saved_once_and_stay_shared(owners: Owners) -> None:
    before, after = Tied(seed=1), Tied(seed=2)
    Training(owners.state, model=before)
    owners.save()

    Training(owners.take_over(), model=after)

    assert sorted(tensors_of(before)) == ["embedding.weight", "unsaved"]
    assert torch.equal(after.embedding.weight, before.embedding.weight)
    assert after.output.weight is after.embedding.weight
    assert torch.equal(after.unsaved, before.unsaved)
    assert after.told == {"scale": 1.0}


def test_float32_moments_of_bfloat16_weights_lose_no_bit(owners: Owners) -> None:
    def make(state: State) -> tuple[nn.Linear, torch.optim.Optimizer]:
        model = nn.Linear(4, 4).bfloat16()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        Training(state, model=model, optimizer=optimizer)
        return model, optimizer

    model, optimizer = make(owners.state)
    moment = torch.tensor([1 / 3] * 16).reshape(4, 4)
    optimizer.state[model.weight]["momentum_buffer"] = moment
    owners.save()

    model, optimizer = make(owners.take_over())

    assert bits(optimizer.state[model.weight]["momentum_buffer"]) == bits(moment)


def test_an_optimizer_may_grow_between_saves(owners: Owners) -> None:
    model = nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(model.parameters())
    Training(owners.state, model=model, optimizer=optimizer)
    owners.save()  # no moments yet
    model.weight.grad = torch.ones(4, 4)
    optimizer.step()  # those of one parameter
    owners.save()
    model(torch.ones(4)).sum().backward()
    optimizer.step()
    owners.save()

    other = nn.Linear(4, 4)
    resumed = torch.optim.AdamW(other.parameters())
    Training(owners.take_over(), model=other, optimizer=resumed)

    assert resumed.state_dict()["state"].keys() == {0, 1}
    for number, kept in optimizer.state_dict()["state"].items():
        for key, value in kept.items():
            assert bits(resumed.state_dict()["state"][number][key]) == bits(value)


def test_gradients_that_came_and_went_are_as_they_were(owners: Owners) -> None:
    model = nn.Linear(4, 2)
    Training(owners.state, model=model)
    for seed in range(3):
        model(torch.full((4,), float(seed + 1))).sum().backward()
        owners.save()
        other = nn.Linear(4, 2)
        Training(owners.look(), model=other)
        assert model.weight.grad is not None
        assert other.weight.grad is not None
        assert bits(other.weight.grad) == bits(model.weight.grad)
        model.zero_grad()
    owners.save()

    other = nn.Linear(4, 2)
    other(torch.ones(4)).sum().backward()
    Training(owners.take_over(), model=other)

    assert other.weight.grad is None


@pytest.mark.parametrize(
    "text",
    [
        lambda flat: flat.text.replace(b"float32", b"nothing"),
        lambda flat: flat.text.replace(b"float32", b"float64"),
        lambda flat: flat.text.replace(b"root/a", b"root/b"),
        lambda flat: flat.text.replace(b'"torch"', b'"pickle"'),
        lambda flat: flat.text[:-2],
    ],
)
def test_a_tree_that_does_not_fit_its_tensors_is_corrupt(text: Any) -> None:
    flat = flatten({"a": torch.ones(3)}, at="root")

    with pytest.raises(CheckpointCorruptError):
        unflatten(text(flat), {"root/a": torch.ones(3).numpy()})


def test_containers_keep_the_types_that_schedulers_rely_on() -> None:
    tree = {"milestones": Counter([6, 6, 20]), 3: (1, [0.5, (None, b"x")]), "scalar": np.float64(0.1)}

    back = unflatten(flatten(tree, at="root").text, {})

    assert back == tree
    assert [type(each) for each in back.values()] == [Counter, tuple, float]


def test_what_can_not_be_saved_is_named_by_its_place(tmp_path: Path) -> None:
    class Teller:
        def state_dict(self) -> dict[str, Any]:
            return {"seen": [1, object()]}

    workers = Workers(tmp_path)
    Training(workers.owners.state, model=nn.Linear(1, 1), others={"counter": Teller()})

    with pytest.raises(UnsavableValueError, match=r"training/stateful/counter/seen/1 holds a builtins\.object"):
        workers.owners.save()

"""Arrays, files and tensors: what comes back is what was there, whatever happened to its size and to its saves."""

import gc
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spotproof.checkpoints.state import State
from spotproof.checkpoints.workshop import Workshop
from spotproof.errors import UnsavableValueError
from tests.unit.checkpoints.owners import Owners

SLICE = 8192  # of TINY


@pytest.fixture
def owners(tmp_path: Path) -> Owners:
    return Owners(tmp_path)


def noise(size: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(size)


LENGTHS = (0, 1, 255, 4096, 5000, SLICE, SLICE + 1, 3 * SLICE - 7)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(LENGTHS, LENGTHS)))
@pytest.mark.parametrize("content", [noise(3 * SLICE), bytes(3 * SLICE)], ids=["noise", "zeros"])
def test_a_file_of_any_length_comes_back_after_any_other_length(
    owners: Owners, before: int, after: int, content: bytes
) -> None:
    path = owners.state.file("work.bin")
    for length in (before, after, before, after):
        path.write_bytes(content[:length])
        owners.save()
        assert owners.look().file("work.bin").read_bytes() == content[:length]


@pytest.mark.parametrize("longer", [5000, SLICE - 1, SLICE, 2 * SLICE, 3 * SLICE])
@pytest.mark.parametrize("shorter", [0, 1, 4097, 5000, SLICE])
def test_a_failed_save_of_a_longer_file_leaves_nothing_behind_in_later_ones(
    owners: Owners, shorter: int, longer: int
) -> None:
    path = owners.state.file("work.bin")
    path.write_bytes(noise(longer, 1))
    owners.fail_to_save()
    for seed, length in ((2, shorter), (3, longer), (4, shorter)):
        path.write_bytes(noise(length, seed))
        owners.save()
        assert owners.look().file("work.bin").read_bytes() == noise(length, seed)


def blocks_of_noise(length: int, *numbers: int) -> bytes:
    """Zeros but for these blocks of 256 bytes."""
    data = bytearray(length)
    for number in numbers:
        data[number * 256 : number * 256 + 256] = noise(256, number)
    return bytes(data)


def test_what_a_failed_save_put_behind_the_new_end_of_a_slice_is_not_taken_for_durable(owners: Owners) -> None:
    path = owners.state.file("work.bin")
    path.write_bytes(blocks_of_noise(SLICE, *range(16, 28)))  # dense: the slice travels whole
    owners.fail_to_save()
    for length in (24 * 256, SLICE):
        path.write_bytes(bytes(length))
        owners.save()
        assert owners.look().file("work.bin").read_bytes() == bytes(length)
    assert owners.save() is None


def test_what_a_failed_save_put_into_slices_behind_the_new_end_is_not_taken_for_durable(owners: Owners) -> None:
    path = owners.state.file("work.bin")
    path.write_bytes(blocks_of_noise(2 * SLICE, *range(40, 52)))
    owners.fail_to_save()
    for content in (b"x", blocks_of_noise(2 * SLICE, *range(40, 48))):
        path.write_bytes(content)
        owners.save()
        assert owners.look().file("work.bin").read_bytes() == content


def test_a_file_that_became_much_shorter_is_restored_at_the_cost_of_its_new_length(owners: Owners) -> None:
    path = owners.state.file("work.bin")
    path.write_bytes(noise(40 * SLICE))
    owners.save()
    path.write_bytes(b"short")
    for step in range(8):
        owners.save()
        path.write_bytes(noise(4096, step))

    assert owners.entry("file/work.bin").extent <= SLICE


def test_a_file_that_is_removed_is_gone_and_can_come_again(owners: Owners) -> None:
    path = owners.state.file("deep/work.bin")
    for content in (b"first", None, b"second", None):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        owners.save()
        found = owners.look().file("deep/work.bin")
        assert (found.read_bytes() if found.exists() else None) == content


def test_an_empty_file_is_not_lost_when_everything_travels_anew(owners: Owners) -> None:
    owners.state.file("empty").touch()
    owners.state.array("none", 0)
    owners.save()
    assert owners.pointer is not None
    older = owners.pointer
    owners.state["cursor"] = 1
    owners.save()
    owners.objects.objects[owners.pointer.manifest_key] = b"damaged"
    state = owners.take_over(fell_back=True)
    state["cursor"] = 2
    owners.save()

    assert owners.restored.manifest_key == older.manifest_key
    assert owners.look().file("empty").exists()
    assert "array/none" in owners.look().images


def test_a_restored_file_of_any_mode_has_it_again_and_is_not_saved_for_it(owners: Owners) -> None:
    path = owners.state.file("tool.sh")
    path.write_bytes(noise(300))
    for mode in (0o750, 0o444, 0o600):
        path.chmod(mode)
        owners.save()
        path = owners.take_over().file("tool.sh")
        assert path.stat().st_mode & 0o7777 == mode
        assert owners.save() is None


def test_a_path_that_is_no_file_fails_the_job_in_one_clear_line(owners: Owners) -> None:
    owners.state.file("work").mkdir()

    with pytest.raises(UnsavableValueError, match=r"state\.file\('work'\).*directory"):
        owners.save()


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_a_file_below_another_file_is_refused_before_a_checkpoint_holds_both(
    owners: Owners, names: tuple[str, str]
) -> None:
    owners.state.file(names[0])

    with pytest.raises(UnsavableValueError, match="below another file"):
        owners.state.file(names[1])


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../up", "a/../b", "a//b", ".", "a\\b", "a\0b", "x" * 300, Path("/tmp/x")]
)
def test_a_path_that_leads_out_or_nowhere_is_refused(path: object) -> None:
    with pytest.raises(UnsavableValueError, match=r"state\.file"):
        State().file(path)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [">f4", "<f4", ">i8", "<U3", "S2", "?", "c16", "u1", "f2"])
def test_an_array_of_any_byte_order_comes_back_with_its_values(owners: Owners, dtype: str) -> None:
    values = np.arange(12).astype(dtype).reshape(3, 4)
    owners.state.array("a", (3, 4), dtype)[:] = values
    owners.save()

    found = owners.take_over().array("a", (3, 4), dtype)

    assert found.dtype == np.dtype(dtype)
    assert np.array_equal(found, values)
    assert owners.entry("array/a").descr["dtype"] == np.dtype(dtype).str


def test_a_job_that_names_no_byte_order_goes_on_with_an_array_of_the_other_architecture(owners: Owners) -> None:
    other = np.dtype("float32").newbyteorder()
    owners.state.array("a", 5, other)[:] = range(5)
    owners.save()

    found = owners.take_over().array("a", 5, "float32")
    found[0] = 7
    owners.save()

    assert owners.look().array("a", 5, "float32").tolist() == [7, 1, 2, 3, 4]


@pytest.mark.parametrize("dtype", ["longdouble", "clongdouble", "O", "M8[s]", "V4", [("a", "i4")], "no-dtype", "U0"])
def test_a_dtype_whose_bytes_mean_something_else_elsewhere_is_refused(dtype: object) -> None:
    with pytest.raises(UnsavableValueError, match=r"state\.array\('a'\)"):
        State().array("a", 3, dtype)


@pytest.mark.parametrize("shape", [-1, 2.0, (2, -1), "3", (True,), (1,) * 40, None])
def test_a_shape_that_is_none_is_refused(shape: object) -> None:
    with pytest.raises(UnsavableValueError, match="whole numbers"):
        State().array("a", shape)  # type: ignore[arg-type]


@pytest.mark.parametrize(("shape", "dtype"), [(4, "float64"), ((3, 1), "float64"), (3, "int64"), ((), "float64")])
def test_an_array_of_another_shape_or_dtype_than_was_saved_is_a_clear_error(
    owners: Owners, shape: object, dtype: str
) -> None:
    owners.state.array("a", 3)
    owners.save()

    with pytest.raises(UnsavableValueError, match=r"state\.array\('a'\) is .*asked for as"):
        owners.take_over().array("a", shape, dtype)  # type: ignore[arg-type]


def test_an_array_without_elements_and_one_of_no_axes_come_back(owners: Owners) -> None:
    owners.state.array("none", (3, 0))
    owners.state.array("one", ())[...] = 2.5
    owners.save()

    state = owners.take_over()

    assert state.array("none", (3, 0)).size == 0
    assert float(state.array("one", ())) == 2.5


def test_tensors_that_change_their_layout_come_back(owners: Owners) -> None:
    tensors: dict[str, Any] = {"w": np.arange(3000, dtype=np.float32)}
    owners.state.tensors("model", lambda: tensors)
    changes: list[dict[str, Any]] = [
        {"a": np.ones((5, 7))},
        {"w": np.zeros(9000, np.float16)},
        {"m": np.array(3, np.int64)},
    ]
    for more in changes:
        owners.save()
        tensors.update(more)
        owners.save()
        found = owners.look().tensors("model")
        assert found.keys() == tensors.keys()
        assert all(np.array_equal(found[key], tensors[key]) for key in tensors)
    del tensors["w"]
    owners.save()

    target = {"a": np.zeros((5, 7)), "new": np.zeros(2)}
    rest = owners.take_over().tensors("model", target)

    assert np.array_equal(target["a"], np.ones((5, 7)))
    assert {key: each.tolist() for key, each in rest.items()} == {"m": 3}


def test_restored_tensors_that_nobody_asked_for_yet_stay_saved(owners: Owners) -> None:
    owners.state.tensors("model", {"w": np.arange(5.0)})
    owners.save()
    owners.take_over()["cursor"] = 1
    owners.save()

    assert owners.take_over().tensors("model")["w"].tolist() == [0, 1, 2, 3, 4]


def test_a_strided_or_fortran_tensor_is_saved_by_its_values(owners: Owners) -> None:
    whole = np.arange(24.0).reshape(4, 6)
    owners.state.tensors("model", {"columns": whole[:, ::2], "fortran": np.asfortranarray(whole)})
    owners.save()
    target = np.zeros((6, 4)).T

    rest = owners.take_over().tensors("model", {"fortran": target})

    assert np.array_equal(target, whole)
    assert np.array_equal(rest["columns"], whole[:, ::2])


@pytest.mark.parametrize("value", [np.array([object()]), [1, 2], np.zeros(2, ">f4"), np.zeros(2, "longdouble"), 3])
def test_what_is_no_tensor_fails_the_save_in_one_clear_line_and_the_rest_is_saved_later(
    owners: Owners, value: object
) -> None:
    tensors: dict[str, object] = {"w": np.ones(3)}
    owners.state.array("a", 3000)[:] = 1
    owners.state.tensors("model", lambda: tensors)
    tensors["bad"] = value
    with pytest.raises(UnsavableValueError, match=r"state\.tensors\('model'\)\['bad'\]"):
        owners.save()

    del tensors["bad"]
    owners.save()

    assert owners.look().array("a", 3000).sum() == 3000
    assert owners.look().tensors("model")["w"].sum() == 3


def test_tensors_of_another_shape_than_was_saved_are_a_clear_error(owners: Owners) -> None:
    owners.state.tensors("model", {"w": np.ones(3)})
    owners.save()

    with pytest.raises(UnsavableValueError, match="saved as F64 of shape"):
        owners.take_over().tensors("model", {"w": np.ones(4)})


def test_a_state_works_by_itself_in_a_test_of_a_job() -> None:
    state = State()
    state["cursor"] = 1
    state.map("totals")["AA"] = 2
    state.array("sums", (2, 2), "int32")[0, 1] = 5
    state.file("deep/work.txt").write_text("x")
    weights = {"w": np.ones(3)}

    assert state.tensors("model", weights) == {}
    assert state["cursor"] == 1
    assert state.map("totals")["AA"] == 2
    assert state.array("sums", (2, 2), "int32").tolist() == [[0, 5], [0, 0]]
    assert state.file("deep/work.txt").read_text() == "x"
    assert state.tensors("model") == {}


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", 7])
def test_names_are_checked(name: object) -> None:
    with pytest.raises(UnsavableValueError, match="printable"):
        State().array(name, 1)  # type: ignore[arg-type]
    with pytest.raises(UnsavableValueError, match="printable"):
        State().tensors(name, {})  # type: ignore[arg-type]


def test_a_forgotten_file_is_not_restored_and_its_folder_goes_with_the_shard(tmp_path: Path) -> None:
    owners = Owners(tmp_path)
    owners.state.file("keep").write_bytes(b"1")
    owners.state.file("drop").write_bytes(b"2")
    owners.save()
    owners.state.forget_file("drop")
    assert owners.save() is not None, "what is forgotten is a change"

    assert not owners.look().file("drop").exists()
    owners.engine.close()
    owners.workshop.clear()
    assert owners.workshop._folder is None


def test_nothing_of_a_shard_stays_on_the_disk_or_open(tmp_path: Path) -> None:
    open_before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        owners = Owners(tmp_path, tracker="auto")
        for step in range(3):
            owners.state.array(f"a{step}", 4000)[:] = step
            owners.state.file(f"f{step}").write_bytes(noise(9000))
        owners.save()
        owners.engine.close()
        owners.take_over()
        owners.engine.close()
    del owners
    gc.collect()

    assert list(tmp_path.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) <= open_before + 2


def test_the_folder_is_made_where_it_is_wanted(tmp_path: Path) -> None:
    assert Workshop(scratch_dir=str(tmp_path)).folder.parent == tmp_path

"""State and its maps: a dict with a journal."""

from typing import Any

import pytest

from spotproof.checkpoints.state import State
from spotproof.checkpoints.state_map import StateMap, apply_changes
from spotproof.errors import CheckpointCorruptError, UnsavableValueError


def durable(entries: dict[Any, Any]) -> StateMap:
    return StateMap("totals", entries)


def payload(each: StateMap) -> object:
    image = each.changes()
    return None if image is None else image.payload


def test_only_changed_keys_travel() -> None:
    totals = durable({"AA": 1, "UA": 2, "DL": 3})

    totals["UA"] = 20
    totals["B6"] = 4
    del totals["DL"]

    assert payload(totals) == [["DL"], {"UA": 20}, {"B6": 4}]


def test_a_key_deleted_and_inserted_again_moves_to_the_end_also_after_a_restore() -> None:
    totals = durable({"AA": 1, "UA": 2})
    del totals["AA"]
    totals["AA"] = 1

    restored = {"AA": 1, "UA": 2}
    apply_changes(restored, payload(totals))

    assert list(restored) == list(totals) == ["UA", "AA"]


def test_a_key_inserted_and_deleted_between_saves_leaves_no_trace() -> None:
    totals = durable({"AA": 1})
    totals["UA"] = 2
    del totals["UA"]

    assert totals.changes() is None


def test_reading_a_list_without_changing_it_carries_nothing() -> None:
    totals = durable({"AA": [1, 2]})

    assert totals["AA"] == [1, 2]

    assert totals.changes() is None


def test_a_list_changed_in_place_after_reading_travels() -> None:
    totals = durable({"AA": [1], "UA": [2]})

    totals["AA"].append(9)

    assert payload(totals) == [[], {"AA": [1, 9]}, {}]


def test_a_list_held_across_a_save_is_still_watched() -> None:
    totals = durable({"AA": [1]})
    held = totals["AA"]
    held.append(2)
    image = totals.changes()
    assert image is not None
    totals.became_durable(image, base=False)
    assert totals.changes() is None

    held.append(3)

    assert payload(totals) == [[], {"AA": [1, 2, 3]}, {}]


def test_a_list_that_was_stored_and_changed_later_is_watched() -> None:
    totals = durable({})
    held: list[int] = []
    totals["AA"] = held
    image = totals.whole()
    totals.became_durable(image, base=True)

    held.append(1)

    assert payload(totals) == [[], {"AA": [1]}, {}]


@pytest.mark.parametrize(
    "read",
    [lambda m: list(m.values()), lambda m: list(m.items()), lambda m: m.get("AA"), lambda m: m.setdefault("AA", [])],
)
def test_every_way_of_reading_a_list_marks_it(read: Any) -> None:
    totals = durable({"AA": [1]})

    got = read(totals)
    (got if got == [1] else got[0][1] if isinstance(got[0], tuple) else got[0]).append(2)

    assert payload(totals) == [[], {"AA": [1, 2]}, {}]


def test_a_change_between_saving_and_confirming_forces_a_whole_image() -> None:
    totals = durable({"AA": 1})
    totals["AA"] = 2
    image = totals.changes()
    assert image is not None
    totals["UA"] = 1

    totals.became_durable(image, base=False)

    assert totals.needs_base
    whole = totals.whole()
    totals.became_durable(whole, base=True)
    assert not totals.needs_base
    assert totals.changes() is None


def test_popitem_takes_the_newest_entry_like_a_dict() -> None:
    totals = durable({"AA": 1, "UA": 2})

    assert totals.popitem() == ("UA", 2)
    totals.clear()
    with pytest.raises(KeyError):
        totals.popitem()


def test_values_that_no_checkpoint_carries_are_refused_when_stored() -> None:
    state = State()

    with pytest.raises(UnsavableValueError, match=r"state\.map\('totals'\)\['AA'\] holds a builtins\.set"):
        state.map("totals")["AA"] = {1}
    with pytest.raises(UnsavableValueError, match="NaN"):
        state.map("totals")[float("nan")] = 1
    with pytest.raises(UnsavableValueError, match=r"state\['cursor'\] holds a builtins\.object"):
        state["cursor"] = object()
    with pytest.raises(UnsavableValueError, match="takes text as key"):
        state[7] = 1  # type: ignore[index]
    assert not state
    assert not state.map("totals")


def test_a_value_made_unsavable_in_place_is_named_at_the_save() -> None:
    state = State()
    state["rows"] = []
    state["rows"].append({1})

    with pytest.raises(UnsavableValueError, match=r"state\['rows'\] holds a builtins\.set"):
        state.encode_values()


def test_inline_names_and_map_names_do_not_clash() -> None:
    state = State()
    state["totals"] = 1
    state.map("totals")["a"] = 2

    assert state["totals"] == 1
    assert dict(state.map("totals")) == {"a": 2}
    assert state.map("totals") is state.map("totals")
    assert list(state) == ["totals"]


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "\ud800", 7])
def test_map_names_are_checked(name: Any) -> None:
    with pytest.raises(UnsavableValueError, match=r"state\.map takes a name"):
        State().map(name)


def test_the_estimate_grows_with_what_changed_and_ends_with_the_save() -> None:
    state = State()
    totals = state.map("totals")
    totals.update({number: [number] for number in range(100)})
    assert state.dirty_bytes > 1000

    totals.became_durable(totals.whole(), base=True)
    totals.learn_entry_size(size_bytes=1000, count=100)

    assert state.dirty_bytes == 0
    totals[5].append(1)
    assert state.dirty_bytes == 10


@pytest.mark.parametrize(
    "delta", [None, [], [[], {}], [["gone"], {}, {}], [[], {"gone": 1}, {}], [[], {}, {"AA": 1}], {"a": 1}]
)
def test_a_delta_that_does_not_fit_is_corrupt(delta: object) -> None:
    with pytest.raises(CheckpointCorruptError):
        apply_changes({"AA": 1}, delta)

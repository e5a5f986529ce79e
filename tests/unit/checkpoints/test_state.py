"""State and its maps: a dict with a journal."""

from typing import Any

import pytest

from spotproof.checkpoints.serializers import DEFAULT
from spotproof.checkpoints.state import State
from spotproof.checkpoints.state_map import MapImage, StateMap, apply_changes
from spotproof.errors import CheckpointCorruptError, UnsavableValueError


def durable(entries: dict[Any, Any]) -> StateMap:
    return StateMap("totals", entries)


def save(each: StateMap, *, base: bool = False) -> MapImage:
    """Save the map, durably."""
    image = each.gather(base=base)
    assert image is not None
    each.settle(image, durable=True)
    return image


def payload(each: StateMap) -> object:
    """What a save would carry; the save fails, so the map is as before."""
    image = each.gather(base=False)
    if image is None:
        return None
    each.settle(image, durable=False)
    return DEFAULT.decode(image.encoded)


def always(delta_bytes: int) -> bool:
    return True


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

    assert payload(totals) is None


def test_reading_a_list_without_changing_it_carries_nothing() -> None:
    totals = durable({"AA": [1, 2]})

    assert totals["AA"] == [1, 2]

    assert payload(totals) is None


def test_a_list_changed_in_place_after_reading_travels() -> None:
    totals = durable({"AA": [1], "UA": [2]})

    totals["AA"].append(9)

    assert payload(totals) == [[], {"AA": [1, 9]}, {}]


def test_a_list_held_across_a_save_is_still_watched() -> None:
    totals = durable({"AA": [1]})
    held = totals["AA"]
    held.append(2)
    save(totals)
    assert payload(totals) is None

    held.append(3)

    assert payload(totals) == [[], {"AA": [1, 2, 3]}, {}]


def test_a_list_that_was_stored_and_changed_later_is_watched() -> None:
    totals = durable({})
    held: list[int] = []
    totals["AA"] = held
    save(totals, base=True)

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


def test_a_change_while_a_save_is_under_way_belongs_to_the_next_one() -> None:
    totals = durable({"AA": 1})
    totals["AA"] = 2
    image = totals.gather(base=False)
    assert image is not None
    totals["UA"] = 1
    totals["AA"] = 3

    totals.settle(image, durable=True)

    assert DEFAULT.decode(image.encoded) == [[], {"AA": 2}, {}]
    assert payload(totals) == [[], {"AA": 3}, {"UA": 1}]


def test_what_a_failed_save_carried_is_due_again_in_front_of_what_came_since() -> None:
    totals = durable({"AA": [1], "UA": 2, "DL": 3})
    del totals["UA"]
    totals["B6"] = 4
    totals["WN"] = 5
    held = totals["AA"]
    held.append(2)
    image = totals.gather(base=False)
    assert image is not None
    del totals["B6"]
    totals["UA"] = 6
    totals["DL"] = 7

    totals.settle(image, durable=False)

    assert payload(totals) == [["UA"], {"DL": 7, "AA": [1, 2]}, {"WN": 5, "UA": 6}]


def test_a_list_changed_back_while_its_save_failed_carries_nothing() -> None:
    totals = durable({"AA": [1]})
    totals["AA"].append(2)
    image = totals.gather(base=False)
    assert image is not None
    totals["AA"].pop()

    totals.settle(image, durable=False)

    assert payload(totals) is None


def test_a_list_changed_back_after_its_save_travels_again() -> None:
    totals = durable({"AA": [1]})
    totals["AA"].append(2)
    image = totals.gather(base=False)
    assert image is not None
    totals["AA"].pop()

    totals.settle(image, durable=True)

    assert payload(totals) == [[], {"AA": [1]}, {}]


def test_a_base_is_the_map_as_it_was_gathered() -> None:
    totals = durable({"AA": 1, "UA": [2]})
    image = totals.gather(base=True)
    assert image is not None
    totals["UA"].append(3)
    del totals["AA"]

    assert DEFAULT.decode(image.encoded) == {"AA": 1, "UA": [2]}
    assert (image.base, image.count, image.length) == (True, 2, 2)
    totals.settle(image, durable=True)
    assert payload(totals) == [["AA"], {"UA": [2, 3]}, {}]


def test_a_map_without_entries_has_no_base_unless_it_had_some() -> None:
    totals = durable({})
    assert totals.gather(base=True) is None

    totals["AA"] = 1
    save(totals, base=True)
    del totals["AA"]

    assert save(totals, base=True).count == 0


def test_one_save_at_a_time_is_under_way() -> None:
    totals = durable({"AA": 1})
    image = totals.gather(base=True)
    assert image is not None

    with pytest.raises(AssertionError, match="settle the save in flight first"):
        totals.gather(base=True)
    totals.settle(image, durable=False)
    with pytest.raises(AssertionError, match="nothing was gathered"):
        totals.settle(image, durable=False)


@pytest.mark.parametrize("base", [True, False])
def test_a_map_that_can_not_be_saved_loses_nothing(base: bool) -> None:
    totals = durable({"AA": []})
    totals["UA"] = 1
    totals["AA"].append({1})
    with pytest.raises(UnsavableValueError, match=r"state\.map\('totals'\)\['AA'\]"):
        totals.gather(base=base)

    totals["AA"].clear()

    assert payload(totals) == [[], {}, {"UA": 1}]


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
    assert state.dirty_bytes == 6400

    save(totals, base=True)
    totals.learn_entry_size(size_bytes=1000, count=100)

    assert state.dirty_bytes == 0
    totals[5].append(1)
    totals[5] = [1]
    totals[5].append(2)
    assert state.dirty_bytes == 10
    del totals[6], totals[7]
    assert state.dirty_bytes == 30


def test_the_estimate_has_a_failed_saves_share_again() -> None:
    totals = durable({number: [number] for number in range(10)})
    totals.learn_entry_size(size_bytes=100, count=10)
    totals[1].append(1)
    totals[2] = 2
    image = totals.gather(base=False)
    assert image is not None
    totals[1].append(1)
    totals[3] = 3
    assert totals.dirty_bytes == 20

    totals.settle(image, durable=False)

    assert totals.dirty_bytes == 30


@pytest.mark.parametrize(
    "delta",
    [
        None,
        [],
        [[], {}],
        [["gone"], {}, {}],
        [["AA", "AA"], {}, {}],
        [[["AA"]], {}, {}],
        [[], {"gone": 1}, {}],
        [[], {}, {"AA": 1}],
        {"a": 1},
    ],
)
def test_a_delta_that_does_not_fit_is_corrupt(delta: object) -> None:
    with pytest.raises(CheckpointCorruptError):
        apply_changes({"AA": 1}, delta)


def test_a_base_that_only_replaces_an_older_one_waits_until_something_changes() -> None:
    totals = durable({"AA": [1]})
    assert totals["AA"] == [1]  # handed out, so it may have changed

    assert totals.gather(base=False, rebase=always) is None
    totals["AA"].append(2)
    image = totals.gather(base=False, rebase=always)

    assert image is not None
    assert DEFAULT.decode(image.encoded) == {"AA": [1, 2]}


def test_what_was_only_read_is_no_reason_to_rewrite_a_map() -> None:
    totals = durable({f"{key}": [key] for key in range(100)})
    totals.learn_entry_size(size_bytes=1000, count=100)
    assert all(totals.values())
    totals["7"].append(2)
    asked: list[int] = []

    def rebase(delta_bytes: int) -> bool:
        asked.append(delta_bytes)
        return delta_bytes > 500

    image = totals.gather(base=False, rebase=rebase)

    assert image is not None
    assert asked == [10], "one entry of 10 bytes changed, of a hundred that were read"
    assert DEFAULT.decode(image.encoded) == [[], {"7": [7, 2]}, {}]

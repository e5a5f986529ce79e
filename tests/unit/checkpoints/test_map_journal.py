"""Whatever happens to a map and to its saves: the durable base and deltas are the map, in its order."""

import copy
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from spotproof.checkpoints.map_journal import MapJournal
from spotproof.checkpoints.serializers import DEFAULT
from spotproof.checkpoints.state_map import MapImage, StateMap, apply_changes

KEYS = [0, 1, 2, True, "a", "b", (1, "c"), None]
keys = st.sampled_from(KEYS)
values = st.one_of(st.integers(0, 3), st.lists(st.integers(0, 2), max_size=2), st.just(("t", [1])), st.none())


def picture(entries: Any) -> list[Any]:
    """Contents with order and the types of keys."""
    return [(repr(key), value) for key, value in entries.items()]


class MapLife(RuleBasedStateMachine):
    """A map beside a plain dict, and beside what its durable images add up to."""

    def __init__(self) -> None:
        super().__init__()
        self.map = StateMap("m")
        self.model: dict[Any, Any] = {}
        self.held: list[tuple[list[int], list[int]]] = []
        self.durable: dict[Any, Any] | None = None  # by base and deltas
        self.in_flight: tuple[MapImage, dict[Any, Any]] | None = None  # and the model when it was taken

    @rule(key=keys, value=values)
    def put(self, key: Any, value: Any) -> None:
        ours, theirs = copy.deepcopy(value), copy.deepcopy(value)
        self.map[key] = ours
        self.model[key] = theirs
        if isinstance(ours, list):
            self.held.append((ours, theirs))

    @rule(key=keys)
    def remove(self, key: Any) -> None:
        assert self.map.pop(key, None) == self.model.pop(key, None)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def move_to_the_end(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(list(self.model)))
        self.map[key] = self.map.pop(key)
        self.model[key] = self.model.pop(key)

    @rule(key=keys, number=st.integers(0, 2))
    def change_in_place(self, key: Any, number: int) -> None:
        ours, theirs = self.map.get(key), self.model.get(key)
        if isinstance(ours, list) and isinstance(theirs, list):
            ours.append(number)
            theirs.append(number)
            self.held.append((ours, theirs))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def change_back_what_was_held(self, data: st.DataObject) -> None:
        ours, theirs = data.draw(st.sampled_from(self.held))
        if ours:
            ours.pop()
            theirs.pop()

    @rule()
    def clear(self) -> None:
        self.map.clear()
        self.model.clear()

    @precondition(lambda self: self.in_flight is None)
    @rule(base=st.booleans())
    def gather(self, base: bool) -> None:
        image = self.map.gather(base=base or self.durable is None)
        if image is None:
            assert picture(self.durable or {}) == picture(self.model), "a change was not gathered"
        else:
            assert image.length == len(self.model)
            self.in_flight = image, copy.deepcopy(self.model)

    @precondition(lambda self: self.in_flight is not None)
    @rule(durable=st.booleans())
    def settle(self, durable: bool) -> None:
        assert self.in_flight is not None
        image, then = self.in_flight
        self.in_flight = None
        self.map.settle(image, durable=durable)
        if durable:
            self._apply(image)
            assert picture(self.durable) == picture(then)

    def _apply(self, image: MapImage) -> None:
        payload = DEFAULT.decode(image.encoded)
        if image.base:
            assert isinstance(payload, dict)
            assert image.count == len(payload)
            self.durable = payload
        else:
            assert self.durable is not None
            assert isinstance(payload, list)
            assert image.count == sum(map(len, payload))
            apply_changes(self.durable, payload)

    @precondition(lambda self: self.in_flight is None and self.durable is not None)
    @rule()
    def restart(self) -> None:
        assert self.durable is not None
        self.map = StateMap("m", copy.deepcopy(self.durable))
        self.model = copy.deepcopy(self.durable)
        self.held.clear()

    @invariant()
    def the_map_equals_the_model(self) -> None:
        assert picture(self.map._entries) == picture(self.model)

    @invariant()
    def one_more_save_would_bring_everything(self) -> None:
        if self.in_flight is not None:
            return
        twin = copy.deepcopy(self.map)
        image = twin.gather(base=self.durable is None)
        if image is None:
            assert picture(self.durable or {}) == picture(self.model)
            return
        rest = copy.deepcopy(self.durable or {})
        payload = DEFAULT.decode(image.encoded)
        if image.base:
            assert isinstance(payload, dict)
            rest = payload
        else:
            apply_changes(rest, payload)
        assert picture(rest) == picture(self.model)


TestMapLife = MapLife.TestCase
TestMapLife.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


def test_nothing_followed_by_nothing_is_nothing() -> None:
    assert len(MapJournal().followed_by(MapJournal())) == 0


def test_a_key_inserted_by_a_failed_save_and_deleted_since_leaves_no_trace() -> None:
    first, later = MapJournal(), MapJournal()
    first.note_set("a", present=False)
    later.note_deleted("a")

    assert len(first.followed_by(later)) == 0

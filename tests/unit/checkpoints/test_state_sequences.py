"""Random work, saves, failures, crashes and damage: what is restored always equals a plain dict model, order included."""

import copy
import logging
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from spotproof.checkpoints.state import State
from spotproof.errors import AwsUnavailableError
from spotproof.leases.model import CheckpointPointer
from tests.fakes.ids import CountingIds
from tests.unit.checkpoints.builders import TINY, make_engine
from tests.unit.checkpoints.test_engine import FailingStore

Model = tuple[dict[str, Any], dict[str, dict[Any, Any]]]
names = st.sampled_from(["totals", "routes"])
keys = st.one_of(st.integers(0, 6), st.tuples(st.sampled_from("AB"), st.integers(0, 2)), st.booleans(), st.none())
values = st.one_of(
    st.integers(),
    st.text(max_size=3),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(keys, st.floats(allow_nan=False), max_size=2),
)


def picture(inline: Any, maps: Any) -> Any:
    """Contents with types and order, comparable."""
    return list(inline.items()), {name: [(repr(k), v) for k, v in each.items()] for name, each in maps.items() if each}


class ShardLife(RuleBasedStateMachine):
    """One shard under changing owners, beside a model made of plain dicts."""

    def __init__(self) -> None:
        super().__init__()
        logging.disable(logging.WARNING)
        self.objects = FailingStore()
        self.ids = CountingIds()
        self.token = 0
        self.pointer: CheckpointPointer | None = None
        self.model: Model = ({}, {})
        self.saving: Model = ({}, {})  # as the save on its way found it
        self.durable: dict[str, Model] = {}  # by manifest key
        self.damaged: set[str] = set()

    def teardown(self) -> None:
        logging.disable(logging.NOTSET)

    @initialize()
    def first_owner(self) -> None:
        self._take_over()

    def _take_over(self) -> str | None:
        self.token += 1
        self.engine = make_engine(self.objects, self.token, ids=self.ids, sizes=TINY)
        restored = self.engine.restore(self.pointer)
        self.state: State = restored.state
        self.held: list[tuple[list[int], list[int]]] = []
        self.model = ({}, {}) if restored.manifest_key is None else copy.deepcopy(self.durable[restored.manifest_key])
        if restored.fell_back is None and self.pointer is not None:
            assert restored.manifest_key == self.pointer.manifest_key
        return restored.manifest_key

    def _map(self, name: str) -> dict[Any, Any]:
        return self.model[1].setdefault(name, {})

    @rule(key=st.sampled_from("abc"), value=values)
    def set_inline(self, key: str, value: Any) -> None:
        self.state[key] = copy.deepcopy(value)
        self.model[0][key] = copy.deepcopy(value)

    @rule(key=st.sampled_from("abc"))
    def delete_inline(self, key: str) -> None:
        assert self.state.pop(key, None) == self.model[0].pop(key, None)

    @rule(name=names, key=keys, value=values)
    def set_entry(self, name: str, key: Any, value: Any) -> None:
        self.state.map(name)[key] = copy.deepcopy(value)
        self._map(name)[key] = copy.deepcopy(value)

    @rule(name=names, key=keys)
    def delete_entry(self, name: str, key: Any) -> None:
        assert self.state.map(name).pop(key, None) == self._map(name).pop(key, None)

    @rule(name=names, key=keys, number=st.integers())
    def change_in_place(self, name: str, key: Any, number: int) -> None:
        ours, theirs = self.state.map(name).get(key), self._map(name).get(key)
        if isinstance(ours, list):
            assert isinstance(theirs, list)
            ours.append(number)
            theirs.append(number)
            self.held.append((ours, theirs))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), number=st.integers())
    def change_what_was_held_for_long(self, data: st.DataObject, number: int) -> None:
        ours, theirs = data.draw(st.sampled_from(self.held))
        ours.append(number)
        theirs.append(number)

    @rule(name=names)
    def clear(self, name: str) -> None:
        self.state.map(name).clear()
        self._map(name).clear()

    def _record(self, pointer: CheckpointPointer) -> None:
        assert self.pointer is None or pointer.seq > self.pointer.seq
        self.pointer = pointer
        self.durable[pointer.manifest_key] = copy.deepcopy(self.saving)

    @rule(deadline=st.booleans())
    def save(self, deadline: bool) -> None:
        self.saving = self.model
        self.engine.save(self.state, record=self._record, deadline=9e9 if deadline else None)

    @rule(name=names, key=keys, value=values, fails=st.booleans())
    def work_goes_on_while_a_save_is_carried(self, name: str, key: Any, value: Any, fails: bool) -> None:
        self.saving = copy.deepcopy(self.model)
        saving = self.engine.begin(self.state, record=self._refuse if fails else self._record)
        self.set_entry(name, key, value)
        if saving is None:
            return
        try:
            assert self.engine.settle() is not None
        except AwsUnavailableError:
            assert fails

    def _refuse(self, pointer: CheckpointPointer) -> None:
        """The manifest is durable, but the pointer never learns of it."""
        self.durable[pointer.manifest_key] = copy.deepcopy(self.saving)
        raise AwsUnavailableError("record: down")

    @rule(allowed=st.integers(0, 2))
    def fail_to_save(self, allowed: int) -> None:
        self.saving = self.model
        self.objects.allowed = allowed
        try:
            self.engine.save(self.state, record=self._record)
        except AwsUnavailableError:
            return
        finally:
            self.objects.allowed = 10**9

    @rule()
    def crash(self) -> None:
        self._take_over()

    @precondition(lambda self: self.pointer is not None)
    @rule(data=st.data())
    def crash_with_a_damaged_generation(self, data: st.DataObject) -> None:
        assert self.pointer is not None
        save_id = self.pointer.manifest_key.rpartition("/")[2]
        own = {key for key in self.objects.objects if f"/{save_id}" in key} - self.damaged
        key = data.draw(st.sampled_from(sorted(own) or [self.pointer.manifest_key]))
        if key in self.damaged:
            return
        self.damaged.add(key)
        good = self.objects.objects[key]
        position = data.draw(st.integers(0, len(good) * 8 - 1))
        damaged = bytearray(good)
        damaged[position // 8] ^= 1 << position % 8
        self.objects.objects[key] = bytes(damaged)

        assert self._take_over() != self.pointer.manifest_key
        self.save(False)

    @invariant()
    def the_live_state_equals_the_model(self) -> None:
        if self.token:
            assert picture(self.state, self.state.maps) == picture(*self.model)

    @invariant()
    def a_restore_equals_the_last_durable_model(self) -> None:
        if self.pointer is None:
            return
        restored = make_engine(self.objects, self.token + 1).restore(self.pointer)
        expected = ({}, {}) if restored.manifest_key is None else self.durable[restored.manifest_key]
        assert picture(restored.state, restored.state.maps) == picture(*expected)


TestShardLife = ShardLife.TestCase
TestShardLife.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)

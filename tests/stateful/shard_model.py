"""A shard's state as plain dicts, and the edits that a job makes to both."""

import copy
from dataclasses import dataclass, field
from typing import Any, Final

from hypothesis import strategies as st

from spotproof.checkpoints.manifest import INLINE_BYTES_MAX
from spotproof.checkpoints.state import State

MAPS: Final = ("totals", "routes")
BIG: Final = "big"  # stands for a text that no manifest carries inline


@dataclass
class StateModel:
    values: dict[str, Any] = field(default_factory=dict)
    maps: dict[str, dict[Any, Any]] = field(default_factory=dict)

    def copy(self) -> "StateModel":
        return copy.deepcopy(self)

    def map(self, name: str) -> dict[Any, Any]:
        return self.maps.setdefault(name, {})

    def equals(self, state: State) -> bool:
        """Same contents, types and order."""
        return bool(picture(self.values, self.maps) == picture(state, state.maps))


def picture(values: Any, maps: Any) -> Any:
    filled = {name: [(repr(key), repr(value)) for key, value in each.items()] for name, each in maps.items() if each}
    return [(key, repr(value)) for key, value in values.items()], filled


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing that a job does to its state."""

    place: str  # a map, or "" for the inline values
    verb: str  # set | delete | append | fill | clear
    key: Any
    value: Any


keys: Final = st.sampled_from([0, 1, 2, True, None, ("A", 0), ("B", 1), "é", "k"])
values: Final = st.sampled_from([0, -1, 2**70, 1.5, "", "ü", b"\0", None, [1], {"n": [2]}, [], (1, 2), BIG])
edits: Final = st.lists(
    st.builds(
        Edit,
        st.sampled_from(("", *MAPS)),
        st.sampled_from(("set", "set", "append", "delete", "fill", "clear")),
        keys,
        values,
    ),
    min_size=1,
    max_size=4,
)


def apply(edit: Edit, state: State, model: StateModel) -> None:
    """The edit on both; what they answer must be the same."""
    ours: Any = state.map(edit.place) if edit.place else state
    theirs: Any = model.map(edit.place) if edit.place else model.values
    key = edit.key if edit.place else str(edit.key)
    value = "x" * (INLINE_BYTES_MAX + 1) if edit.value == BIG else edit.value
    match edit.verb:
        case "set":
            for target in (ours, theirs):
                target[key] = copy.deepcopy(value)
        case "append":
            for target in (ours, theirs):
                if isinstance(target.get(key), list):
                    target[key].append(edit.key)
        case "delete":
            assert repr(ours.pop(key, None)) == repr(theirs.pop(key, None))
        case "fill":
            for target in (ours, theirs):
                target.update({f"row {number}": number * 7919 for number in range(40)})
        case "clear":
            for target in (ours, theirs):
                target.clear()

"""Typed access to the items of the table; unknown attributes are tolerated, newer schemas refused."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, TypeVar

from spotproof import contract
from spotproof.errors import MALFORMED, ItemError, ItemTooNewError
from spotproof.leases.attribute_values import AttributeValue, Item, to_attribute_value, to_item
from spotproof.leases.expressions import SCHEMA
from spotproof.leases.model import RunId

_OUR_SCHEMA: Final = to_attribute_value(SCHEMA)
T = TypeVar("T")


def damage_told(read: Callable[[Mapping[str, AttributeValue]], T]) -> Callable[[Mapping[str, AttributeValue]], T]:
    """Wraps a reader of items: whatever it stumbles over in one is an ItemError, as a missing attribute is.

    Raises:
        ItemError: from the wrapped reader, if the item can't be what this program wrote.
    """

    @wraps(read)
    def reading(item: Mapping[str, AttributeValue]) -> T:
        try:
            return read(item)
        except MALFORMED as error:
            raise ItemError(
                f"item {_key(item)} is damaged ({type(error).__name__}: {error}); was the table edited by hand?"
            ) from error

    return reading


class ItemReader:
    """Typed access to one item.

    Raises:
        ItemError: an attribute is missing or has another type than ours.
        ItemTooNewError: the item's schema is newer than SCHEMA.
    """

    def __init__(self, item: Mapping[str, AttributeValue]) -> None:
        self.item = item
        if item.get("schema") == _OUR_SCHEMA:
            return
        schema = self.integer("schema", SCHEMA)
        if schema > SCHEMA:
            raise ItemTooNewError(
                f"item {_key(self.item)} has schema {schema}, this program knows up to {SCHEMA}; upgrade spotproof"
            )

    def text(self, name: str, default: str | None = None) -> str:
        return str(self._value(name, "S", default))

    def integer(self, name: str, default: int | None = None) -> int:
        return _whole(self._value(name, "N", default))

    def real(self, name: str, default: float | None = None) -> float:
        return float(self._value(name, "N", default))

    def text_or_none(self, name: str) -> str | None:
        return str(self._value(name, "S", None)) if name in self.item else None

    def integer_or_none(self, name: str) -> int | None:
        return _whole(self._value(name, "N", None)) if name in self.item else None

    def real_or_none(self, name: str) -> float | None:
        return float(self._value(name, "N", None)) if name in self.item else None

    def integers(self, name: str) -> frozenset[int]:
        return frozenset(int(number) for number in self._value(name, "NS", ()))

    def members(self, name: str) -> list["ItemReader"]:
        """The maps of a list attribute; empty if absent."""
        return [ItemReader(part["M"]) for part in self._value(name, "L", ())]

    def whole_numbers(self, name: str) -> list[int]:
        """The numbers of a list attribute; empty if absent."""
        return [_whole(part["N"]) for part in self._value(name, "L", ())]

    def texts(self, name: str) -> dict[str, str]:
        """The texts of a map attribute; empty if absent."""
        return {key: str(part["S"]) for key, part in self._value(name, "M", {}).items()}

    def _value(self, name: str, kind: str, default: Any) -> Any:
        value = self.item.get(name)
        if value is None:
            if default is not None:
                return default
        elif kind in value:
            return value[kind]
        problem = "is missing" if value is None else f"has type {next(iter(value))} instead of {kind}"
        raise ItemError(f"attribute {name!r} of item {_key(self.item)} {problem}; was the table edited by hand?")


def _key(item: Mapping[str, AttributeValue]) -> str:
    parts = (item.get(name, {}).get("S", "?") for name in (contract.PARTITION_KEY, contract.SORT_KEY))
    return "/".join(parts)


def _whole(number: Any) -> int:
    try:
        return int(number)
    except ValueError:
        return int(float(number))  # such as 5.0 or 5e3, which only a foreign hand writes


def key_of(pk: str, sk: str) -> Item:
    return to_item({contract.PARTITION_KEY: pk, contract.SORT_KEY: sk})


def run_id_of(pk: str) -> RunId:
    """The run of any partition key of the table.

    Raises:
        ItemError: it is none of ours.
    """
    kind, _, rest = pk.partition("#")
    run_id = rest.partition("#")[0]
    if kind != "RUN" or not run_id:
        raise ItemError(f"partition key {pk!r} is no run's; was the table edited by hand?")
    return RunId(run_id)

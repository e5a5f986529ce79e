"""Typed access to the items of the table; unknown attributes are tolerated, newer schemas refused."""

from collections.abc import Mapping
from typing import Any, Final

from spotproof import contract
from spotproof.errors import ItemError, ItemTooNewError
from spotproof.leases.attribute_values import AttributeValue, Item, to_attribute_value, to_item
from spotproof.leases.expressions import SCHEMA
from spotproof.leases.model import RunId

_OUR_SCHEMA: Final = to_attribute_value(SCHEMA)


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
                f"item {self._key()} has schema {schema}, this program knows up to {SCHEMA}; upgrade spotproof"
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
        raise ItemError(f"attribute {name!r} of item {self._key()} {problem}; was the table edited by hand?")

    def _key(self) -> str:
        parts = (self.item.get(name, {}).get("S", "?") for name in (contract.PARTITION_KEY, contract.SORT_KEY))
        return "/".join(parts)


def _whole(number: Any) -> int:
    try:
        return int(number)
    except ValueError:
        return int(float(number))  # such as 5.0 or 5e3, which only a foreign hand writes


def key_of(pk: str, sk: str) -> Item:
    return to_item({contract.PARTITION_KEY: pk, contract.SORT_KEY: sk})


def run_id_of(pk: str) -> RunId:
    """The run of any partition key of the table."""
    return RunId(pk.split("#")[1])

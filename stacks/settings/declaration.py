"""How a context value is declared: its kind, its default and its meaning stand beside its name, once."""

from collections.abc import Mapping
from dataclasses import Field, dataclass, field
from typing import Any, Protocol, TypeVar

SHOWN_MAX = 80  # characters of a wrong value in a message

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Refusal(Exception):  # noqa: N818 - never seen outside of this package: it becomes a ConfigurationError
    """A value is not of its kind; the text goes after the value's name."""


class Kind(Protocol[T_co]):
    """What a value may be. Values come as text from the command line, or as JSON from cdk.json."""

    @property
    def allowed(self) -> str:
        """The values that are right, in words that follow "must be"."""
        ...

    def parse(self, value: object) -> T_co:
        """The value, typed; raises Refusal if it is not one of those."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One declared context value."""

    name: str
    section: str  # what it belongs to
    kind: Kind[object]
    default: object
    doc: str  # one line

    def parse(self, value: object) -> object:
        """Raises Refusal, whose text names the value and says what would be right."""
        try:
            return self.kind.parse(value)
        except Refusal as refusal:
            raise Refusal(f"context value {self.name} {refusal}") from None


def setting(kind: Kind[T], default: T, doc: str) -> T:
    """A dataclass field that is a context value. To a type checker it is its default."""
    return field(default=default, metadata={"kind": kind, "doc": doc})


def declared(section: str, own: Field[Any]) -> Setting:
    """The declaration that a field was made from."""
    told: Mapping[str, Any] = own.metadata
    return Setting(name=own.name, section=section, kind=told["kind"], default=own.default, doc=told["doc"])


def refuse(allowed: str, value: object) -> Refusal:
    """What to raise: what would be right, and what was given."""
    return Refusal(f"must be {allowed}, got {shown(value)}")


def shown(value: object) -> str:
    """The value in a message: on one line, and no longer than one reads."""
    text = repr(value)
    return text if len(text) <= SHOWN_MAX else f"{text[: SHOWN_MAX - 1]}…"

"""Update expressions, compiled to functions from the old item to the changed attributes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from spotproof.leases.attribute_values import AttributeValue, Item
from spotproof.leases.memory.conditions import Scope, number_of
from spotproof.leases.memory.tokens import Cursor, tokens_of
from spotproof.leases.memory.validation import InvalidExpressionError

Value = Callable[[Scope], AttributeValue]


@dataclass(frozen=True, slots=True)
class Update:
    """What an update does, by `#name`."""

    sets: tuple[tuple[str, Value], ...]
    adds: tuple[tuple[str, str], ...]
    removes: tuple[str, ...]
    paths: tuple[str, ...]  # all of them

    def apply(self, scope: Scope) -> Item:
        """The new item; every right-hand side reads the old one.

        Raises:
            InvalidExpressionError: the service would refuse this update of this item.
        """
        new = dict(scope.item)
        for path, value in self.sets:
            new[scope.names[path]] = value(scope)
        for path, placeholder in self.adds:
            name = scope.names[path]
            new[name] = _added(scope.item.get(name), scope.values[placeholder])
        for path in self.removes:
            new.pop(scope.names[path], None)
        return new


@cache
def update_of(text: str) -> Update:
    """The compiled expression.

    Raises:
        InvalidExpressionError: the service would refuse it, or it is outside our subset.
    """
    cursor = Cursor(tokens_of(text))
    seen: set[str] = set()
    sets: list[tuple[str, Value]] = []
    adds: list[tuple[str, str]] = []
    removes: list[str] = []
    while cursor.word is not None:
        clause = cursor.take()
        if clause in seen:
            raise InvalidExpressionError(f"the {clause} section can only be used once")
        seen.add(clause)
        match clause:
            case "SET":
                _repeat(cursor, lambda: sets.append(_assignment(cursor)))
            case "ADD":
                _repeat(cursor, lambda: adds.append((cursor.take_name(), cursor.take_value())))
            case "REMOVE":
                _repeat(cursor, lambda: removes.append(cursor.take_name()))
            case _:
                raise InvalidExpressionError(f"unknown section {clause!r}")
    paths = (*(path for path, _ in sets), *(path for path, _ in adds), *removes)
    if len(set(paths)) != len(paths):
        raise InvalidExpressionError("two document paths overlap with each other")
    return Update(sets=tuple(sets), adds=tuple(adds), removes=tuple(removes), paths=paths)


def _repeat(cursor: Cursor, one: Callable[[], None]) -> None:
    one()
    while cursor.take_if(","):
        one()


def _assignment(cursor: Cursor) -> tuple[str, Value]:
    path = cursor.take_name()
    cursor.expect("=")
    left = _operand(cursor)
    if cursor.word not in ("+", "-"):
        return path, left
    factor = 1 if cursor.take() == "+" else -1
    right = _operand(cursor)
    return path, lambda scope: _sum(left(scope), right(scope), factor)


def _operand(cursor: Cursor) -> Value:
    if cursor.take_if("if_not_exists"):
        cursor.expect("(")
        name = cursor.take_name()
        cursor.expect(",")
        otherwise = _operand(cursor)
        cursor.expect(")")
        return lambda scope: scope.item.get(scope.names[name]) or otherwise(scope)
    if (cursor.word or "").startswith(":"):
        value = cursor.take()
        return lambda scope: scope.values[value]
    path = cursor.take_name()
    return lambda scope: _existing(scope, path)


def _existing(scope: Scope, path: str) -> AttributeValue:
    value = scope.item.get(scope.names[path])
    if value is None:
        raise InvalidExpressionError("the expression refers to an attribute that does not exist in the item")
    return value


def _sum(left: AttributeValue, right: AttributeValue, factor: int) -> AttributeValue:
    if "N" not in left or "N" not in right:
        raise InvalidExpressionError("incorrect operand type for + or -: both must be numbers")
    total = number_of(left["N"]) + factor * number_of(right["N"])
    return {"N": str(total) if isinstance(total, int) else format(total, "f")}


def _added(old: AttributeValue | None, value: AttributeValue) -> AttributeValue:
    [(kind, content)] = value.items()
    if kind not in ("N", "NS", "SS"):
        raise InvalidExpressionError(f"incorrect operand type for ADD: {kind}")
    if old is None:
        return value
    if kind not in old:
        raise InvalidExpressionError("type mismatch for attribute to update")
    if kind == "N":
        return _sum(old, value, 1)
    return {kind: sorted(set(old[kind]) | set(content))}

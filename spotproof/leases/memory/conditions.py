"""Condition and key condition expressions, compiled to functions of an item."""

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Final, NamedTuple

from spotproof.leases.attribute_values import AttributeValue
from spotproof.leases.memory.tokens import Cursor, tokens_of
from spotproof.leases.memory.validation import InvalidExpressionError


class Scope(NamedTuple):
    """What an expression is evaluated on: the stored item (empty if there is none), names and values."""

    item: Mapping[str, AttributeValue]
    names: Mapping[str, str]
    values: Mapping[str, AttributeValue]


Condition = Callable[[Scope], bool]
Operand = Callable[[Scope], AttributeValue | None]

_ORDERED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_FUNCTIONS: Final = ("attribute_exists", "attribute_not_exists", "contains")


@cache
def condition_of(text: str) -> Condition:
    """The compiled expression.

    Raises:
        InvalidExpressionError: the service would refuse it, or it is outside our subset.
    """
    cursor = Cursor(tokens_of(text))
    condition = _disjunction(cursor)
    cursor.expect_end()
    return condition


def number_of(text: str) -> int | Decimal:
    """The exact value of a number's text; whole numbers are compared and added faster."""
    return int(text) if text.isdecimal() else Decimal(text)


def comparable(value: AttributeValue) -> tuple[str, Any]:
    """Type and content such that equal values are equal and ordered types compare."""
    [(kind, content)] = value.items()
    match kind:
        case "N":
            return kind, number_of(content)
        case "NS":
            return kind, frozenset(map(number_of, content))
        case "SS" | "BS":
            return kind, frozenset(content)
    return kind, content


def _disjunction(cursor: Cursor) -> Condition:
    parts = [_conjunction(cursor)]
    while cursor.take_if("OR"):
        parts.append(_conjunction(cursor))
    return parts[0] if len(parts) == 1 else _first_to_be(True, parts)


def _conjunction(cursor: Cursor) -> Condition:
    parts = [_negation(cursor)]
    while cursor.take_if("AND"):
        parts.append(_negation(cursor))
    return parts[0] if len(parts) == 1 else _first_to_be(False, parts)


def _first_to_be(decisive: bool, parts: list[Condition]) -> Condition:
    """OR of the parts if True decides, AND if False does."""

    def condition(scope: Scope) -> bool:
        for part in parts:
            if part(scope) is decisive:
                return decisive
        return not decisive

    return condition


def _negation(cursor: Cursor) -> Condition:
    if cursor.take_if("NOT"):
        inner = _negation(cursor)
        return lambda scope: not inner(scope)
    if cursor.word == "(":
        return _group(cursor)
    if cursor.word in _FUNCTIONS:
        return _function(cursor)
    return _comparison(cursor)


def _group(cursor: Cursor) -> Condition:
    cursor.expect("(")
    if cursor.word == "(":
        start = cursor.position
        _group(cursor)
        if cursor.word == ")":
            raise InvalidExpressionError("the expression has redundant parentheses")
        cursor.position = start
    inner = _disjunction(cursor)
    cursor.expect(")")
    return inner


def _function(cursor: Cursor) -> Condition:
    name = cursor.take()
    cursor.expect("(")
    path = cursor.take_name()
    if name == "contains":
        cursor.expect(",")
        searched = _operand(cursor)
        cursor.expect(")")
        return lambda scope: _contains(scope.item.get(scope.names[path]), searched(scope))
    cursor.expect(")")
    if name == "attribute_exists":
        return lambda scope: scope.names[path] in scope.item
    return lambda scope: scope.names[path] not in scope.item


def _contains(container: AttributeValue | None, searched: AttributeValue | None) -> bool:
    if container is None or searched is None:
        return False
    kind, content = comparable(container)
    searched_kind, wanted = comparable(searched)
    if kind == "L":
        return any(comparable(member) == (searched_kind, wanted) for member in content)
    return kind in (searched_kind, f"{searched_kind}S") and wanted in content


def _comparison(cursor: Cursor) -> Condition:
    left = _operand(cursor)
    sign = cursor.take()
    right = _operand(cursor)
    if sign == "=":
        return lambda scope: _equal(left(scope), right(scope))
    if sign == "<>":
        return lambda scope: not _equal(left(scope), right(scope))
    if sign not in _ORDERED:
        raise InvalidExpressionError(f"unknown comparator {sign!r}")
    return lambda scope: _ordered(_ORDERED[sign], left(scope), right(scope))


def _equal(left: AttributeValue | None, right: AttributeValue | None) -> bool:
    if left is None or right is None:
        return False
    return left == right or comparable(left) == comparable(right)


def _ordered(compare: Callable[[Any, Any], bool], left: AttributeValue | None, right: AttributeValue | None) -> bool:
    if left is None or right is None:
        return False
    left_kind, left_content = comparable(left)
    right_kind, right_content = comparable(right)
    return left_kind == right_kind and left_kind in ("S", "N", "B") and compare(left_content, right_content)


def _operand(cursor: Cursor) -> Operand:
    if cursor.take_if("size"):
        cursor.expect("(")
        path = cursor.take_name()
        cursor.expect(")")
        return lambda scope: _size(scope.item.get(scope.names[path]))
    if (cursor.word or "").startswith(":"):
        value = cursor.take()
        return lambda scope: scope.values[value]
    name = cursor.take_name()
    return lambda scope: scope.item.get(scope.names[name])


def _size(value: AttributeValue | None) -> AttributeValue | None:
    if value is None:
        return None
    [(kind, content)] = value.items()
    if kind in ("N", "BOOL", "NULL"):
        return None
    return {"N": str(len(content.encode() if kind == "S" else content))}

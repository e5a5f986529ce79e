"""What the job computes, as plain values: how many flights, cancellations and minutes of delay by carrier and route."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

FIELDS: Final = (
    "flights",
    "cancelled",
    "dep_delay_sum",
    "dep_delay_worst",
    "landed",
    "arr_delay_sum",
    "arr_delay_worst",
)
_WORST: Final = frozenset({FIELDS.index("dep_delay_worst"), FIELDS.index("arr_delay_worst")})
Row = tuple[int, ...]  # in the order of FIELDS


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayStatistics:
    """Rows by carrier code and by route `EWR-IAH`."""

    carriers: Mapping[str, Row]
    routes: Mapping[str, Row]

    @property
    def flights(self) -> int:
        return sum(row[0] for row in self.carriers.values())


def merged(parts: Iterable[Mapping[str, Row]]) -> dict[str, Row]:
    """The rows of all parts together, sorted by name."""
    totals: dict[str, Row] = {}
    for part in parts:
        for name, row in part.items():
            totals[name] = _added(totals[name], row) if name in totals else tuple(row)
    return dict(sorted(totals.items()))


def _added(left: Row, right: Row) -> Row:
    return tuple(
        max(a, b) if position in _WORST else a + b for position, (a, b) in enumerate(zip(left, right, strict=True))
    )


def first_difference(expected: DelayStatistics, actual: DelayStatistics) -> str | None:
    """Where the two differ first, as a sentence; None if they are equal."""
    for what, left, right in (
        ("carrier", expected.carriers, actual.carriers),
        ("route", expected.routes, actual.routes),
    ):
        for name in sorted(left.keys() | right.keys()):
            if left.get(name) != right.get(name):
                return f"{what} {name}: expected {left.get(name)}, got {right.get(name)}"
    return None

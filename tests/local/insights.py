"""The part of CloudWatch Logs Insights that the saved queries use, over lines that were really logged.

Source: "CloudWatch Logs Insights language query syntax" of the user guide. What is not known here is refused, so that no
query passes without having been understood.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Line = dict[str, Any]
_WORD = r"@?\w+"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a query returned, and which fields of lines it spoke of."""

    rows: list[Line]
    matched: list[Line]  # lines that passed the first filter
    fields: frozenset[str]


def run_query(text: str, lines: Iterable[Line]) -> Answer:
    """Run the query; raises ValueError on anything that is not known here."""
    rows: list[Line] = list(lines)
    matched = rows
    fields: set[str] = set()
    made: set[str] = set()  # by stats: no fields of lines
    for number, stage in enumerate(re.split(r"\n\| ", text)):
        word, _, rest = stage.partition(" ")
        match word:
            case "filter":
                rows = [row for row in rows if _condition(rest, fields)(row)]
                matched = rows if number == 0 else matched
            case "fields":
                names = [name.strip() for name in rest.split(",")]
                fields |= set(names) - made
                rows = [{name: row[name] for name in names if row.get(name) is not None} for row in rows]
            case "stats":
                rows = _stats(rest, rows, fields, made)
            case "sort":
                name, _, order = rest.partition(" ")
                _require(order in ("desc", "asc", ""), stage)
                fields |= {name} - made
                present = [row for row in rows if row.get(name) is not None]
                absent = [row for row in rows if row.get(name) is None]
                rows = sorted(present, key=lambda row: row[name], reverse=order == "desc") + absent
            case "limit":
                rows = rows[: int(rest)]
            case _:
                raise ValueError(f"unknown stage: {stage!r}")
    return Answer(rows=rows, matched=matched, fields=frozenset(fields))


def _condition(text: str, fields: set[str]) -> Callable[[Line], bool]:
    parts = [_comparison(part.strip(), fields) for part in text.split(" and ")]
    return lambda row: all(part(row) for part in parts)


def _comparison(text: str, fields: set[str]) -> Callable[[Line], bool]:
    if found := re.fullmatch(rf"({_WORD}) in (\[.+\])", text):
        name, values = found[1], json.loads(found[2])
        fields.add(name)
        return lambda row: row.get(name) in values
    if found := re.fullmatch(rf"({_WORD}) (=|!=) (\".*\")", text):
        name, wanted, equal = found[1], json.loads(found[3]), found[2] == "="
        fields.add(name)
        return lambda row: row.get(name) is not None and (row[name] == wanted) is equal
    raise ValueError(f"unknown condition: {text!r}")


def _stats(text: str, rows: Sequence[Line], fields: set[str], made: set[str]) -> list[Line]:
    calls, _, by = text.partition(" by ")
    keys = [name.strip() for name in by.split(",")]
    fields |= set(keys)
    groups: dict[tuple[Any, ...], list[Line]] = defaultdict(list)
    for row in rows:
        groups[tuple(row.get(key) for key in keys)].append(row)
    parts = re.findall(rf"(\w+)\(([^)]+)\) as ({_WORD})", calls)
    _require(", ".join(f"{name}({given}) as {alias}" for name, given, alias in parts) == calls, text)
    made |= {alias for _, _, alias in parts}
    fields |= {given.split(",")[0] for _, given, _ in parts} - {"*"}
    return [
        {
            **dict(zip(keys, key, strict=True)),
            **{alias: _aggregate(name, given, members) for name, given, alias in parts},
        }
        for key, members in groups.items()
    ]


def _aggregate(name: str, given: str, rows: Sequence[Line]) -> Any:
    field, _, percent = given.partition(",")
    values = [row[field] for row in rows if row.get(field) is not None]
    match name:
        case "count":
            return len(rows) if field == "*" else len(values)
        case "count_distinct":
            return len(set(values))
        case "sum":
            return sum(values)
        case "max":
            return max(values, default=None)
        case "avg":
            return sum(values) / len(values) if values else None
        case "pct":
            return sorted(values)[round((len(values) - 1) * float(percent) / 100)] if values else None
        case _:
            raise ValueError(f"unknown function: {name}")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"unknown: {what!r}")

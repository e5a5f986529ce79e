"""Decisions of a run's history, as JSON and for people."""

from collections.abc import Sequence
from typing import Any

from spotproof.leases.model import HistoryEntry
from spotproof_cli.output import Output
from spotproof_cli.run_reports import moment


def history_fields(entry: HistoryEntry) -> dict[str, Any]:
    """A decision as JSON, key order fixed."""
    return {
        "at": moment(entry.at),
        "kind": entry.kind,
        "reason": entry.reason,
        "facts": dict(sorted(entry.facts.items())),
    }


def history_row(entry: HistoryEntry) -> tuple[str, str, str]:
    """A decision as a row of a table: time, what, why."""
    return str(moment(entry.at)), entry.kind, entry.reason


def print_decisions(output: Output, entries: Sequence[HistoryEntry]) -> None:
    """A table of decisions, none if there were none."""
    if entries:
        output.table(("TIME", "DECISION", "WHY"), [history_row(entry) for entry in entries])

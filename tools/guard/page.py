"""`python -m tools.guard.page`: writes the tables of docs/guard.md from the rules and from the list of unused grants."""

import sys
from pathlib import Path
from typing import Final

from tools import privileges
from tools.guard.rules import RULES

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "guard.md"


def rules_table() -> str:
    """A row for each rule."""
    rows = [f"| `{rule.name}` | {rule.demand}{' (`strict` only)' if rule.strict else ''} |" for rule in RULES]
    return "\n".join(["| rule | what it asks for |", "|---|---|", *rows])


TABLES: Final = {"rules": rules_table, "unused grants": privileges.table}


def with_tables(page: str) -> str:
    """The page with what is between its marks replaced.

    Raises:
        ValueError: a mark is missing.
    """
    for name, table in TABLES.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        before, opened, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not opened or not closed:
            raise ValueError(f"{PAGE.name} has lost its marks {begin} and {end}")
        page = f"{before}{begin}\n{table()}\n{end}{after}"
    return page


def main() -> int:
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tools.security_page`: writes the table of docs/security.md from the acknowledgements."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from stacks.acknowledgements import ACKNOWLEDGED, Acknowledged

PAGE = Path(__file__).resolve().parent.parent / "docs" / "security.md"
BEGIN, END = "<!-- begin of the acknowledgements -->", "<!-- end of the acknowledgements -->"


def table(acknowledged: Iterable[Acknowledged] = ACKNOWLEDGED) -> str:
    """One row for each: what stays, who finds it, where, and why."""
    rows = (
        (
            f"{each.title}{' (strict only)' if each.is_strict_only else ''}",
            ", ".join(f"`{rule}`" for rule in each.rules),
            f"`{each.where}`",
            each.reason,
        )
        for each in acknowledged
    )
    lines = ["| what stays | rules | where | why |", "|---|---|---|---|"]
    return "\n".join([*lines, *(_line(row) for row in rows), ""])


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def with_table(page: str, content: str) -> str:
    """The page with what is between its marks replaced.

    Raises:
        ValueError: a mark is missing.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"docs/security.md has lost its marks {BEGIN} and {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n{content}{END}", page)


def main() -> int:
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

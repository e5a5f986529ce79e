"""`python -m tools.configuration_page`: writes the tables of docs/configuration.md from the declared context values."""

import itertools
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from stacks.settings import DECLARED
from stacks.settings.declaration import Setting

PAGE = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"
BEGIN, END = "<!-- begin of the generated tables -->", "<!-- end of the generated tables -->"
DEFAULT_SHOWN_MAX = 3  # items of a list


def tables(declared: Iterable[Setting] | None = None) -> str:
    """A heading and a table for each section, in the order of declaration."""
    settings = list(DECLARED.values()) if declared is None else list(declared)
    return "\n".join(
        "\n".join(
            [f"### {section}", "", "| value | must be | default | what it does |", "|---|---|---|---|", *rows, ""]
        )
        for section, rows in (
            (section, [_row(each) for each in group])
            for section, group in itertools.groupby(settings, key=lambda each: each.section)
        )
    )


def with_tables(page: str, content: str) -> str:
    """The page with what is between its marks replaced.

    Raises:
        ValueError: a mark is missing.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"docs/configuration.md has lost its marks {BEGIN} and {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n{content}{END}", page)


def _row(setting: Setting) -> str:
    cells = (f"`{setting.name}`", setting.kind.allowed, _default(setting.default), setting.doc)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: object) -> str:
    if value in ("", ()):
        return "none"
    if isinstance(value, tuple):
        shown = ",".join(value[:DEFAULT_SHOWN_MAX])
        more = len(value) - DEFAULT_SHOWN_MAX
        return f"`{shown}`" if more <= 0 else f"`{shown}` and {more} more"
    return f"`{value}`"


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    fresh = with_tables(page, tables())
    if fresh != page:
        PAGE.write_text(fresh, encoding="utf-8")
        print(f"{PAGE.name} is written anew")
    return 0


if __name__ == "__main__":
    sys.exit(main())

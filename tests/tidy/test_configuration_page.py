"""docs/configuration.md lists the context values that there are."""

import pytest

from stacks.settings import DECLARED
from tools.configuration_page import BEGIN, END, PAGE, tables, with_tables


def test_the_page_says_what_is_declared() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == with_tables(page, tables()), "run: python -m tools.configuration_page"


def test_every_value_has_a_row_and_no_cell_breaks_it() -> None:
    rows = [line for line in tables().splitlines() if line.startswith("| `")]

    assert [row.split("`")[1] for row in rows] == list(DECLARED)
    assert {row.replace("\\|", "").count("|") for row in rows} == {5}


def test_only_what_is_between_the_marks_is_made() -> None:
    assert with_tables(f"before\n{BEGIN}\nold\n{END}\nafter", "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter"
    with pytest.raises(ValueError, match="has lost its marks"):
        with_tables("before", "new\n")

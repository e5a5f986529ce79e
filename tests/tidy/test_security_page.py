"""docs/security.md lists the acknowledgements that there are."""

import pytest

from stacks.acknowledgements import ACKNOWLEDGED
from tools.security_page import BEGIN, END, PAGE, table, with_table


def test_the_page_lists_what_is_acknowledged() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == with_table(page, table()), "run: python -m tools.security_page"


def test_every_acknowledgement_has_a_row_with_its_reason_and_no_cell_breaks_it() -> None:
    _, _, *rows = table().splitlines()

    assert len(rows) == len(ACKNOWLEDGED)
    for row, acknowledged in zip(rows, ACKNOWLEDGED, strict=True):
        assert acknowledged.reason in row
        assert row.replace("\\|", "").count("|") == 5


def test_only_what_is_between_the_marks_is_made() -> None:
    assert with_table(f"before\n{BEGIN}\nold\n{END}\nafter", "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter"
    with pytest.raises(ValueError, match="has lost its marks"):
        with_table("before", "new\n")

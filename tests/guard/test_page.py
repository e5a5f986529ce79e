"""docs/guard.md says what the rules and the list of unused grants say."""

import pytest

from tools.guard.page import PAGE, with_tables
from tools.guard.rules import RULES


def test_the_page_is_as_generated() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == with_tables(page), "run `python -m tools.guard.page`"


def test_every_rule_is_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert [rule.name for rule in RULES if f"| `{rule.name}` |" not in page] == []


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="has lost its marks"):
        with_tables("# no marks")

"""The tables of docs/deploying.md."""

import re
from collections.abc import Mapping
from pathlib import Path

from tools.idle_cost.items import Item, total_usd
from tools.idle_cost.prices import PriceList

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "deploying.md"
BEGIN, END = "<!-- begin of the idle cost -->", "<!-- end of the idle cost -->"


def tables(profiles: Mapping[str, tuple[Item, ...]], prices: PriceList) -> str:
    """A table for each profile, by its title."""
    head = f"Prices of {prices.as_of}, {prices.region}, US dollars a month.\n"
    return "\n".join([head, *(_table(title, items) for title, items in profiles.items())])


def _table(title: str, items: tuple[Item, ...]) -> str:
    listed, usd = total_usd(items)
    rows = [
        f"| {each.what} | {_number(each.units)} × {each.unit} | {each.usd_listed:.2f} | {each.usd:.2f} |"
        for each in sorted(items, key=lambda each: (-each.usd, -each.usd_listed, each.what))
    ]
    return "\n".join(
        [
            f"**{title}**",
            "",
            "| what | units a month | as listed | after free units |",
            "|---|---|---|---|",
            *rows,
            f"| **together** | | **{listed:.2f}** | **{usd:.2f}** |",
            "",
        ]
    )


def with_tables(page: str, content: str) -> str:
    """The page with what is between its marks replaced.

    Raises:
        ValueError: a mark is missing.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not pattern.search(page):
        raise ValueError(f"docs/deploying.md has lost its marks {BEGIN} and {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n{content}{END}", page)


def _number(units: float) -> str:
    return f"{units:,.0f}" if units >= 10 or units == int(units) else f"{units:.2f}"

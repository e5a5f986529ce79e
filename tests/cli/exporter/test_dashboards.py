"""Dashboard, alert rules and page quote the exporter's metrics, all of them and no others."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from spotproof.capacity.waiting import Explanation, WaitingKind
from spotproof_cli.exporter.metrics import METRICS
from tools import grafana_dashboard
from tools.grafana_panels import ROWS, Panel, Query, Row

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "dashboards" / "prometheus" / "spotproof.rules.yml"
RULE_TESTS = RULES.with_name("spotproof.test.yml")
PAGE = ROOT / "docs" / "prometheus.md"
NAMES = {each.full_name for each in METRICS}
_QUOTED = re.compile(r"\bspotproof_[a-z_]+\b")
TABLE_HEAD = "| metric | labels | shows |\n|---|---|---|\n"


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]
    return found


def quoted(expressions: list[str]) -> set[str]:
    return {name for expression in expressions for name in _QUOTED.findall(expression)}


def test_the_dashboard_is_what_its_panels_say() -> None:
    assert grafana_dashboard.PATH.read_text() == grafana_dashboard.text(), "run: python -m tools.grafana_dashboard"


def test_every_metric_is_shown_or_watched_and_every_quoted_one_exists() -> None:
    shown = quoted([expression for _, expression in grafana_dashboard.expressions(grafana_dashboard.dashboard())])
    watched = quoted([rule["expr"] for rule in rules()])

    assert sorted((shown | watched) - NAMES) == []
    assert sorted(NAMES - shown) == []


def test_a_rule_asks_only_for_labels_that_its_metrics_have() -> None:
    labels = {each.full_name: set(each.labels) for each in METRICS}
    expressions = [expression for _, expression in grafana_dashboard.expressions(grafana_dashboard.dashboard())]

    asked = [
        (name, label)
        for expression in [*expressions, *(rule["expr"] for rule in rules())]
        for name, matchers in re.findall(r"\b(spotproof_[a-z_]+)\{([^}]*)\}", expression)
        for label in re.findall(r"(\w+)=~?\"", matchers)
    ]

    assert asked
    assert [(name, label) for name, label in asked if label not in labels[name] | {"instance"}] == []


def test_the_alert_about_people_names_every_reason_that_does_not_pass_by_itself() -> None:
    (rule,) = [each for each in rules() if each["alert"] == "SpotproofWorkersNeedAPerson"]
    named = re.search(r'reason=~"([a-z_|]+)"', rule["expr"])

    assert named is not None
    assert set(named[1].split("|")) == {
        kind.value for kind in WaitingKind if Explanation(kind=kind, text="", advice="").needs_person
    }


def test_each_alert_is_tested_both_ways_and_explained_on_the_page() -> None:
    cases = [case for test in yaml.safe_load(RULE_TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
    names = sorted(rule["alert"] for rule in rules())

    assert sorted({case["alertname"] for case in cases if case["exp_alerts"]}) == names
    assert sorted({case["alertname"] for case in cases if not case["exp_alerts"]}) == names
    assert sorted(re.findall(r"^\| `(Spotproof\w+)` \|", PAGE.read_text(), re.MULTILINE)) == names


def test_the_page_lists_every_metric_as_it_is() -> None:
    """After a wanted change: UPDATE_GOLDEN=1 pytest tests/cli/exporter/test_dashboards.py, and read the diff."""
    rows = "".join(
        f"| `{each.full_name}` | {', '.join(f'`{label}`' for label in each.labels)} | {each.help} |\n"
        for each in METRICS
    )
    before, _, rest = PAGE.read_text().partition(TABLE_HEAD)
    listed, _, after = rest.partition("\n\n")
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(f"{before}{TABLE_HEAD}{rows}\n{after}")
        listed = rows.rstrip("\n")

    assert listed == rows.rstrip("\n")


@pytest.mark.parametrize("widths", [(8, 8, 8, 8), (12, 12, 24), (4,) * 7])
def test_panels_stand_beside_and_below_each_other_and_never_on_one_another(widths: tuple[int, ...]) -> None:
    panels = tuple(
        Panel(title=f"{number}", says="x", queries=(Query(expr="up"),), width=width)
        for number, width in enumerate(widths)
    )
    placed = grafana_dashboard.dashboard([Row(question="one?", panels=panels), Row(question="two?", panels=panels)])

    cells = [
        (x, y)
        for each in placed["panels"]
        for x in range(each["gridPos"]["x"], each["gridPos"]["x"] + each["gridPos"]["w"])
        for y in range(each["gridPos"]["y"], each["gridPos"]["y"] + each["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({each["id"] for each in placed["panels"]}) == len(placed["panels"])


def test_every_panel_says_what_it_shows() -> None:
    panels = [panel for row in ROWS for panel in row.panels]

    assert len(ROWS) == 5
    assert [panel.title for panel in panels if not panel.says.endswith(".")] == []
    assert len({panel.title for panel in panels}) == len(panels)

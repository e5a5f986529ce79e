"""Writes the Grafana dashboard from its panels; the file in the repository is what this writes."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tools.grafana_panels import ROWS, Panel, Row, View

PATH: Final = Path(__file__).resolve().parent.parent / "dashboards" / "grafana" / "spotproof.json"
WIDTH: Final = 24  # Grafana's grid
HEIGHT: Final = 8
SCHEMA: Final = 39  # of Grafana 10; newer ones read it
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def dashboard(rows: Sequence[Row] = ROWS) -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    return {
        "title": "Spotproof",
        "uid": "spotproof",
        "description": "Data pipelines on AWS Batch Spot. Numbers: `spotproof exporter`.",
        "tags": ["spotproof"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "templating": {
            "list": [
                _data_source(),
                _variable("exporter", "spotproof_exporter_info", "instance"),
                _variable("run", "spotproof_run_shards", "run"),
            ]
        },
        "panels": list(_placed(rows)),
    }


def text() -> str:
    """The file's content."""
    return json.dumps(dashboard(), indent=2, sort_keys=True) + "\n"


def expressions(written: dict[str, Any]) -> list[tuple[str, str]]:
    """Panel and query of every target in a dashboard."""
    return [(panel["title"], target["expr"]) for panel in written["panels"] for target in panel.get("targets", [])]


def _placed(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Rows from above, panels from the left; a panel that does not fit begins a line."""
    y = number = 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.question,
            "collapsed": False,
            "panels": [],
            "gridPos": _grid(0, y, WIDTH, 1),
        }
        y, x = y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                y, x = y + HEIGHT, 0
            number += 1
            yield {"id": number, **_panel(panel), "gridPos": _grid(x, y, panel.width, HEIGHT)}
            x += panel.width
        y += HEIGHT


def _grid(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    instant = panel.view is not View.LINES
    lines = {
        "custom": {
            "fillOpacity": 25 if panel.stacked else 5,
            "stacking": {"mode": "normal" if panel.stacked else "none"},
        }
    }
    return {
        "type": panel.view.value,
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, **({} if instant else lines)}, "overrides": []},
        "options": {"legend": {"showLegend": True, "placement": "bottom"}} if not instant else {},
        "targets": [
            {
                "refId": chr(ord("A") + position),
                "datasource": SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                "instant": instant,
                "range": not instant,
                **({"format": "table"} if panel.view is View.TABLE else {}),
            }
            for position, query in enumerate(panel.queries)
        ],
    }


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}


def _variable(name: str, metric: str, label: str) -> dict[str, Any]:
    """All values, or some of them, of a label."""
    query = f"label_values({metric}, {label})"
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,  # when the time range changes
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }


def main() -> int:
    """`python -m tools.grafana_dashboard`: write the file."""
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_text(text())
    print(PATH)
    return 0


if __name__ == "__main__":
    sys.exit(main())

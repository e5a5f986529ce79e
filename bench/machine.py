"""What machine and versions a result was measured on."""

import json
import os
import platform
import statistics
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def facts() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "boto3": metadata.version("boto3"),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Minimum, median and maximum; at least one value."""
    return {
        "n": len(values),
        "min": round(min(values), 3),
        "median": round(statistics.median(values), 3),
        "max": round(max(values), 3),
    }


def publish(name: str, results: dict[str, Any]) -> None:
    """Write bench/results/<name>.json and print it."""
    text = json.dumps({"machine": facts(), **results}, indent=1)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)

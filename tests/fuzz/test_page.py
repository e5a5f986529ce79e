"""The page about fuzzing names every target, and the published result is of all of them."""

import json
import re
from pathlib import Path

from tests.fuzz.targets import SURFACES

ROOT = Path(__file__).parents[2]


def test_the_page_lists_every_target_and_whose_input_it_is() -> None:
    told = re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", (ROOT / "docs" / "fuzzing.md").read_text(), re.MULTILINE)

    assert told == [(target.name, target.surface) for make in SURFACES.values() for target in make()]


def test_the_published_million_is_of_every_target_and_found_nothing() -> None:
    result = json.loads((ROOT / "bench" / "results" / "fuzz.json").read_text())

    assert result["inputs"] >= 1_000_000
    assert result["findings"] == 0
    assert {each["target"] for each in result["by_target"]} == {
        target.name for make in SURFACES.values() for target in make()
    }

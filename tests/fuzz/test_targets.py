"""No bad input makes a reader of the product fail otherwise than documented. `make fuzz` looks much longer."""

import pytest

from tests.fuzz.campaign import play
from tests.fuzz.targets import SURFACES

INPUTS = 1200  # of a target with share 1
# What takes everything has no refusals: whatever it makes of the input keeps its promise.
TAKES_ALL = {"download-path", "terminal-text", "input-files", "instance-identity", "log-line", "command-line"}


@pytest.mark.parametrize("surface", SURFACES)
def test_bad_input_is_understood_or_refused_in_one_line(surface: str) -> None:
    for target in SURFACES[surface]():
        played = play(target, count=max(len(target.seeds), round(INPUTS * target.share)), seed=1)

        assert played.findings == {}, target.name
        assert played.accepted >= len(target.seeds), f"{target.name}: a good input was refused"
        assert played.refused > 0 or target.name in TAKES_ALL, f"{target.name}: nothing was ever refused"
        assert played.ways > 1, f"{target.name}: every input went the same way"


def test_every_target_has_a_name_of_its_own() -> None:
    names = [target.name for make in SURFACES.values() for target in make()]

    assert len(set(names)) == len(names)

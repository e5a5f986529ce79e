"""The gate of planted bugs: patches fit the code, and only a bug caught for its own reason passes."""

from pathlib import Path
from typing import Final

import pytest

from tests.simulation.mutants.__main__ import HEALTHY, judge
from tests.simulation.mutants.copies import PatchRefusedError, copy_code, copy_of
from tests.simulation.mutants.patch import Mutant, all_mutants, read_mutant

MUTANTS: Final = all_mutants()
KNOWN: Final = next(each for each in MUTANTS if each.name == "published-before-commit")
HARMLESS: Final = """\
--- a/simulation/outcome.py
+++ b/simulation/outcome.py
@@ -1 +1 @@
-\"\"\"What one seed came to: small, and free of anything that lives only in its process.\"\"\"
+\"\"\"What one seed came to.\"\"\"
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutants") / "base"
    copy_code(folder)
    return folder


def mutant(diff: str, *caught_by: str) -> Mutant:
    return Mutant(name="by hand", bug="made here", caught_by=frozenset(caught_by or {"I1"}), diff=diff)


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 30


@pytest.mark.parametrize("planted", MUTANTS, ids=lambda each: each.name)
def test_its_patch_fits_the_code(planted: Mutant, base: Path, tmp_path: Path) -> None:
    copy_of(base, tmp_path / "copy", planted.diff)


def test_a_patch_that_does_not_fit_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(PatchRefusedError, match="patch"):
        copy_of(base, tmp_path / "copy", HARMLESS.replace("What one seed came to:", "What it came to:"))


def test_a_patch_must_say_what_it_breaks(tmp_path: Path) -> None:
    (tmp_path / "nameless.patch").write_text(HARMLESS)
    with pytest.raises(ValueError, match="nameless"):
        read_mutant(tmp_path / "nameless.patch")


def test_a_copy_keeps_the_original_as_it_is(base: Path, tmp_path: Path) -> None:
    copy_of(base, tmp_path / "copy", HARMLESS)
    assert "small" in (base / "simulation/outcome.py").read_text()
    assert "small" not in (tmp_path / "copy/simulation/outcome.py").read_text()


def test_a_bug_that_is_caught_for_its_reason_passes(base: Path) -> None:
    verdict = judge(KNOWN, base=base, seeds=10)
    assert verdict.passed, verdict.told()
    assert verdict.invariant == "I4"


def test_a_bug_that_is_caught_for_another_reason_fails(base: Path) -> None:
    verdict = judge(mutant(KNOWN.diff, "I2"), base=base, seeds=10)
    assert not verdict.passed
    assert "expected ['I2']" in verdict.told()


def test_a_survivor_fails_and_healthy_code_passes(base: Path) -> None:
    assert not judge(mutant(HARMLESS), base=base, seeds=1).passed
    assert judge(HEALTHY, base=base, seeds=1).passed


def test_a_patch_that_breaks_python_is_not_caught_but_failed(base: Path) -> None:
    broken = judge(mutant(HARMLESS.replace('+"""What one seed came to."""', "+nonsense(")), base=base, seeds=1)
    assert not broken.passed
    assert "does not even run" in broken.told()

"""Real processes, killed with SIGKILL while they train and save: the curve and the weights stay the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.repository import ROOT

ALLOWED = {"loop": (4, 1, 9, 6), "trainer": (4, 9)}  # steps of each process, then it is killed


def run_process(kind: str, folder: Path, token: int, curve: dict[str, str], *, steps: int | None) -> None:
    """Read its curve; kill it without any warning after so many steps."""
    command = [sys.executable, "-m", "tests.ml.killable_training", kind, str(folder), str(token)]
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for count, line in enumerate(process.stdout, start=1):
            step, value = line.split()
            assert curve.setdefault(step, value) == value, f"step {step} was another the second time"
            if count == steps:
                process.kill()
                break
    assert process.returncode == (0 if steps is None else -9)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "steps"), [("loop", 44), ("trainer", 15)])
def test_a_killed_process_leaves_a_state_that_goes_on_to_the_bit(tmp_path: Path, kind: str, steps: int) -> None:
    undisturbed: dict[str, str] = {}
    interrupted: dict[str, str] = {}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    run_process(kind, tmp_path / "a", 1, undisturbed, steps=None)

    for token, allowed in enumerate((*ALLOWED[kind], None), start=1):
        run_process(kind, tmp_path / "b", token, interrupted, steps=allowed)

    assert interrupted == undisturbed
    assert len(undisturbed) == steps + 1  # and the digest of the weights

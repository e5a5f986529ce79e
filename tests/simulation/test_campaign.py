"""Claims about campaigns: seeds are added up, a failure is told so that anyone can replay it, wrong arguments are refused."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import simulation.__main__ as program
from simulation.campaign import SCENARIO, Tally, run_seeds
from simulation.checks.base import Violation
from simulation.outcome import Outcome
from simulation.scratch import scratch_folder

ROOT = Path(__file__).parent.parent.parent


def outcome(seed: int, *, broken: bool = False) -> Outcome:
    violation = Violation(invariant="I4", words="part-1 was published and deleted", moment=90_500_000)
    return Outcome(
        seed=seed,
        violations=(violation,) if broken else (),
        digest=f"digest {seed}",
        struck={("E1", "finalizer"): 2, ("C1 wrong clocks", SCENARIO): 1},
        sites={"worker s3.get_object plan": 3},
        calls=10,
        steps=20,
        virtual_s=3600.0,
        last_words=("   90.5  finalizer 2   s3.delete_objects data",) if broken else (),
        facts={},
    )


def ninth_breaks(seed: int) -> Outcome:
    return outcome(seed, broken=seed == 9)


def every_breaks(seed: int) -> Outcome:
    return outcome(seed, broken=True)


def looks(seed: int) -> Outcome:
    """Leaves a file behind, as a killed container does, and tells where."""
    folder = Path(scratch_folder())
    (folder / f"left-by-{seed}").touch()
    return replace(outcome(seed), facts={str(folder): 1})


def fails(seed: int) -> Outcome:
    looks(seed)
    raise RuntimeError(scratch_folder())


def test_a_tally_adds_up() -> None:
    tally = Tally()
    for seed in (1, 2):
        tally.add(outcome(seed))
    tally.add(outcome(3, broken=True))

    assert (tally.seeds, tally.calls, tally.steps, tally.virtual_s) == (3, 30, 60, 3 * 3600.0)
    assert tally.struck == Counter({("E1", "finalizer"): 6, ("C1 wrong clocks", SCENARIO): 3})
    assert tally.sites == Counter({"worker s3.get_object plan": 9})
    assert [failure.seed for failure in tally.failures] == [3]


def test_what_a_world_is_like_from_its_beginning_is_no_fault_of_a_job() -> None:
    tally = Tally()
    tally.add(outcome(1))

    assert tally.faults_per_job == 2


@pytest.mark.parametrize("processes", [1, 2])
def test_outcomes_come_in_the_order_of_the_seeds(processes: int) -> None:
    found = list(run_seeds(range(5, 60), run=outcome, processes=processes))

    assert [each.seed for each in found] == list(range(5, 60))


def test_a_failing_seed_is_told_with_all_it_takes_to_look_into_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "run_seed", ninth_breaks)

    assert program.main(["--seeds", "12", "--processes", "1"]) == 1

    said = capsys.readouterr().out
    assert "12 simulated jobs, 1 violated; 2.0 faults a job" in said
    assert "seeds 1…12" in said
    assert "seed 9 broke a promise" in said
    assert "I4 after 90.500 s: part-1 was published and deleted" in said
    assert "finalizer 2   s3.delete_objects data" in said
    assert said.count("make simulate SEED=9") == 1


def test_a_campaign_without_a_failure_succeeds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "run_seed", ninth_breaks)

    assert program.main(["--seeds", "3", "--first", "10", "--processes", "1"]) == 0

    assert "3 simulated jobs, 0 violated" in capsys.readouterr().out


def test_a_campaign_in_which_everything_breaks_stops_after_some(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "run_seed", every_breaks)

    assert program.main(["--seeds", "1000", "--fresh", "100", "--processes", "1"]) == 1

    said = capsys.readouterr().out
    assert said.count("broke a promise") == program.SHOWN
    assert f"seeds 1…{program.SHOWN}\n" in said


def test_fresh_seeds_are_new_every_time_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[int] = []

    def keep(seed: int) -> Outcome:
        ran.append(seed)
        return outcome(seed)

    monkeypatch.setattr(program, "run_seed", keep)
    for _ in range(2):
        assert program.main(["--seeds", "2", "--fresh", "1", "--processes", "1"]) == 0

    assert (ran[:2], ran[3:5]) == ([1, 2], [1, 2])
    assert ran[2] != ran[5]
    assert f"and 1 fresh ones from {ran[2]}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [["--seeds", "many"], ["--seed", "-1"], ["--seed", ""], ["--first", "1.5"], ["--unknown"], ["7"]],
    ids=" ".join,
)
def test_wrong_arguments_give_one_line_and_exit_code_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        program.main(wrong)

    said = capsys.readouterr()
    assert end.value.code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "make simulate SEEDS=500" in said.err


def test_a_seed_is_retold_with_every_event_and_without_a_violation_succeeds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert program.main(["--seed", "3"]) == 0

    said = capsys.readouterr().out
    assert said.startswith("seed 3: ")
    for event in ("job SUBMITTED", "container started", "dynamodb.update_item commit", "mark cleaned"):
        assert event in said


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("given", "runs"),
    [
        ((), "--seeds 500 --first 1 --fresh 0"),
        (("SEEDS=12000", "FIRST_SEED=7", "FRESH=9"), "--seeds 12000 --first 7 --fresh 9"),
        (("SEED=42",), "--seed 42"),
        (("SEED=",), "--seed "),
    ],
    ids=str,
)
def test_make_passes_what_was_given(given: tuple[str, ...], runs: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEED")}
    environment = {
        name: value for name, value in environment.items() if name not in ("MAKEFLAGS", "FIRST_SEED", "FRESH")
    }

    planned = subprocess.run(
        ["make", "--dry-run", "simulate", *given],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip

    [line] = [line for line in planned.stdout.splitlines() if "-m simulation" in line]
    assert f"-m simulation {runs}" in line.replace('"', "") + " "


def test_the_program_runs_by_its_name() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "simulation", "--seeds", "2", "--processes", "1"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ran.returncode, ran.stderr) == (0, "")
    assert "2 simulated jobs, 0 violated" in ran.stdout


def test_the_processes_of_a_campaign_share_a_scratch_folder_that_is_gone_afterwards() -> None:
    folders = {folder for each in run_seeds(range(1, 80), run=looks, processes=2) for folder in each.facts}
    assert len(folders) == 1
    assert not Path(folders.pop()).exists()


def test_the_scratch_folder_is_gone_after_an_error_too() -> None:
    with pytest.raises(RuntimeError) as raised:
        list(run_seeds(range(1, 80), run=fails, processes=2))
    assert not Path(str(raised.value)).exists()


def test_a_process_by_itself_leaves_no_scratch_folder() -> None:
    told = "from simulation.scratch import scratch_folder; print(scratch_folder())"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).exists()

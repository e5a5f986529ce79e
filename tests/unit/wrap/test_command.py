"""The words of a command, and the entry point that turns them into a worker."""

from pathlib import Path

import pytest

from batch_jobs.wrap.__main__ import main, wrapped_program
from batch_jobs.wrap.command import fill_in, find_program
from batch_jobs.wrap.places import option_variables
from spotproof import contract
from spotproof.errors import ConfigurationError
from spotproof.worker.registry import job_names


def test_a_bare_name_is_looked_for_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "solver").write_text("#!/bin/sh\n")
    (tmp_path / "solver").chmod(0o755)

    words = find_program(["solver", "-x"], base=Path("/nowhere"), search_path=f"/bin:{tmp_path}")

    assert words == [str(tmp_path / "solver"), "-x"]


def test_a_path_starts_at_the_base_unless_it_is_absolute(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/solver").write_text("#!/bin/sh\n")

    assert find_program(["bin/solver"], base=tmp_path, search_path="") == [str(tmp_path / "bin/solver")]
    assert find_program(["/bin/sh"], base=tmp_path, search_path="") == ["/bin/sh"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no program given"),
        ([""], "no program given"),
        (["no-such"], "no program 'no-such' on PATH"),
        (["./no-such"], "no program './no-such' below"),
        (["/no/such"], "no program '/no/such'"),
        (["folder/"], "no program 'folder/'"),
    ],
)
def test_what_can_not_run_is_refused_in_one_line(tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(ConfigurationError) as refused:
        find_program(words, base=tmp_path, search_path=str(tmp_path))

    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_only_known_names_are_filled_in() -> None:
    words = [
        "$SPOTPROOF_SHARD/x",
        "a${SPOTPROOF_SHARD}b",
        "$SPOTPROOF_SHARDS",
        "$HOME",
        "$1",
        "$$",
        "${SPOTPROOF_OPTION_X}",
    ]

    assert fill_in(words, {"SPOTPROOF_SHARD": "7"}) == [
        "7/x", "a7b", "$SPOTPROOF_SHARDS", "$HOME", "$1", "$$", "${SPOTPROOF_OPTION_X}",
    ]  # fmt: skip


def test_two_options_never_share_a_variable() -> None:
    assert option_variables({"max-steps": "1", "π": "3"}) == {
        "SPOTPROOF_OPTION_MAX_STEPS": "1", "SPOTPROOF_OPTION__": "3",
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match="SPOTPROOF_OPTION_A_B"):
        option_variables({"a-b": "1", "a_b": "2"})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--job", "x"], "no program given"),
        (["--job", "x", "--"], "no program given"),
        (["--job", "X!", "--", "true"], "job name 'X!'"),
        (["--", "true"], "worker arguments"),
        (["--job", "x", "--", "no-such-program"], "on PATH"),
    ],
)
def test_bad_arguments_end_with_configuration_and_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(arguments) == contract.EXIT_CONFIGURATION

    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_the_worker_is_started_with_the_registered_job(capsys: pytest.CaptureFixture[str]) -> None:
    """Outside of a worker's environment it goes no further than that."""
    code = main(["--job", "entry-point-test", "--input", "s3://b/in/", "--", "true", "--input", "its own"])

    assert "entry-point-test" in job_names()
    assert code == contract.EXIT_CONFIGURATION
    assert "SPOTPROOF_TABLE" in capsys.readouterr().err


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")

    with pytest.raises(ConfigurationError, match="need Linux"):
        wrapped_program(["true"], {"PATH": "/bin"})

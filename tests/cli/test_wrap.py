"""`spotproof wrap`: what it hands to the worker, and what it says where no worker can work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import batch_jobs.worker_main
import batch_jobs.wrap.__main__
import spotproof_cli.commands.wrap
from spotproof import contract
from tests.cli.conftest import World

WORKER_ENVIRONMENT = {
    contract.ENV_TABLE: "shards",
    contract.ENV_WORK_BUCKET: "work-bucket",
    contract.ENV_DATA_BUCKET: "data-bucket",
    "AWS_REGION": "eu-central-1",
}
WRAP = ("wrap", "--input", "s3://data-bucket/in/")


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the worker was started with; it ends with 75."""
    calls: list[list[str]] = []

    def main(arguments: list[str]) -> int:
        calls.append(arguments)
        return contract.EXIT_INTERRUPTED

    monkeypatch.setattr(batch_jobs.wrap.__main__, "main", main)
    monkeypatch.setattr(spotproof_cli.commands.wrap, "leave", sys.exit)
    return calls


def test_everything_behind_the_dashes_is_the_programs(world: World, handed_over: list[list[str]]) -> None:
    world.env.update(WORKER_ENVIRONMENT)

    result = world.run(*WRAP, "--run", "r1", "--", "./My Solver", "--input", "x", "-v", "--", "-o", "a=b")

    assert result.exit_code == contract.EXIT_INTERRUPTED
    [arguments] = handed_over
    at = arguments.index("--")
    assert arguments[at + 1 :] == ["./My Solver", "--input", "x", "-v", "--", "-o", "a=b"]
    given = batch_jobs.worker_main.parse_arguments([*arguments[:at], "--module", "m"])
    assert (given.job, given.run, given.input) == ("my-solver", "r1", "s3://data-bucket/in/")
    assert (given.output, given.shard_by, given.options) == (contract.AUTO,) * 3


def test_parameters_reach_the_worker(world: World, handed_over: list[list[str]]) -> None:
    world.env.update(WORKER_ENVIRONMENT)

    world.run(
        *WRAP, "--job", "solver", "--output", "s3://data-bucket/out/", "--shard-by", "objects", "-o", "ttl_s=30",
        "-o", "steps=9", "--", "true",
    )  # fmt: skip

    [arguments] = handed_over
    given = batch_jobs.worker_main.parse_arguments([*arguments[: arguments.index("--")], "--module", "m"])
    assert (given.job, given.run, given.output) == ("solver", contract.AUTO, "s3://data-bucket/out/")
    assert (given.shard_by, given.options) == ("objects", "ttl_s=30,steps=9")


def test_outside_of_a_workers_environment_one_line_says_what_to_do(world: World, handed_over: list[list[str]]) -> None:
    result = world.run(*WRAP, "--", "./solver")

    assert result.exit_code == 3
    assert result.stderr.count("\n") == 1
    assert "SPOTPROOF_TABLE, SPOTPROOF_WORK_BUCKET, SPOTPROOF_DATA_BUCKET are not set" in result.stderr
    assert "stacks/jobs.py" in result.stderr
    assert handed_over == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (WRAP, 2, "Missing argument"),
        (("wrap", "--", "true"), 2, "--input"),
        (("wrap", "--input", "nowhere", "--", "true"), 2, "--input must look like s3://bucket/prefix"),
        ((*WRAP, "--run", "?", "--", "true"), 2, "run id '?'"),
        ((*WRAP, "--job", "A", "--", "true"), 2, "job name 'A'"),
        ((*WRAP, "--shard-by", "moon", "--", "true"), 2, "--shard-by"),
        ((*WRAP, "--local", "--", "true"), 2, "from its environment: drop --local"),
        ((*WRAP, "--region", "eu-west-1", "--", "true"), 2, "drop --region"),
    ],
)
def test_bad_arguments_are_one_line(
    world: World, handed_over: list[list[str]], arguments: tuple[str, ...], code: int, says: str
) -> None:
    world.env.update(WORKER_ENVIRONMENT)

    result = world.run(*arguments)

    assert result.exit_code == code
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert handed_over == []


def run_for_real(tmp_path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "spotproof_cli", *WRAP, "--run", "r1", "--", *words],
        env={
            **WORKER_ENVIRONMENT, "PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": os.pathsep.join(sys.path),
        },
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_program_that_does_not_exist_is_said_before_any_work(tmp_path: Path) -> None:
    for words, says in (
        (("no-such-solver",), "there is no program 'no-such-solver' on PATH"),
        (("./solver",), f"there is no program './solver' below {tmp_path}"),
    ):
        done = run_for_real(tmp_path, *words)

        assert done.returncode == 3
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert says in done.stderr

"""Rows of stacks/jobs.py that name a program instead of a Python function."""

import re
import stat
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App

import app as spotproof_app
from batch_jobs.worker_main import parse_arguments
from batch_jobs.wrap.command import find_program
from spotproof import contract
from spotproof.errors import ConfigurationError
from stacks.compute import ComputeStack
from stacks.jobs import COMMAND_BYTES_MAX, JobSpec, check_rows
from stacks.settings import DeploySettings
from stacks.state import StateStack
from tests.stacks.assembly import Assembly, Json, tiny_bundles

SOLVER = JobSpec(name="solver", command=("batch_jobs/worker_main.py", "--steps", "$SPOTPROOF_SHARD"))
SORT = JobSpec(name="sort", command=("sh", "-c", 'sort "$SPOTPROOF_INPUT" > "$SPOTPROOF_OUTPUT_DIR/sorted"'))


def synthesise(directory: Path, *jobs: JobSpec) -> Assembly:
    app = App(outdir=str(directory / "out"), context=spotproof_app.cdk_flags(), analytics_reporting=False)
    settings = DeploySettings.from_context(app.node.get_all_context())
    state = StateStack(app, settings=settings)
    ComputeStack(
        app, settings=settings, state=state, jobs=jobs, bundles=tiny_bundles(directory), root=spotproof_app.ROOT
    )
    app.synth()
    return Assembly(directory=directory / "out", prefix=settings.prefix)


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Json]:
    """Properties of the job definitions, by name."""
    template = synthesise(tmp_path_factory.mktemp("wrapped"), SOLVER, SORT).template("Compute")
    found = (each for each in template["Resources"].values() if each["Type"] == "AWS::Batch::JobDefinition")
    return {each["Properties"]["JobDefinitionName"]: each["Properties"] for each in found}


def test_a_row_with_a_command_is_a_job_definition_of_the_same_worker(definitions: dict[str, Json]) -> None:
    command = definitions["spotproof-solver"]["ContainerProperties"]["Command"]

    assert command[:2] == ["python3", "-c"]
    assert command[3:6] == ["batch_jobs.wrap", "--job", "solver"]
    assert command[command.index("--") + 1 :] == list(SOLVER.command)
    assert definitions["spotproof-solver"]["Parameters"] == dict.fromkeys(contract.JOB_PARAMETERS, "auto")


def test_the_worker_understands_what_batch_makes_of_it(definitions: dict[str, Json]) -> None:
    command = definitions["spotproof-sort"]["ContainerProperties"]["Command"]
    given = [re.sub(r"^Ref::(\w+)$", r"value-of-\1", word) for word in command[4 : command.index("--")]]

    arguments = parse_arguments([*given, "--module", "batch_jobs.wrap"])

    assert (arguments.job, arguments.input, arguments.run) == ("sort", "value-of-input", "value-of-run")


def test_a_program_of_the_bundle_is_found_from_where_it_is_unpacked_and_may_run(tmp_path: Path) -> None:
    (tmp_path / "batch_jobs").mkdir()
    program = tmp_path / str(SOLVER.bundled_program)
    program.write_bytes(b"#!/bin/sh\n")  # as the bundle unpacks it: without permission to run
    program.chmod(0o644)

    words = find_program(SOLVER.command, base=tmp_path, search_path="")

    assert words == [str(program), *SOLVER.command[1:]]
    assert stat.S_IMODE(program.stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, "needs either module= with a Python function or command="),
        ({"module": "m", "command": ("true",)}, "needs either module="),
        ({"command": "sort -u"}, 'needs command= as a tuple of words, such as ("sort", "-u"), got \'sort -u\''),
        ({"command": ["sort", "-u"]}, "needs command= as a tuple of words"),
        ({"command": ("sort", 5)}, "needs command= as a tuple of words"),
        ({"command": ("", "-u")}, "needs a program as the first word"),
        ({"command": ("so\0rt",)}, "no word with a zero byte"),
        ({"command": ("../solver",)}, "outside of the worker bundle"),
        ({"command": ("sort", "Ref::input")}, "'Ref::input' in its command, which AWS Batch would replace"),
        ({"command": ("sort", "x" * COMMAND_BYTES_MAX)}, "put it into a script"),
        ({"command": ("sort",), "name": "So rt"}, "needs a name of a-z, 0-9 and -"),
        ({"command": ("sort",), "memory_mib": 3}, "memory_mib >= 4"),
    ],
)
def test_a_bad_row_is_one_line_that_says_what_to_change(row: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_rows([JobSpec(**{"name": "odd", **row})])

    assert says in str(refused.value)
    assert str(refused.value).startswith("job '")
    assert "\n" not in str(refused.value)


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="job 'sort' is twice in stacks"):
        check_rows([SORT, SORT])


def test_a_program_that_is_not_in_the_bundle_is_refused_at_synthesis(tmp_path: Path) -> None:
    missing = JobSpec(name="solver", command=("batch_jobs/programs/no-such-solver",))

    with pytest.raises(ConfigurationError, match="there is no batch_jobs/programs/no-such-solver"):
        synthesise(tmp_path, missing)


def test_a_bad_row_ends_the_app_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CDK_OUTDIR", str(tmp_path / "out"))
    monkeypatch.setattr(spotproof_app, "JOBS", (JobSpec(name="both", module="m", command=("true",)),))
    monkeypatch.setattr(spotproof_app, "build_bundles", lambda *_, **__: tiny_bundles(tmp_path))

    assert spotproof_app.main() == 3
    assert capsys.readouterr().err.count("\n") == 1

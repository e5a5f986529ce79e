"""`python app.py` as a person or the CDK command line runs it, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import app
from stacks import bundle
from stacks.settings import DeploySettings
from tests.stacks.assembly import SUFFIXES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def run_app(
    directory: Path, *, context: dict[str, str] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run it with nothing in the environment but what is given: no AWS variable, no HOME, no registry."""
    env = {
        "PATH": "/nonexistent",  # neither uv nor docker nor git
        "JSII_NODE": os.environ["JSII_NODE"],
        "PIP_INDEX_URL": "http://127.0.0.1:9/",  # nothing answers there
        "CDK_VALIDATION": "false",
        "CDK_OUTDIR": str(directory / "out"),
        "CDK_CONTEXT_JSON": json.dumps(context or {}),
        "TMPDIR": str(directory),
        **variables,
    }
    return subprocess.run(
        [sys.executable, str(app.ROOT / "app.py")],
        cwd=directory,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def cached() -> None:
    """The first synthesis may install dependencies; what is claimed here is about every one after it."""
    bundle.build_bundles(app.ROOT, worker_platform=DeploySettings().worker_platform)


@pytest.mark.usefixtures("cached")
def test_synthesis_needs_no_credentials_no_docker_and_no_network(tmp_path: Path) -> None:
    done = run_app(tmp_path)

    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    stacks = sorted(each.name.removesuffix(".template.json") for each in out.glob("*.template.json"))
    assert stacks == sorted(f"Spotproof-{suffix}" for suffix in SUFFIXES)
    assert "missing" not in json.loads((out / "manifest.json").read_text())


@pytest.mark.usefixtures("cached")
def test_the_built_in_validation_of_templates_finds_nothing(tmp_path: Path) -> None:
    done = run_app(tmp_path, CDK_VALIDATION="true")

    assert done.returncode == 0, done.stderr
    assert "Validation" not in done.stderr


@pytest.mark.parametrize(
    ("context", "line"),
    [
        ({"removal": "yes"}, "spotproof: context value removal must be retain or destroy, got 'yes'"),
        (
            {"instance_types": "m5.large"},
            "spotproof: context value instance_types: spot needs at least 10 instance types to find capacity, got 1",
        ),
    ],
)
@pytest.mark.usefixtures("cached")
def test_a_wrong_context_value_ends_in_one_line(tmp_path: Path, context: dict[str, str], line: str) -> None:
    done = run_app(tmp_path, context=context)

    assert done.returncode == 3
    assert done.stderr.splitlines() == [line]
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").glob("*.template.json"))

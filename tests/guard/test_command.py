"""The guard's command: lines, exit codes."""

import json
from pathlib import Path

import pytest

from tests.guard.good_templates import Json, good_templates
from tools.guard.__main__ import main


def written(directory: Path, templates: dict[str, Json]) -> Path:
    for stack, template in templates.items():
        (directory / f"{stack}.template.json").write_text(json.dumps(template))
    return directory


def test_nothing_found_is_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(written(tmp_path, good_templates())), "--profile", "strict"]) == 0

    told = capsys.readouterr()
    assert told.out == ""
    assert "0 findings" in told.err


def test_each_finding_is_one_line_that_names_stack_resource_and_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    templates = good_templates()
    templates["Main"]["Resources"]["Job"]["Properties"]["ContainerProperties"]["User"] = "root"
    del templates["State"]["Resources"]["FailedPolicy"]

    assert main([str(written(tmp_path, templates))]) == 1

    job, queue = capsys.readouterr().out.splitlines()
    assert job.startswith("Main/Job: job-user: User is 'root'")
    assert queue.startswith("State/Failed: queue-tls: ")


def test_a_directory_without_templates_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 3
    assert "run `make synth` first" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"Resources": {"Job": {}}}', '{"Resources": {"Job": 1}}', "\xff"], ids=repr
)
def test_what_is_no_template_is_told_in_one_line(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Main.template.json").write_bytes(text.encode("latin-1"))

    assert main([str(tmp_path)]) == 3

    (line,) = capsys.readouterr().err.splitlines()
    assert line == "guard: Main.template.json is no template: run `make synth` again"


def test_the_rules_can_be_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert "job-user: no worker runs as root" in capsys.readouterr().out.splitlines()

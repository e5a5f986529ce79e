"""The own rules on what this app synthesizes."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stacks.assembly import Assembly, Json, synthesise
from tools.guard.assembly import Assembly as Guarded
from tools.guard.rules import RULES, findings
from tools.template_lint import lint


@pytest.fixture(scope="module")
def guarded(assembly: Assembly) -> Guarded:
    return Guarded.read(assembly.directory)


def test_the_default_deployment_meets_every_rule(guarded: Guarded) -> None:
    assert [str(finding) for finding in findings(guarded, strict=False)] == []


def test_a_deployment_of_other_choices_meets_them_too(second: Assembly) -> None:
    assert [str(finding) for finding in findings(Guarded.read(second.directory), strict=False)] == []


@pytest.mark.parametrize(
    ("context", "rule"),
    [
        ({"spot_vcpus_min": "2", "on_demand_vcpus_min": "2"}, "environment-idle"),
        ({"dead_letter_days": "6"}, "queue-retention"),
    ],
    ids=["hosts without work", "failed events kept for days"],
)
def test_a_choice_that_a_rule_speaks_against_is_told(context: dict[str, str], rule: str, tmp_path: Path) -> None:
    chosen = synthesise(tmp_path, **context)

    found = findings(Guarded.read(chosen.directory), strict=False)
    assert ({each.rule for each in found}, len(found)) == ({rule}, 2)


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["assembly", "strict"])
def test_cfn_lint_finds_nothing(profile: str, request: pytest.FixtureRequest) -> None:
    app: Assembly = request.getfixturevalue(profile)

    assert lint(app.directory) == []


@pytest.mark.slow
def test_the_strict_deployment_of_every_family_meets_the_strict_rules(tmp_path: Path) -> None:
    image = f"123456789012.dkr.ecr.us-east-1.amazonaws.com/worker@sha256:{'a' * 64}"

    strict = synthesise(
        tmp_path,
        compliance="strict",
        families="x86_64,graviton,gpu,fargate",
        worker_image=image,
        worker_image_arm64=image,
        worker_image_gpu=image,
    )

    found = findings(Guarded.read(strict.directory), strict=True)
    assert [str(finding) for finding in found] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_has_something_to_look_at(rule: Any, guarded: Guarded) -> None:
    assert list(guarded.of_kind(*rule.kinds))


def _set(path: str, value: Any) -> Callable[[Json], None]:
    def change(properties: Json) -> None:
        *names, last = path.split(".")
        for name in names:
            properties = properties[int(name)] if isinstance(properties, list) else properties[name]
        properties[last] = value

    return change


@pytest.mark.parametrize(
    ("kind", "change", "rule"),
    [
        ("AWS::Batch::JobDefinition", _set("ContainerProperties.User", "0"), "job-user"),
        ("AWS::Batch::JobDefinition", _set("ContainerProperties.ReadonlyRootFilesystem", False), "job-read-only-root"),
        ("AWS::Batch::JobDefinition", lambda all_: all_["RetryStrategy"]["EvaluateOnExit"].pop(), "job-retries"),
        ("AWS::Batch::ComputeEnvironment", _set("ComputeResources.InstanceTypes", ["m5.large"]), "environment-types"),
        ("AWS::EC2::LaunchTemplate", _set("LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit", 1), "host-metadata"),
        ("AWS::DynamoDB::GlobalTable", _set("Replicas.0.PointInTimeRecoverySpecification", {}), "table-recovery"),
        ("AWS::Events::Rule", _set("Targets.0.DeadLetterConfig", {}), "target-dead-letters"),
        ("AWS::Lambda::EventInvokeConfig", _set("DestinationConfig", {}), "function-failures"),
        ("AWS::FIS::ExperimentTemplate", _set("StopConditions", [{"Source": "none"}]), "experiment-stop"),
        ("AWS::Logs::LogGroup", lambda all_: all_.pop("RetentionInDays"), "log-retention"),
    ],
)  # fmt: skip
def test_one_property_turned_back_is_found(guarded: Guarded, kind: str, change: Any, rule: str) -> None:
    templates = copy.deepcopy(guarded.templates)
    properties = next(
        resource["Properties"]
        for template in templates.values()
        for resource in template["Resources"].values()
        if resource["Type"] == kind
    )

    change(properties)

    assert {finding.rule for finding in findings(Guarded(templates), strict=False)} == {rule}

"""Rule packs: nothing open in either profile, few acknowledgements, each of them needed and about what it says."""

import json
from functools import partial
from pathlib import Path

import pytest
from aws_cdk import App

import app as spotproof_app
from stacks.acknowledgements import ACKNOWLEDGED, MOST, Acknowledged
from stacks.compliance import RulePacks
from stacks.settings import DeploySettings
from tests.stacks.assembly import Assembly, synthesise, tiny_bundles
from tests.stacks.conftest import STRICT

REASON_CHARACTERS_MIN = 40
# By profile: what the context must say besides.
PROFILES = {"baseline": {"compliance": "baseline"}, "strict": STRICT}


def judged(directory: Path, **context: str) -> RulePacks:
    """The rule packs after the synthesis, which they let pass."""
    app = App(
        outdir=str(directory / "out"), context={**spotproof_app.cdk_flags(), **context}, analytics_reporting=False
    )
    settings = DeploySettings.from_context(app.node.get_all_context())
    spotproof_app.build(app, settings=settings, bundles=tiny_bundles(directory))
    packs = RulePacks(app, settings=settings)
    app.synth()
    return packs


@pytest.fixture(scope="module")
def strict_packs(tmp_path_factory: pytest.TempPathFactory) -> RulePacks:
    return judged(tmp_path_factory.mktemp("strict-packs"), alarm_email="team@example.com", **STRICT)


@pytest.mark.parametrize(("profile", "packs"), [("baseline", 2), ("strict", 5)])
def test_the_packs_find_nothing_that_is_not_acknowledged(tmp_path: Path, profile: str, packs: int) -> None:
    result = judged(tmp_path, **PROFILES[profile])

    assert [str(finding) for finding in result.findings] == []
    report = json.loads((tmp_path / "out" / "validation-report.json").read_text())
    assert [violation for each in report["pluginReports"] for violation in each["violations"]] == []
    assert len({finding.rule.split("-")[0] for _, finding in result.used}) <= packs


def test_another_prefix_needs_no_other_acknowledgements(tmp_path: Path) -> None:
    result = judged(
        tmp_path, prefix="Trial-2", data_buckets="landing-zone", monthly_budget_usd="9", budget_email="a@b.cd"
    )

    assert result.findings == ()


def test_every_acknowledgement_is_needed(strict_packs: RulePacks) -> None:
    used = {(acknowledged.title, finding.rule.partition("[")[0]) for acknowledged, finding in strict_packs.used}

    assert used == {(acknowledged.title, rule) for acknowledged in ACKNOWLEDGED for rule in acknowledged.rules}


def test_there_are_few_acknowledgements_and_each_has_a_reason() -> None:
    assert len(ACKNOWLEDGED) <= MOST == 10
    assert all(len(each.reason) >= REASON_CHARACTERS_MIN for each in ACKNOWLEDGED)
    assert (
        len({each.reason for each in ACKNOWLEDGED}) == len({each.title for each in ACKNOWLEDGED}) == len(ACKNOWLEDGED)
    )


@pytest.mark.parametrize(
    ("path", "finding"),
    [
        ("Compute/JobRolePolicy/Resource", "AwsSolutions-IAM5[Action::s3:*]"),
        ("Compute/JobRolePolicy/Resource", "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::*]"),
        ("Compute/JobRolePolicy/Resource", "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:s3:::*/*]"),
        ("Compute/JobRolePolicy/Resource", "AwsSolutions-IAM5[Resource::S-State:ExportsOutputFnGetAttWorkBF63/*]"),
        (
            "Compute/JobRolePolicy/Resource",
            "AwsSolutions-IAM5[Resource::S-State:ExportsOutputFnGetAttShards6E/index/*]",
        ),
        ("Compute/JobRolePolicy/Resource", "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:batch:*:*:job/*]"),
        (
            "Compute/JobRolePolicy/Resource",
            "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:batch:<AWS::Region>:<AWS::AccountId>:*/*]",
        ),
        (
            "Compute/HostRolePolicy/Resource",
            "AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:*:*]",
        ),
        ("Compute/JobRolePolicy/Resource", "AwsSolutions-IAM4[Policy::arn:aws:iam::aws:policy/AdministratorAccess]"),
        ("Compute/Fleet/Network/Default/Resource", "AwsSolutions-VPC7"),
        ("State/Data/Resource", "AwsSolutions-S1"),
        ("State/Data/Resource", "NIST.800.53.R5-S3DefaultEncryptionKMS"),
        ("Events/Controller/Resource", "AwsSolutions-SQS3"),
        ("Events/Sessions/Resource", "AwsSolutions-SQS3"),
        ("Other/FailedEvents/Resource", "AwsSolutions-SQS3"),
    ],
)
def test_what_is_acknowledged_is_no_more_than_what_is_meant(path: str, finding: str) -> None:
    assert not [each.title for each in ACKNOWLEDGED if each.covers(path, finding)]


def test_an_open_finding_is_one_line_and_leaves_no_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    silent: tuple[Acknowledged, ...] = tuple(each for each in ACKNOWLEDGED if "end of the line" not in each.title)
    monkeypatch.setattr(spotproof_app, "RulePacks", partial(RulePacks, acknowledged=silent))
    monkeypatch.setattr(spotproof_app, "build_bundles", lambda *_, **__: tiny_bundles(tmp_path))
    monkeypatch.setenv("CDK_OUTDIR", str(tmp_path / "out"))

    assert spotproof_app.main() == 1

    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4  # two queues, and a rule of each pack about each
    assert lines[0].startswith("spotproof: Spotproof-Events/FailedEvents/Resource: AwsSolutions-SQS3: ")
    assert not list((tmp_path / "out").glob("*.template.json"))


def test_checking_changes_nothing_of_what_is_deployed(assembly: Assembly, tmp_path: Path) -> None:
    judged(tmp_path)

    assert Assembly(directory=tmp_path / "out", prefix="Spotproof").text() == assembly.text()


def test_none_asks_no_pack(tmp_path: Path, assembly: Assembly) -> None:
    packs = judged(tmp_path, compliance="none")

    assert (packs.findings, packs.used) == ((), ())
    assert synthesise(tmp_path, compliance="none").text() == assembly.text()

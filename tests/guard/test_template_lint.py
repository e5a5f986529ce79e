"""cfn-lint's findings as lines."""

import json
from pathlib import Path

import pytest

from tools.template_lint import main

ROLE = {
    "Type": "AWS::IAM::Role",
    "Properties": {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
            ],
        }
    },
}


def test_a_property_that_does_not_exist_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"MessageRetentionPeriods": 60}}
    (tmp_path / "Main.template.json").write_text(json.dumps({"Resources": {"Queue": queue}}, indent=1))

    assert main([str(tmp_path)]) == 1

    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Main.template.json:6: E3002: ")
    assert "MessageRetentionPeriods" in line


def test_what_the_cdk_writes_twice_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    function = {
        "Type": "AWS::Lambda::Function",
        "DependsOn": ["Role"],
        "Properties": {
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Handler": "index.handler",
            "Runtime": "python3.14",
            "Code": {"S3Bucket": "bucket", "S3Key": "key.zip"},
        },
    }
    resources = {"Role": ROLE, "Function": function}
    (tmp_path / "Main.template.json").write_text(json.dumps({"Resources": resources}))

    assert main([str(tmp_path)]) == 0
    assert "1 templates, 0 findings" in capsys.readouterr().err


def test_a_directory_without_templates_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 3
    assert "run `make synth` first" in capsys.readouterr().err

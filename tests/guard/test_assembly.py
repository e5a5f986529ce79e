"""References, across stacks too."""

from typing import Any

import pytest

from tools.guard.assembly import Assembly, Resource

TEMPLATES: dict[str, dict[str, Any]] = {
    "A": {
        "Resources": {"Key": {"Type": "AWS::KMS::Key", "Properties": {"Rotation": {"Every": 90}}}},
        "Outputs": {"Key": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}, "Export": {"Name": "A:Key"}}},
    },
    "B": {"Resources": {"Key": {"Type": "AWS::SQS::Queue"}, "Other": {"Type": "AWS::SNS::Topic"}}},
}


@pytest.fixture
def assembly() -> Assembly:
    return Assembly(TEMPLATES)


def only(assembly: Assembly, kind: str) -> Resource:
    (found,) = assembly.of_kind(kind)
    return found


@pytest.mark.parametrize(
    "value",
    [
        {"Ref": "Key"},
        {"Fn::GetAtt": ["Key", "Arn"]},
        {"Fn::GetAtt": "Key.Arn"},
        {"Fn::Sub": "prefix-${Key.Arn}/x"},
        {"Fn::Sub": ["${a}", {"a": {"Ref": "Key"}}]},
        {"Fn::Join": ["", ["x", {"Ref": "Key"}]]},
        [{"deep": {"Ref": "Key"}}],
    ],
)
def test_a_reference_means_the_resource_of_its_own_stack(assembly: Assembly, value: Any) -> None:
    queue, key = only(assembly, "AWS::SQS::Queue"), only(assembly, "AWS::KMS::Key")
    other = only(assembly, "AWS::SNS::Topic")

    assert assembly.refers_to(value, queue, by=other)
    assert not assembly.refers_to(value, key, by=other)


def test_an_import_means_the_resource_that_was_exported(assembly: Assembly) -> None:
    key, other = only(assembly, "AWS::KMS::Key"), only(assembly, "AWS::SNS::Topic")

    assert list(assembly.referred({"Fn::ImportValue": "A:Key"}, by=other)) == [key]
    assert list(assembly.referred({"Fn::ImportValue": "nobody's"}, by=other)) == []


def test_text_keeps_what_is_known(assembly: Assembly) -> None:
    other = only(assembly, "AWS::SNS::Topic")

    assert assembly.text({"Fn::Join": ["-", ["a", {"Ref": "Key"}, 1]]}, by=other) == "a-${}-1"
    assert assembly.text({"Fn::Base64": "plain"}, by=other) == "plain"
    assert (
        assembly.text({"Fn::Sub": "arn:${AWS::Partition}:s3:::${Key.Arn}/${!x}"}, by=other) == "arn:${}:s3:::${}/${!x}"
    )


def test_a_property_is_found_by_its_path(assembly: Assembly) -> None:
    key = only(assembly, "AWS::KMS::Key")

    assert key.get("Rotation.Every") == 90
    assert key.get("Rotation.Every.Day") is None
    assert key.get("Nothing.There", "default") == "default"

"""Pure parts of the repairs: embedded metrics, rule permissions, lifecycle rules, capacity units."""

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from localcloud.audit import mismatches
from localcloud.cfn.lifecycle_xml import lifecycle_xml
from localcloud.expiry import covers
from localcloud.repairs.emf import data_of
from localcloud.repairs.event_delivery import allows_events
from localcloud.usage import capacity_units

RULE = "arn:aws:events:us-east-1:000000000000:rule/notice"


def _emf(**members: Any) -> str:
    directive = {
        "Namespace": "Spotproof",
        "Dimensions": [["Queue"], []],
        "Metrics": [{"Name": "Shards", "Unit": "Count"}],
    }
    return json.dumps({"_aws": {"Timestamp": 1, "CloudWatchMetrics": [directive]}, **members})


def test_each_dimension_set_and_each_value_is_a_datum() -> None:
    data = data_of(_emf(Queue="spot", Shards=[1, 2]))

    assert [(one.value, one.dimensions) for one in data] == [
        (1.0, {"Queue": "spot"}),
        (2.0, {"Queue": "spot"}),
        (1.0, {}),
        (2.0, {}),
    ]


@pytest.mark.parametrize("line", ["", "plain", '{"_aws": 1, "CloudWatchMetrics": 2}', _emf(Queue="spot")])
def test_a_line_that_is_no_metric_is_ignored(line: str) -> None:
    assert data_of(line) == []


def _policy(**statement: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, **statement}]}


def test_a_permission_for_the_rule_allows_it_and_no_other() -> None:
    policy = _policy(Condition={"ArnLike": {"AWS:SourceArn": RULE}})

    assert allows_events(policy, RULE)
    assert not allows_events(policy, RULE + "-2")


def test_a_permission_without_a_source_allows_every_rule() -> None:
    assert allows_events(_policy(), RULE)


def test_a_permission_for_another_service_allows_none() -> None:
    assert not allows_events(_policy(Principal={"Service": "s3.amazonaws.com"}), RULE)
    assert not allows_events({}, RULE)


def test_lifecycle_rules_become_the_xml_of_s3() -> None:
    xml = lifecycle_xml(
        [
            {
                "Id": "a&b",
                "Status": "Enabled",
                "Prefix": "checkpoints/",
                "TagFilters": [{"Key": "state", "Value": "done"}],
                "ExpirationInDays": 2,
                "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
            }
        ]
    )

    rule = ElementTree.fromstring(xml)[0]
    assert rule.findtext("ID") == "a&b"
    assert rule.findtext("Filter/And/Prefix") == "checkpoints/"
    assert rule.findtext("Filter/And/Tag/Value") == "done"
    assert rule.findtext("Expiration/Days") == "2"
    assert rule.findtext("NoncurrentVersionExpiration/NoncurrentDays") == "1"


@pytest.mark.parametrize(
    ("rule", "key", "tags", "expected"),
    [
        ({"Filter": {"Prefix": "a/"}}, "a/x", {}, True),
        ({"Filter": {"Prefix": "a/"}}, "b/x", {}, False),
        ({"Filter": {"Tag": {"Key": "k", "Value": "v"}}}, "x", {"k": "v"}, True),
        ({"Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "v"}]}}}, "a/x", {"k": "w"}, False),
        ({}, "anything", {}, True),
    ],
)
def test_a_rule_covers_what_its_filter_names(
    rule: dict[str, Any], key: str, tags: dict[str, str], expected: bool
) -> None:
    assert covers(rule, key, tags) is expected


def test_capacity_is_summed_over_tables() -> None:
    assert capacity_units([{"CapacityUnits": 4.0}, {"CapacityUnits": 1.5}]) == 5.5
    assert capacity_units({"CapacityUnits": 1.0}) == 1.0
    assert capacity_units(None) == 0


def test_what_is_more_is_no_mismatch_and_what_is_less_is_one() -> None:
    wanted = {"Timeout": "60", "Tags": [{"Key": "a", "Value": "1"}], "Role": {"Ref": "Role"}}

    full = {"timeout": 60, "tags": [{"key": "b"}, {"key": "a", "value": 1}], "role": "arn", "extra": True}
    poor = {"timeout": 61, "tags": [], "role": ""}

    assert list(mismatches(wanted, full, "")) == []
    assert [path for path, _, _ in mismatches(wanted, poor, "")] == ["Timeout", "Tags[0]", "Role"]


def test_a_property_that_is_missing_is_found_with_its_path() -> None:
    assert list(mismatches({"A": {"B": 1}}, {"a": {}}, "Top")) == [("Top.A.B", 1, None)]

"""Experiments: what templates may say, whom they strike, how they go on, and what ends them."""

import random
from collections.abc import Mapping
from typing import Any

import pytest

from localcloud.fis.actions import INTERRUPT, NO_CAPACITY, seconds
from localcloud.fis.parameters import FisError, checked, find_operation
from localcloud.fis.targets import Selection, matches
from localcloud.fis.templates import FisStore, create_template, update_template
from localcloud.outages import Outages

ROLE = "arn:aws:iam::000000000000:role/experiment"
ARN = "arn:aws:ec2:us-east-1:000000000000:instance/i-0123456789abcdef0"
TAGS = {"Lifecycle": "spot", "Spotproof": "Trial"}


def template(**changes: Any) -> dict[str, Any]:
    """What CreateExperimentTemplate takes for one interruption."""
    target = {"resourceType": "aws:ec2:spot-instance", "resourceTags": TAGS, "selectionMode": "COUNT(1)"}
    action = {
        "actionId": INTERRUPT,
        "parameters": {"durationBeforeInterruption": "PT2M"},
        "targets": {"SpotInstances": "hosts"},
    }
    return {
        "clientToken": "t",
        "description": "one",
        "roleArn": ROLE,
        "stopConditions": [{"source": "none"}],
        "targets": {"hosts": {**target, **changes.pop("target", {})}},
        "actions": {"go": {**action, **changes.pop("action", {})}},
        **changes,
    }


def store() -> FisStore:
    return FisStore(account="000000000000", region="us-east-1")


def test_a_good_template_is_kept_with_an_id_and_the_services_defaults() -> None:
    kept = create_template(store(), checked("CreateExperimentTemplate", template(tags={"a": "b"})))

    assert kept["id"].startswith("EXT")
    assert kept["arn"].endswith(f"experiment-template/{kept['id']}")
    assert kept["experimentOptions"] == {"accountTargeting": "single-account", "emptyTargetResolutionMode": "fail"}
    assert kept["tags"] == {"a": "b"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target": {"resourceArns": [ARN]}}, "either resourceArns or resourceTags"),
        ({"target": {"resourceTags": {}}}, "either resourceArns or resourceTags"),
        (
            {"target": {"resourceTags": {}, "resourceArns": [ARN], "filters": [{"path": "x", "values": ["y"]}]}},
            "filters can't be combined",
        ),
        ({"target": {"resourceTags": {}, "resourceArns": [ARN] * 6}}, "at most 5"),
        ({"target": {"selectionMode": "SOME"}}, "ALL, COUNT"),
        ({"target": {"selectionMode": "COUNT(0)"}}, "out of range"),
        ({"target": {"selectionMode": "PERCENT(101)"}}, "out of range"),
        ({"target": {"resourceType": "aws:ec2:instance"}}, "of type aws:ec2:spot-instance"),
        ({"action": {"actionId": "aws:ec2:reboot-instances"}}, "doesn't carry out"),
        ({"action": {"parameters": {}}}, "exactly the parameters durationBeforeInterruption"),
        ({"action": {"parameters": {"durationBeforeInterruption": "2 min"}}}, "not a duration"),
        ({"action": {"parameters": {"durationBeforeInterruption": "PT1M"}}}, "from 120 to 900"),
        ({"action": {"parameters": {"durationBeforeInterruption": "PT16M"}}}, "from 120 to 900"),
        ({"action": {"targets": {"SpotInstances": "nobody"}}}, "needs a target SpotInstances"),
        ({"action": {"startAfter": ["never"]}}, "starts after never"),
        ({"stopConditions": []}, "stopConditions"),
        ({"stopConditions": [{"source": "aws:cloudwatch:alarm"}]}, "stop condition"),
        ({"actions": {}}, "at least one action"),
    ],
)
def test_what_the_service_would_refuse_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(FisError, match=words.replace("(", "\\(")):
        create_template(store(), checked("CreateExperimentTemplate", template(**changes)))


@pytest.mark.parametrize(
    "given",
    [
        {name: value for name, value in template().items() if name != "roleArn"},
        {**template(), "roleArn": 5},
        {**template(), "surprise": 1},
    ],
)
def test_parameters_that_the_api_does_not_have_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(FisError, match=r"roleArn|surprise"):
        checked("CreateExperimentTemplate", given)


def test_only_a_whole_shortage_can_be_rehearsed_here() -> None:
    parameters = {"availabilityZoneIdentifiers": "us-east-1a", "duration": "PT10M", "percentage": "50"}
    target = {"resourceType": "aws:ec2:autoscaling-group", "resourceTags": TAGS, "selectionMode": "ALL"}
    action = {"actionId": NO_CAPACITY, "parameters": parameters, "targets": {"AutoScalingGroups": "hosts"}}

    with pytest.raises(FisError, match="percentage must be 100"):
        create_template(store(), template(targets={"hosts": target}, actions={"go": action}))


def test_an_update_changes_what_it_names_and_is_checked_like_a_new_one() -> None:
    held = store()
    kept = create_template(held, template())

    update_template(held, {"id": kept["id"], "description": "two"})

    assert held.template(kept["id"])["description"] == "two"
    assert held.template(kept["id"])["roleArn"] == ROLE
    with pytest.raises(FisError, match="at least one action"):
        update_template(held, {"id": kept["id"], "actions": {}})
    assert held.template(kept["id"])["actions"]


@pytest.mark.parametrize(("text", "expected"), [("PT2M", 120), ("PT90S", 90), ("PT1H1M1S", 3661), ("PT12H", 43_200)])
def test_durations_are_read(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["PT", "P1D", "", "2M", "PT2M "])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(FisError):
        seconds(text)


@pytest.mark.parametrize(
    ("mode", "of", "expected"),
    [
        ("ALL", 7, 7),
        ("COUNT(2)", 7, 2),
        ("COUNT(9)", 7, 7),
        ("PERCENT(50)", 7, 3),
        ("PERCENT(1)", 7, 1),
        ("PERCENT(100)", 7, 7),
        ("PERCENT(50)", 0, 0),
    ],
)
def test_so_many_of_the_candidates_are_picked(mode: str, of: int, expected: int) -> None:
    picked = Selection.parse(mode).pick(range(of), random.Random(1))

    assert len(picked) == len(set(picked)) == expected


def test_the_picks_are_by_chance() -> None:
    picks = {tuple(Selection.parse("COUNT(1)").pick(range(9), random.Random(seed))) for seed in range(40)}

    assert len(picks) > 4


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ({"resourceArns": ["arn:1"]}, True),
        ({"resourceArns": ["arn:2"]}, False),
        ({"resourceTags": {"Lifecycle": "spot"}}, True),
        ({"resourceTags": {**TAGS, "Team": "x"}}, False),
        ({"resourceTags": TAGS, "filters": [{"path": "State.Name", "values": ["running", "pending"]}]}, True),
        ({"resourceTags": TAGS, "filters": [{"path": "State.Name", "values": ["stopped"]}]}, False),
        ({"resourceTags": TAGS, "filters": [{"path": "Placement.AvailabilityZone", "values": ["us-east-1b"]}]}, False),
        ({"resourceTags": TAGS, "filters": [{"path": "Not.There", "values": ["x"]}]}, False),
    ],
)
def test_a_resource_is_meant_by_its_arn_or_by_all_tags_and_filters(target: Mapping[str, Any], meant: bool) -> None:
    description = {"State": {"Name": "running"}, "Placement": {"AvailabilityZone": "us-east-1a"}}

    assert matches(target, arn="arn:1", tags=TAGS, description=description) is meant


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/experimentTemplates", ("CreateExperimentTemplate", {})),
        ("GET", "/experimentTemplates/EXT1", ("GetExperimentTemplate", {"id": "EXT1"})),
        ("DELETE", "/experiments/EXP1", ("StopExperiment", {"id": "EXP1"})),
        ("GET", "/tags/arn:aws:fis:x:1:experiment/EXP1", ("ListTagsForResource", {"resourceArn": "arn:aws:fis:x:1:experiment/EXP1"})),
        ("PUT", "/experiments", None),
    ],
)  # fmt: skip
def test_a_request_is_found_by_method_and_path(method: str, path: str, expected: Any) -> None:
    assert find_operation(method, path) == expected


def test_outages_cover_their_group_and_zones_until_they_end() -> None:
    outages = Outages()
    first = outages.begin(group="spot", zones=["a", "b"])
    outages.begin(group="spot", zones=["a"])

    assert [outages.covers(group="spot", zone=zone) for zone in "abc"] == [True, True, False]
    assert not outages.covers(group="other", zone="a")
    outages.end(first)
    outages.end(first)
    assert [outages.covers(group="spot", zone=zone) for zone in "abc"] == [True, False, False]
    outages.clear()
    assert not outages.covers(group="spot", zone="a")

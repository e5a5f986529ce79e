"""Whom a plan strikes: by tags where the run has the fleet to itself, else by name."""

from typing import Any

import pytest

from spotproof import contract
from spotproof.errors import InputError, RunConflictError
from spotproof_cli.game_day.plans import PLANS, Aim, Share, decide_aim, experiment_template

HOSTS = [f"i-{number:017x}" for number in range(12)]
ARNS = {host: f"arn:aws:ec2:eu-central-1:123456789012:instance/{host}" for host in HOSTS}
GROUP = "arn:aws:autoscaling:eu-central-1:123456789012:autoScalingGroup:u:autoScalingGroupName/spot"


def template(*, selection: str = "COUNT(1)", starves: bool = False) -> dict[str, Any]:
    """As GetExperimentTemplate shows what the stack deployed."""
    tags = {"Lifecycle": "spot", "Spotproof": "Spotproof"}
    instances = {
        "resourceType": "aws:ec2:spot-instance",
        "resourceTags": tags,
        "filters": [{"path": "State.Name", "values": ["running"]}],
        "selectionMode": selection,
    }
    groups = {"resourceType": "aws:ec2:autoscaling-group", "resourceTags": tags, "selectionMode": "ALL"}
    return {
        "id": "EXT1",
        "arn": "arn:aws:fis:eu-central-1:123456789012:experiment-template/EXT1",
        "description": "Spotproof: a rehearsal",
        "targets": {contract.GAME_DAY_INSTANCES: instances, **({contract.GAME_DAY_GROUPS: groups} if starves else {})},
        "actions": {contract.GAME_DAY_INSTANCES: {"actionId": "aws:ec2:send-spot-instance-interruptions"}},
        "stopConditions": [{"source": "none"}],
        "roleArn": "arn:aws:iam::123456789012:role/experiment",
        "experimentOptions": {"accountTargeting": "single-account", "emptyTargetResolutionMode": "skip"},
        "tags": {"Name": "Spotproof interrupt"},
        "creationTime": 0,
    }


def test_every_plan_knows_its_template() -> None:
    assert {plan.output for plan in PLANS.values()} == set(contract.GAME_DAY_OUTPUTS.values())
    assert [plan.name for plan in PLANS.values() if plan.starves] == ["no-capacity"]


@pytest.mark.parametrize(
    ("share", "of", "expected"),
    [
        (Share(count=3), 8, 3),
        (Share(count=9), 8, 8),
        (Share(percent=50), 8, 4),
        (Share(percent=50), 7, 3),
        (Share(percent=1), 8, 1),
        (Share(percent=100), 8, 8),
    ],
)
def test_a_share_is_a_number_of_instances(share: Share, of: int, expected: int) -> None:
    assert share.number(of) == expected


@pytest.mark.parametrize(("selection", "share"), [("COUNT(2)", Share(count=2)), ("PERCENT(50)", Share(percent=50))])
def test_without_a_wish_the_template_says_how_many(selection: str, share: Share) -> None:
    assert Share.of_template(template(selection=selection)) == share


def test_a_template_that_selects_otherwise_needs_a_wish() -> None:
    with pytest.raises(InputError, match="--count or --percent"):
        Share.of_template(template(selection="ALL"))


def test_a_run_that_has_the_fleet_to_itself_is_struck_by_tags() -> None:
    aim = decide_aim(share=Share(percent=50), hosts=HOSTS, running=ARNS)

    assert (aim.selection, aim.arns, aim.number) == ("COUNT(6)", (), 6)
    assert "every Spot instance" in aim.reason


def test_where_others_run_besides_only_the_runs_own_are_named_the_most_interesting_first() -> None:
    aim = decide_aim(share=Share(count=2), hosts=HOSTS[3:6], running=ARNS)

    assert (aim.selection, aim.arns, aim.number) == ("ALL", (ARNS[HOSTS[3]], ARNS[HOSTS[4]]), 2)
    assert "9 other Spot instances" in aim.reason


def test_an_idle_instance_counts_as_others() -> None:
    aim = decide_aim(share=Share(count=1), hosts=HOSTS[:2], running={host: ARNS[host] for host in HOSTS[:3]})

    assert aim.arns == (ARNS[HOSTS[0]],)


def test_hosts_that_do_not_run_any_more_are_no_targets() -> None:
    aim = decide_aim(share=Share(percent=100), hosts=HOSTS[:4], running={HOSTS[2]: ARNS[HOSTS[2]]})

    assert (aim.arns, aim.number) == ((), 1)
    with pytest.raises(RunConflictError, match="nothing to strike"):
        decide_aim(share=Share(count=1), hosts=HOSTS[:2], running={HOSTS[3]: ARNS[HOSTS[3]]})


def test_more_than_an_experiment_can_name_is_refused_with_what_can_be_done() -> None:
    with pytest.raises(InputError, match="--count 5 or less"):
        decide_aim(share=Share(percent=100), hosts=HOSTS[:6], running=ARNS)


def test_a_template_that_fits_is_used_as_it_is() -> None:
    aim = Aim(selection="COUNT(1)", arns=(), number=1, reason="")

    assert experiment_template(template(), aim=aim, groups=(), run_id="r") is None


def test_another_number_makes_a_template_of_its_own_that_still_goes_by_tags() -> None:
    aim = Aim(selection="COUNT(4)", arns=(), number=4, reason="")

    fitted = experiment_template(template(), aim=aim, groups=(), run_id="r")

    assert fitted is not None
    target = fitted["targets"][contract.GAME_DAY_INSTANCES]
    assert (target["selectionMode"], target["resourceTags"]["Lifecycle"]) == ("COUNT(4)", "spot")
    assert fitted["tags"] == {"Name": "Spotproof interrupt", "spotproof:run": "r"}
    assert not fitted.keys() & {"id", "arn", "creationTime"}


def test_named_instances_take_the_place_of_tags_and_filters() -> None:
    aim = Aim(selection="ALL", arns=(ARNS[HOSTS[0]],), number=1, reason="")
    deployed = template()

    fitted = experiment_template(deployed, aim=aim, groups=(), run_id="r")

    assert fitted is not None
    assert fitted["targets"][contract.GAME_DAY_INSTANCES] == {
        "resourceType": "aws:ec2:spot-instance",
        "resourceArns": [ARNS[HOSTS[0]]],
        "selectionMode": "ALL",
    }
    assert deployed == template()  # the caller's own is left alone


def test_the_groups_that_starve_are_named_and_must_be_found() -> None:
    aim = Aim(selection="COUNT(1)", arns=(), number=1, reason="")

    fitted = experiment_template(template(starves=True), aim=aim, groups=[GROUP], run_id="r")

    assert fitted is not None
    assert fitted["targets"][contract.GAME_DAY_GROUPS] == {
        "resourceType": "aws:ec2:autoscaling-group",
        "resourceArns": [GROUP],
        "selectionMode": "ALL",
    }
    assert fitted["experimentOptions"]["emptyTargetResolutionMode"] == "fail"

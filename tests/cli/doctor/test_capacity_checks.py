"""Zones and quotas: what a deployment wants, and whether the account grants it."""

import pytest

from spotproof_cli.doctor.quotas import kind_of_type
from stacks.instance_types import DEFAULT_TYPES, GPU_TYPES, GRAVITON_TYPES
from tests.cli.doctor.findings import FAIL, OK, said_by
from tests.cli.doctor.harms import ENVIRONMENTS, quota_of
from tests.cli.doctor.healthy import Account


def test_local_zones_are_none_that_the_stacks_use() -> None:
    account = Account()
    account.undeploy()
    account.answers["ec2.describe_availability_zones"]["AvailabilityZones"][2] |= {"ZoneType": "local-zone"}

    assert said_by(account, "zones") == [(FAIL, "2 in eu-central-1, the stacks use 3", "deploy with -c zones=2")]


def test_before_the_first_deployment_two_zones_and_the_first_quota_are_told() -> None:
    account = Account()
    account.undeploy()
    del account.answers["ec2.describe_availability_zones"]["AvailabilityZones"][2]
    quota_of(5, 64)(account)

    assert said_by(account, "zones") == [(FAIL, "2 in eu-central-1, the stacks use 3", "deploy with -c zones=2")]
    assert said_by(account, "spot-quota")[0][0] is FAIL


def test_fargate_has_quotas_of_its_own_and_no_hosts() -> None:
    account = Account()
    for number, kind in enumerate(("FARGATE_SPOT", "FARGATE")):
        resources = account.answers[ENVIRONMENTS]["computeEnvironments"][number]["computeResources"]
        del resources["launchTemplate"], resources["instanceTypes"]
        resources["type"] = kind
    account.answers["service_quotas.get_service_quota"] = lambda request: {
        "Quota": {"Value": {"L-36FBB829": 6.0, "L-3032A538": 64.0}[request["QuotaCode"]]}
    }

    assert said_by(account, "spot-quota")[0][:2] == (
        FAIL,
        "6 vCPUs of Fargate Spot, as in a new account; 256 are wanted",
    )
    assert said_by(account, "spot-quota")[0][2].endswith("or deploy with a smaller fargate_spot_vcpus_max")
    assert said_by(account, "on-demand-quota") == [(OK, "64 vCPUs of Fargate on-demand, at most 64 are wanted", "")]
    assert said_by(account, "hosts") == [(OK, "no compute environment has hosts of its own", "")]


def test_a_fleet_that_fits_into_the_quota_of_a_new_account_is_well() -> None:
    account = Account()
    account.answers[ENVIRONMENTS]["computeEnvironments"][0]["computeResources"]["maxvCpus"] = 4
    quota_of(5, 64)(account)

    assert said_by(account, "spot-quota") == [(OK, "5 vCPUs of standard Spot instances, at most 4 are wanted", "")]


@pytest.mark.parametrize("instance_type", [*DEFAULT_TYPES, *GRAVITON_TYPES, *GPU_TYPES])
def test_the_quota_of_every_type_that_a_deployment_starts_with_is_known(instance_type: str) -> None:
    kind = kind_of_type(instance_type)

    assert kind is not None
    assert (kind.name == "standard") == (instance_type not in GPU_TYPES)

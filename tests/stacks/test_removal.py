"""What `cdk destroy` leaves, by the templates, and in which order it takes the rest."""

import pytest

from spotproof import contract
from tests.stacks.assembly import SUFFIXES, Assembly

STATEFUL = {"AWS::DynamoDB::GlobalTable", "AWS::S3::Bucket"}
OF_BUCKETS = {"AWS::S3::BucketPolicy"}  # a bucket that stays keeps refusing plain HTTP
KEPT = {"Retain", "RetainExceptOnCreate", "Snapshot"}


def kept(assembly: Assembly) -> set[str]:
    """Types of the resources that outlive their stack."""
    return {
        resource["Type"]
        for suffix in SUFFIXES
        for resource in assembly.template(suffix)["Resources"].values()
        if resource.get("DeletionPolicy") in KEPT
    }


def test_by_default_table_and_buckets_stay_and_nothing_else(assembly: Assembly) -> None:
    assert kept(assembly) == STATEFUL | OF_BUCKETS


def test_with_removal_destroy_nothing_stays(second: Assembly) -> None:
    assert kept(second) == set()


def test_the_state_stack_says_what_stays(assembly: Assembly, second: Assembly) -> None:
    says = [str(each.outputs("State")[contract.OUTPUT_KEPT]["Value"]) for each in (assembly, second)]

    stateful = [name for kind in STATEFUL for name in assembly.resources(kind)]
    assert all(f"'Ref': '{name}'" in says[0] for name in stateful)
    assert "nothing, once these buckets are empty" in says[1]


@pytest.mark.parametrize(
    "needed", ["AWS::IAM::ManagedPolicy", "AWS::Logs::LogGroup", "AWS::EC2::Route", "AWS::EC2::VPCEndpoint"]
)
def test_queues_are_deleted_before_what_their_workers_need_to_save(assembly: Assembly, needed: str) -> None:
    """CloudFormation deletes a queue, and with it its workers, before anything the queue depends on."""
    resources = assembly.template("Compute")["Resources"]
    queues = [one for one in resources.values() if one["Type"] == "AWS::Batch::JobQueue"]

    for queue in queues:
        first = {resources[name]["Type"] for name in queue["DependsOn"]}
        assert needed in first


def test_every_route_and_endpoint_of_the_network_outlives_the_queues(assembly: Assembly) -> None:
    resources = assembly.template("Compute")["Resources"]
    ways = {name for name, one in resources.items() if one["Type"] in ("AWS::EC2::Route", "AWS::EC2::VPCEndpoint")}
    queues = [one for one in resources.values() if one["Type"] == "AWS::Batch::JobQueue"]

    assert ways
    assert all(ways <= set(queue["DependsOn"]) for queue in queues)

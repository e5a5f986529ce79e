"""The product's own stacks in the account."""

import pytest

from localcloud.audit import audit
from tests.local.account import TestAccount
from tests.local.synthesis import synthesized

# Types whose properties the emulator only records, and the product's behaviour doesn't depend on.
RECORDS_ONLY = (
    "AWS::EC2::InternetGateway",
    "AWS::EC2::Route",
    "AWS::EC2::RouteTable",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPC",
    "AWS::EC2::VPCGatewayAttachment",
)
# Properties that name the resource, tag it, or steer CloudFormation itself.
NO_STATE = (
    "Tags",
    "TagSpecifications",
    "Code",
    "FunctionName",
    "Qualifier",
    "Queues",
    "Topics",
    "Type",
    "ReplaceComputeEnvironment",
    "ResourceRetentionPolicy",
)
# Single properties that the emulator's answers leave out.
NOT_TOLD = {
    "AWS::EC2::FlowLog.DeliverLogsPermissionArn",
    "AWS::EC2::FlowLog.ResourceType",
    "AWS::IAM::InstanceProfile.Roles",
}


@pytest.mark.slow
def test_every_resource_of_the_product_keeps_what_its_template_says(deployed: TestAccount) -> None:
    found = audit(deployed.running, synthesized(), deployed.client)

    unexplained = {
        name
        for name in found.unchecked
        if not name.startswith(tuple(f"{kind}." for kind in RECORDS_ONLY)) and name.rpartition(".")[2] not in NO_STATE
    }
    assert [str(difference) for difference in found.differences] == []
    assert unexplained - NOT_TOLD == set()


@pytest.mark.slow
def test_the_products_functions_start_in_a_python_that_has_only_their_bundle(deployed: TestAccount) -> None:
    names = {one["FunctionName"] for one in deployed.client("lambda").list_functions()["Functions"]}
    product = {name for name in names if name.startswith("Spotproof")}

    deployed.admin.wait_until(
        lambda _state: product <= {one["function"] for one in deployed.admin.events(kind="lambda")},
        timeout_s=60,
        what="every function's start",
    )

    assert product
    assert deployed.admin.events(kind="lambda.init_failed") == []

"""The real CDK CLI against the account."""

import os
from pathlib import Path

import pytest

from localcloud.deploy import deploy, deploy_with_cdk
from tests.local.account import TestAccount
from tests.local.small_assembly import COMPUTE_STACK, STATE_STACK, write_small_assembly

CDK_DIRECTORY = Path(__file__).parent.parent.parent / ".build" / "node"


@pytest.mark.slow
def test_the_cdk_cli_deploys_what_boto3_then_finds_unchanged(cloud: TestAccount, tmp_path: Path) -> None:
    assembly = write_small_assembly(tmp_path)

    with_cdk = deploy_with_cdk(cloud.state, cloud.running, assembly, os.environ, cdk_directory=CDK_DIRECTORY)
    again = deploy(cloud.running, assembly)

    assert [stack.name for stack in with_cdk] == [STATE_STACK, COMPUTE_STACK]
    assert {stack.outcome for stack in again} == {"unchanged"}
    assert with_cdk[1].outputs == again[1].outputs

"""What `cdk bootstrap` leaves in an account, made without the CDK CLI, and what the first Spot instance leaves."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

QUALIFIER = "hnb659fds"
VERSION = "32"  # of the bootstrap template that CDK CLI 2.1148 knows
SPOT_SERVICE = "spot.amazonaws.com"
SPOT_ROLE = "AWSServiceRoleForEC2Spot"
ROLES = ("deploy-role", "file-publishing-role", "image-publishing-role", "lookup-role", "cfn-exec-role")


def asset_bucket(account: str, region: str) -> str:
    """The bucket that file assets go to."""
    return f"cdk-{QUALIFIER}-assets-{account}-{region}"


def bootstrap(client: Callable[[str], Any], *, account: str, region: str) -> None:
    """Make the bucket, the version parameter and the roles that the CDK CLI assumes."""
    bucket = asset_bucket(account, region)
    s3 = client("s3")
    location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=bucket, **location)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    client("ssm").put_parameter(
        Name=f"/cdk-bootstrap/{QUALIFIER}/version", Value=VERSION, Type="String", Overwrite=True
    )
    iam = client("iam")
    for role in ROLES:
        _make_role(iam, f"cdk-{QUALIFIER}-{role}-{account}-{region}", account)
    _make_spot_role(iam)


def _make_role(iam: Any, name: str, account: str) -> None:
    principal = {"AWS": f"arn:aws:iam::{account}:root", "Service": "cloudformation.amazonaws.com"}
    actions = ["sts:AssumeRole", "sts:TagSession"]
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": principal, "Action": actions}]}
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    iam.put_role_policy(RoleName=name, PolicyName="everything", PolicyDocument=json.dumps(everything))


def _make_spot_role(iam: Any) -> None:
    """EC2's service-linked role; CreateServiceLinkedRole of the emulator would give it another name."""
    principal = {"Service": SPOT_SERVICE}
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
    }
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(
            RoleName=SPOT_ROLE,
            Path=f"/aws-service-role/{SPOT_SERVICE}/",
            AssumeRolePolicyDocument=json.dumps(trust),
        )

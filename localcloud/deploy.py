"""Deploying a cloud assembly into the local account: by boto3 (fast), or by the real CDK CLI."""

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud.assembly import FileAsset, StackArtifact, read_assembly
from localcloud.bootstrap import asset_bucket
from localcloud.clients import clients_of
from localcloud.errors import LocalcloudError
from localcloud.node import cdk_command
from localcloud.state_dir import FOREIGN_VARIABLES, Running, StateDir

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
STACK_TIMEOUT_S = 300.0
POLL_S = 0.05

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedStack:
    """A stack after its deployment."""

    name: str
    outcome: str  # created, updated, unchanged
    outputs: dict[str, str]
    seconds: float


def deploy(running: Running, assembly: Path, *, say: Say = lambda _text: None) -> list[DeployedStack]:
    """Publish the assets and deploy every stack of `assembly`, with boto3 only.

    Raises:
        LocalcloudError: a resource failed; the text names it and its reason.
    """
    stacks = read_assembly(assembly, account=running.account, region=running.region)
    client = clients_of(running)
    _publish(client("s3"), [asset for stack in stacks for asset in stack.assets], say)
    bucket = asset_bucket(running.account, running.region)
    deployed = []
    for stack in stacks:
        url = _publish_template(client("s3"), stack, bucket, running.region)
        deployed.append(_deploy_stack(client("cloudformation"), stack, url, say))
    return deployed


def deploy_with_cdk(
    state: StateDir,
    running: Running,
    assembly: Path,
    environment: Mapping[str, str],
    *,
    cdk_directory: Path | None = None,
) -> list[DeployedStack]:
    """Deploy with the pinned CDK CLI, whose own output is shown; it is installed once, into the state directory.

    Raises:
        LocalcloudError: the CLI failed; its output above says why.
    """
    started = time.monotonic()
    stacks = read_assembly(assembly, account=running.account, region=running.region)
    options = ["--require-approval", "never", "--progress", "events"]
    result = run_cdk(
        state, running, assembly, environment, "deploy", "--all", *options, cdk_directory=cdk_directory, captured=False
    )
    if result.returncode != 0:
        raise LocalcloudError(f"cdk deploy failed with exit code {result.returncode}: its output above says why")
    cloudformation = clients_of(running)("cloudformation")
    took = time.monotonic() - started
    return [
        DeployedStack(name=stack.name, outcome="deployed", outputs=_outputs(cloudformation, stack.name), seconds=took)
        for stack in stacks
    ]


def run_cdk(
    state: StateDir,
    running: Running,
    assembly: Path,
    environment: Mapping[str, str],
    *arguments: str,
    cdk_directory: Path | None = None,
    captured: bool = True,
) -> "subprocess.CompletedProcess[str]":
    """Run one command of the pinned CDK CLI on an assembly against the account; its output is captured or shown."""
    command, path = cdk_command(cdk_directory or state.node, environment)
    variables = {key: value for key, value in environment.items() if key not in FOREIGN_VARIABLES}
    variables |= {**state.client_environment(running), "PATH": path}
    whole = [*command, *arguments, "--app", str(assembly.resolve()), "--no-notices"]
    return subprocess.run(whole, env=variables, check=False, capture_output=captured, text=True)


def _publish(s3: Any, assets: list[FileAsset], say: Say) -> None:
    sent = 0
    for asset in assets:
        try:
            s3.head_object(Bucket=asset.bucket, Key=asset.key)
        except s3.exceptions.ClientError:
            s3.put_object(Bucket=asset.bucket, Key=asset.key, Body=asset.content())
            sent += 1
    say(f"assets: {sent} published, {len(assets) - sent} there already")


def _publish_template(s3: Any, stack: StackArtifact, bucket: str, region: str) -> str:
    """Put the template where CloudFormation reads it, since 51,200 bytes are the limit of one in the request."""
    body = stack.template_path.read_bytes()
    key = f"templates/{hashlib.sha256(body).hexdigest()}.json"
    s3.put_object(Bucket=bucket, Key=key, Body=body)
    return f"https://s3.{region}.amazonaws.com/{bucket}/{key}"


def _deploy_stack(
    cloudformation: "CloudFormationClient", stack: StackArtifact, template_url: str, say: Say
) -> DeployedStack:
    started = time.monotonic()
    request: dict[str, Any] = {
        "StackName": stack.name,
        "TemplateURL": template_url,
        "Capabilities": CAPABILITIES,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in stack.parameters.items()],
        "Tags": [{"Key": key, "Value": value} for key, value in stack.tags.items()],
    }
    outcome = _send(cloudformation, request)
    if outcome != "unchanged":
        _wait(cloudformation, stack.name)
    seconds = time.monotonic() - started
    say(f"{stack.name}: {outcome} in {seconds:.1f} s")
    return DeployedStack(
        name=stack.name, outcome=outcome, outputs=_outputs(cloudformation, stack.name), seconds=seconds
    )


def _send(cloudformation: "CloudFormationClient", request: dict[str, Any]) -> str:
    status = _status(cloudformation, request["StackName"])
    if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"):
        cloudformation.delete_stack(StackName=request["StackName"])
        _wait_for(cloudformation, request["StackName"], lambda now: now is None or now.startswith("DELETE_"))
        status = None
    try:
        if status is None:
            cloudformation.create_stack(**request)
            return "created"
        cloudformation.update_stack(**request)
    except cloudformation.exceptions.ClientError as error:
        if "No updates are to be performed" in str(error):
            return "unchanged"
        raise LocalcloudError(f"stack {request['StackName']}: {' '.join(str(error).split())[:500]}") from error
    return "updated"


def _wait(cloudformation: "CloudFormationClient", name: str) -> None:
    status = _wait_for(cloudformation, name, lambda now: now is not None and not now.endswith("_IN_PROGRESS"))
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise LocalcloudError(f"stack {name} is {status}: {_first_failure(cloudformation, name)}")


def _wait_for(cloudformation: "CloudFormationClient", name: str, done: Callable[[str | None], bool]) -> str | None:
    deadline = time.monotonic() + STACK_TIMEOUT_S
    while not done(status := _status(cloudformation, name)):
        if time.monotonic() > deadline:
            raise LocalcloudError(f"stack {name} is still {status} after {STACK_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)
    return status


def _status(cloudformation: "CloudFormationClient", name: str) -> str | None:
    try:
        stacks = cloudformation.describe_stacks(StackName=name)["Stacks"]
    except cloudformation.exceptions.ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return None if stacks[0]["StackStatus"] == "DELETE_COMPLETE" else str(stacks[0]["StackStatus"])


def _outputs(cloudformation: "CloudFormationClient", name: str) -> dict[str, str]:
    outputs = cloudformation.describe_stacks(StackName=name)["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def _first_failure(cloudformation: "CloudFormationClient", name: str) -> str:
    events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
    for event in reversed(events):  # oldest first: later failures follow from the first
        if event.get("ResourceStatus", "").endswith("_FAILED"):
            reason = " ".join(event.get("ResourceStatusReason", "no reason given").split())
            return f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
    return "no failed resource in its events"


def write_outputs(deployed: list[DeployedStack], path: Path) -> None:
    """The outputs as the CDK CLI's `--outputs-file` writes them: `{stack: {key: value}}`."""
    path.write_text(json.dumps({stack.name: stack.outputs for stack in deployed}, indent=2) + "\n")

"""Reading a synthesised assembly."""

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aws_cdk import App

import app as spotproof_app
from stacks.bundle import Bundle, Bundles
from stacks.settings import DeploySettings

Json = dict[str, Any]
MANAGED_POLICY = "AWS::IAM::ManagedPolicy"
SUFFIXES = ("State", "Compute", "Events", "Monitoring", "GameDays")
PYTHON = "3.12"  # pretended to have built the worker bundle; not the one that runs the tests, to see that it matters


def synthesise(directory: Path, **context: str) -> "Assembly":
    """Synthesise the app with these context values into `directory`."""
    app = App(
        outdir=str(directory / "out"), context={**spotproof_app.cdk_flags(), **context}, analytics_reporting=False
    )
    settings = DeploySettings.from_context(app.node.get_all_context())
    spotproof_app.build(app, settings=settings, bundles=tiny_bundles(directory))
    app.synth()
    return Assembly(directory=directory / "out", prefix=settings.prefix)


def tiny_bundles(directory: Path) -> Bundles:
    made = []
    for name in ("worker", "functions", "worker-arm64"):
        path = directory / f"{name}.zip"
        with zipfile.ZipFile(path, "w") as bundle:
            bundle.writestr("nothing.py", "")
        made.append(Bundle(path=path, digest=f"{name}-digest"))
    return Bundles(worker=made[0], functions=made[1], worker_python=PYTHON, worker_arm64=made[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What `cdk synth` leaves on disk."""

    directory: Path
    prefix: str

    def template(self, suffix: str) -> Json:
        path = self.directory / f"{self.prefix}-{suffix}.template.json"
        template: Json = json.loads(path.read_text(encoding="utf-8"))
        return template

    @property
    def manifest(self) -> Json:
        manifest: Json = json.loads((self.directory / "manifest.json").read_text(encoding="utf-8"))
        return manifest

    def resources(self, kind: str) -> dict[str, Json]:
        """All resources of a type, by logical id, over all stacks."""
        return {
            name: resource
            for suffix in SUFFIXES
            for name, resource in self.template(suffix)["Resources"].items()
            if resource["Type"] == kind
        }

    def properties(self, kind: str) -> list[Json]:
        return [resource.get("Properties", {}) for resource in self.resources(kind).values()]

    def only(self, kind: str) -> Json:
        """Properties of the one resource of this type."""
        (found,) = self.properties(kind)
        return found

    def outputs(self, suffix: str) -> Json:
        outputs: Json = self.template(suffix)["Outputs"]
        return outputs

    def text(self) -> str:
        return "".join(json.dumps(self.template(suffix), sort_keys=True) for suffix in SUFFIXES)


def bucket(assembly: Assembly, name: str) -> tuple[str, Json]:
    """Logical id and properties of the Work or the Data bucket."""
    (found,) = (
        (logical_id, resource["Properties"])
        for logical_id, resource in assembly.resources("AWS::S3::Bucket").items()
        if logical_id.startswith(name)
    )
    return found


def role_statements(assembly: Assembly, role: str) -> list[Json]:
    """Statements of the policies that are attached to the role of this construct id."""
    (found,) = (
        resource["Properties"]
        for logical_id, resource in assembly.resources("AWS::IAM::Role").items()
        if re.fullmatch(f"{role}[0-9A-F]{{8}}", logical_id)
    )
    attached = {arn["Ref"] for arn in found.get("ManagedPolicyArns", []) if "Ref" in arn}
    return [
        statement
        for name, policy in assembly.resources(MANAGED_POLICY).items()
        if name in attached
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def actions(statements: list[Json]) -> set[str]:
    return {action for statement in statements for action in as_list(statement["Action"])}


def resources_of(statements: list[Json], action: str) -> str:
    """All resources that an action is allowed on, as text."""
    return json.dumps([s["Resource"] for s in statements if action in as_list(s["Action"])])


def user_data(assembly: Assembly) -> str:
    """The launch template's user data, with its base64 parts put in clear."""
    joined = assembly.only("AWS::EC2::LaunchTemplate")["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Join"][1]
    return "".join(part if isinstance(part, str) else part["Fn::Base64"] for part in joined)


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)

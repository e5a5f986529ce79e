"""A later version of an assembly, as another synthesis would write it: a copy whose templates and assets were changed."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Resources = dict[str, Any]


def changed(assembly: Path, into: Path, stack: str, change: Callable[[Resources], None]) -> Path:
    """A copy of the assembly in `into`, with `change` applied to the resources of one stack."""
    shutil.copytree(assembly, into, symlinks=True)
    _change(into / f"{stack}.template.json", change)
    return into


def later_version(assembly: Path, into: Path) -> Path:
    """A copy with other code for workers and functions, larger disks, and other limits of jobs and functions."""
    shutil.copytree(assembly, into, symlinks=True)
    for manifest in sorted(into.glob("*.assets.json")):
        for digest, asset in json.loads(manifest.read_text())["files"].items():
            if str(asset["source"].get("path", "")).endswith(".zip"):
                _other_code(into, digest)
    for template in sorted(into.glob("*.template.json")):
        _change(template, _other_limits)
    return into


def _change(path: Path, change: Callable[[Resources], None]) -> None:
    template = json.loads(path.read_text())
    change(template.get("Resources", {}))
    path.write_text(json.dumps(template))


def _other_code(assembly: Path, digest: str) -> None:
    """Add a file to the bundle; its new digest takes the old one's place wherever the assembly names it."""
    later = hashlib.sha256(f"later than {digest}".encode()).hexdigest()
    bundle = (assembly / f"asset.{digest}.zip").rename(assembly / f"asset.{later}.zip")
    with zipfile.ZipFile(bundle, "a") as archive:
        archive.writestr("LATER_VERSION", "")
    for path in assembly.glob("*.json"):
        path.write_text(path.read_text().replace(digest, later))


def _other_limits(resources: Resources) -> None:
    for resource in resources.values():
        properties = resource.get("Properties", {})
        match resource["Type"]:
            case "AWS::EC2::LaunchTemplate":
                for device in properties["LaunchTemplateData"]["BlockDeviceMappings"]:
                    device["Ebs"]["VolumeSize"] += 10
            case "AWS::Batch::JobDefinition":
                properties["Timeout"]["AttemptDurationSeconds"] += 60
            case "AWS::Lambda::Function" if "Timeout" in properties:
                properties["Timeout"] += 1

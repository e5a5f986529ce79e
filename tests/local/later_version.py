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
    for digest, path in _assets(into, ".zip"):
        later = hashlib.sha256(f"later than {digest}".encode()).hexdigest()
        with zipfile.ZipFile(path.rename(path.with_name(f"asset.{later}.zip")), "a") as archive:
            archive.writestr("LATER_VERSION", "")
        _rename(into, digest, later)
    for digest, path in _assets(into, ".template.json"):
        _change(path, _other_limits)
        _rename(into, digest, hashlib.sha256(path.read_bytes()).hexdigest())
    return into


def _assets(assembly: Path, ending: str) -> list[tuple[str, Path]]:
    """Digest and file of each asset whose name ends so; several stacks may have the same."""
    found = {
        digest: assembly / asset["source"]["path"]
        for manifest in sorted(assembly.glob("*.assets.json"))
        for digest, asset in json.loads(manifest.read_text())["files"].items()
    }
    return [(digest, path) for digest, path in found.items() if path.name.endswith(ending)]


def _rename(assembly: Path, digest: str, later: str) -> None:
    """Put another digest in the place of one, wherever the assembly names it."""
    for path in assembly.glob("*.json"):
        path.write_text(path.read_text().replace(digest, later))


def _change(path: Path, change: Callable[[Resources], None]) -> None:
    template = json.loads(path.read_text())
    change(template.get("Resources", {}))
    path.write_text(json.dumps(template))


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

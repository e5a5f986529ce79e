"""A synthesized cloud assembly (`cdk.out`): its stacks, in the order they must be deployed, and their file assets."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.errors import ConfigurationError, LocalcloudError

_EPOCH = (1980, 1, 1, 0, 0, 0)  # zip knows no earlier; a fixed time keeps equal content equal


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAsset:
    """One file or directory to put into the bootstrap bucket."""

    path: Path
    is_zip: bool  # a directory, uploaded as a zip
    bucket: str
    key: str

    def content(self) -> bytes:
        """What is uploaded."""
        return zipped(self.path) if self.is_zip else self.path.read_bytes()


@dataclass(frozen=True, slots=True, kw_only=True)
class StackArtifact:
    """One stack of the assembly."""

    name: str
    template_path: Path
    parameters: dict[str, str]
    tags: dict[str, str]
    depends_on: frozenset[str]  # artifact ids
    assets: tuple[FileAsset, ...]

    def template(self) -> dict[str, Any]:
        """The template, parsed."""
        template: dict[str, Any] = json.loads(self.template_path.read_text())
        return template


def read_assembly(directory: Path, *, account: str, region: str) -> list[StackArtifact]:
    """The stacks of `directory`, each after those it depends on.

    Raises:
        ConfigurationError: there is no assembly, or it has no stacks.
        LocalcloudError: it can't be deployed here; says why.
    """
    manifest_path = directory / "manifest.json"
    if not manifest_path.is_file():
        raise ConfigurationError(f"no cloud assembly in {directory}: run `make synth` (or `cdk synth`) first")
    manifest = json.loads(manifest_path.read_text())
    place = {"${AWS::AccountId}": account, "${AWS::Region}": region, "${AWS::Partition}": "aws"}
    stacks = dict(_stacks(directory, manifest, place))
    if not stacks:
        raise ConfigurationError(f"the cloud assembly in {directory} has no stacks")
    return _in_order(stacks)


def zipped(directory: Path) -> bytes:
    """The directory as a zip whose bytes depend on names, permissions and contents only."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(directory).as_posix(), _EPOCH)
                entry.external_attr = (path.stat().st_mode & 0xFFFF) << 16
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=1)
    return buffer.getvalue()


def _stacks(
    directory: Path, manifest: Mapping[str, Any], place: Mapping[str, str]
) -> Iterator[tuple[str, StackArtifact]]:
    artifacts: dict[str, Any] = manifest.get("artifacts", {})
    for artifact_id, artifact in artifacts.items():
        properties = artifact.get("properties", {})
        if artifact["type"] == "cdk:cloud-assembly":
            nested = directory / properties["directoryName"]
            yield from _stacks(nested, json.loads((nested / "manifest.json").read_text()), place)
        elif artifact["type"] == "aws:cloudformation:stack":
            needs = artifact.get("dependencies", [])
            yield (
                artifact_id,
                StackArtifact(
                    name=properties.get("stackName", artifact_id),
                    template_path=directory / properties["templateFile"],
                    parameters=dict(properties.get("parameters", {})),
                    tags=dict(properties.get("tags", {})),
                    depends_on=frozenset(
                        one for one in needs if artifacts.get(one, {}).get("type") == "aws:cloudformation:stack"
                    ),
                    assets=tuple(asset for one in needs for asset in _assets(directory, artifacts.get(one, {}), place)),
                ),
            )


def _assets(directory: Path, artifact: Mapping[str, Any], place: Mapping[str, str]) -> Iterator[FileAsset]:
    if artifact.get("type") != "cdk:asset-manifest":
        return
    manifest = json.loads((directory / artifact["properties"]["file"]).read_text())
    if manifest.get("dockerImages"):
        raise LocalcloudError("the assembly builds Docker images, which the local account can't run: use file assets")
    for entry in manifest.get("files", {}).values():
        source = entry["source"]
        if "path" not in source:
            raise LocalcloudError(f"the asset {entry.get('displayName')} has no file, only a command to make it")
        for destination in entry["destinations"].values():
            yield FileAsset(
                path=directory / source["path"],
                is_zip=source.get("packaging") == "zip",
                bucket=_filled(destination["bucketName"], place),
                key=_filled(destination["objectKey"], place),
            )


def _filled(text: str, place: Mapping[str, str]) -> str:
    for token, value in place.items():
        text = text.replace(token, value)
    return text


def _in_order(stacks: Mapping[str, StackArtifact]) -> list[StackArtifact]:
    ordered: list[StackArtifact] = []
    done: set[str] = set()
    while len(done) < len(stacks):
        ready = [key for key, stack in stacks.items() if key not in done and stack.depends_on <= done]
        if not ready:
            raise LocalcloudError(f"stacks depend on each other in a circle: {', '.join(stacks.keys() - done)}")
        ordered += [stacks[key] for key in ready]
        done.update(ready)
    return ordered

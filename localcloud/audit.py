"""Whether the deployed resources are what their templates say: the emulator may drop properties silently."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.assembly import StackArtifact, read_assembly
from localcloud.audit_readers import READERS
from localcloud.state_dir import Running

CreateClient = Callable[[str], Any]

# Settings that the service accepts and its describe call doesn't return, on AWS as here.
NOT_SHOWN = frozenset({"AWS::Batch::ComputeEnvironment.ComputeResources.UpdateToLatestImageVersion"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A property that the template sets and the resource doesn't have."""

    stack: str
    logical_id: str
    type: str
    property: str  # path inside Properties
    wanted: Any
    found: Any

    def __str__(self) -> str:
        where = f"{self.stack}/{self.logical_id} ({self.type}).{self.property}"
        return f"{where}: template {self.wanted!r}, deployed {self.found!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit found, and what it could not look at."""

    differences: tuple[Difference, ...]
    checked: frozenset[str]  # `type.property`
    unchecked: frozenset[str]


def audit(running: Running, assembly: Path, client: CreateClient) -> Audit:
    """Compare every resource of the assembly's stacks with what the services say about it."""
    differences: list[Difference] = []
    checked: set[str] = set()
    unchecked: set[str] = set()
    for stack in read_assembly(assembly, account=running.account, region=running.region):
        for logical_id, kind, properties, found in _deployed(stack, client):
            differences += _compared(stack.name, logical_id, kind, properties, found)
            for name in properties:
                (checked if name in found else unchecked).add(f"{kind}.{name}")
    return Audit(differences=tuple(differences), checked=frozenset(checked), unchecked=frozenset(unchecked))


def mismatches(wanted: Any, found: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Where `found` lacks something of `wanted`: path, wanted, found.

    `found` may have more. Names match without regard to case, lists without regard to order, numbers and booleans
    also as text. An intrinsic function (Ref, Fn::...) matches anything that is there.
    """
    if _is_intrinsic(wanted):
        if found in (None, "", [], {}):
            yield path, wanted, found
    elif isinstance(wanted, Mapping):
        yield from _mapping_mismatches(wanted, found, path)
    elif isinstance(wanted, list):
        candidates = found if isinstance(found, list) else [found]
        for index, item in enumerate(wanted):
            if not any(not list(mismatches(item, one, "")) for one in candidates):
                yield f"{path}[{index}]", item, found
    elif isinstance(found, list):
        if not any(_same(wanted, one) for one in found):
            yield path, wanted, found
    elif not _same(wanted, found):
        yield path, wanted, found


def _mapping_mismatches(wanted: Mapping[str, Any], found: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if not isinstance(found, Mapping):
        yield path, wanted, found
        return
    by_name = {str(name).lower(): value for name, value in found.items()}
    for name, value in wanted.items():
        inner = f"{path}.{name}" if path else name
        if name.lower() in by_name:
            yield from mismatches(value, by_name[name.lower()], inner)
        else:
            yield inner, value, None


def _deployed(stack: StackArtifact, client: CreateClient) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Logical id, type, template properties and found properties of every resource that has a reader."""
    listed = client("cloudformation").describe_stack_resources(StackName=stack.name)["StackResources"]
    physical = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}
    for logical_id, resource in stack.template()["Resources"].items():
        kind, properties = resource["Type"], resource.get("Properties", {})
        reader = READERS.get(kind)
        found = reader(client, physical[logical_id], _with_names(properties, physical)) if reader else {}
        yield logical_id, kind, properties, found


def _with_names(properties: Mapping[str, Any], physical: Mapping[str, str]) -> dict[str, Any]:
    """The properties, with references to resources at their top level as the physical ids they stand for."""
    return {name: _named(value, physical) for name, value in properties.items()}


def _named(value: Any, physical: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_named(item, physical) for item in value]
    if _is_intrinsic(value):
        target = value.get("Ref") or (value.get("Fn::GetAtt") or [None])[0]
        return physical.get(target, value)
    return value


def _compared(
    stack: str, logical_id: str, kind: str, properties: Mapping[str, Any], found: Mapping[str, Any]
) -> Iterator[Difference]:
    for name, wanted in properties.items():
        if name not in found:
            continue
        for path, want, have in mismatches(wanted, found[name], name):
            if f"{kind}.{path}" in NOT_SHOWN:
                continue
            yield Difference(stack=stack, logical_id=logical_id, type=kind, property=path, wanted=want, found=have)


def _is_intrinsic(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(found, bool):
        return str(wanted).lower() == str(found).lower()
    if isinstance(wanted, int | float) and isinstance(found, int | float):
        return wanted == found
    return str(wanted) == str(found)

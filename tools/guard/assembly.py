"""A cloud assembly as the rules read it: resources of all stacks, and who refers to whom."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

Json = dict[str, Any]
TEMPLATES = "*.template.json"
SUBSTITUTE = "${}"  # stands for what only the deployment knows, in flattened text
_VARIABLE = re.compile(r"\$\{[^!}][^}]*\}")


class AssemblyError(Exception):
    """The directory holds no cloud assembly that can be read; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource of one stack."""

    stack: str
    logical_id: str
    kind: str
    properties: Json = field(hash=False)
    attributes: Json = field(hash=False)  # next to the properties: DeletionPolicy, DependsOn …

    @property
    def where(self) -> str:
        return f"{self.stack}/{self.logical_id}"

    def get(self, path: str, default: Any = None) -> Any:
        """The property at a dotted path, such as `Timeout.AttemptDurationSeconds`; `default` where there is none."""
        value: Any = self.properties
        for name in path.split("."):
            if not isinstance(value, Mapping) or name not in value:
                return default
            value = value[name]
        return value


class Assembly:
    """All resources, with references resolved across stacks."""

    def __init__(self, templates: Mapping[str, Json]) -> None:
        self.templates = dict(templates)
        self.resources = tuple(
            Resource(
                stack=stack,
                logical_id=logical_id,
                kind=body["Type"],
                properties=body.get("Properties") or {},
                attributes={name: value for name, value in body.items() if name not in ("Type", "Properties")},
            )
            for stack, template in self.templates.items()
            for logical_id, body in template.get("Resources", {}).items()
        )
        self._by_place = {(each.stack, each.logical_id): each for each in self.resources}
        self._exports = {
            output["Export"]["Name"]: (stack, output["Value"])
            for stack, template in self.templates.items()
            for output in template.get("Outputs", {}).values()
            if isinstance(output.get("Export", {}).get("Name"), str)
        }

    @classmethod
    def read(cls, directory: Path) -> Self:
        """The assembly that `cdk synth` left in `directory`.

        Raises:
            AssemblyError: there is none, or it is damaged.
        """
        paths = sorted(directory.glob(TEMPLATES))
        if not paths:
            raise AssemblyError(f"no {TEMPLATES} in {directory}: run `make synth` first")
        return cls({path.name.removesuffix(TEMPLATES[1:]): _template(path) for path in paths})

    def of_kind(self, *kinds: str) -> Iterator[Resource]:
        """The resources of these types."""
        return (each for each in self.resources if each.kind in kinds)

    def referred(self, value: Any, *, by: Resource) -> Iterator[Resource]:
        """Every resource that a value refers to by Ref, Fn::GetAtt, Fn::Sub or an export; `by` has the value."""
        yield from self._referred(value, by.stack)

    def refers_to(self, value: Any, target: Resource, *, by: Resource) -> bool:
        return any(each == target for each in self.referred(value, by=by))

    def text(self, value: Any, *, by: Resource) -> str:
        """The value as text; what only the deployment knows is `${}`, and exports are looked through."""
        return self._text(value, by.stack)

    def _referred(self, value: Any, stack: str) -> Iterator[Resource]:
        if isinstance(value, list):
            for each in value:
                yield from self._referred(each, stack)
        elif isinstance(value, dict):
            for name, inner in value.items():
                yield from self._named(name, inner, stack)

    def _named(self, name: str, inner: Any, stack: str) -> Iterator[Resource]:
        """Resources behind one intrinsic function, or behind an ordinary key."""
        if name == "Fn::ImportValue" and isinstance(inner, str) and inner in self._exports:
            exporter, value = self._exports[inner]
            yield from self._referred(value, exporter)
        elif name in ("Ref", "Fn::GetAtt") and (found := self._by_place.get((stack, _logical_id(inner)))):
            yield found
        elif name == "Fn::Sub":
            yield from self._substituted(inner, stack)
        else:
            yield from self._referred(inner, stack)

    def _substituted(self, inner: Any, stack: str) -> Iterator[Resource]:
        pattern = inner if isinstance(inner, str) else inner[0]
        for part in pattern.split("${")[1:]:
            if found := self._by_place.get((stack, part.partition("}")[0].partition(".")[0])):
                yield found
        if not isinstance(inner, str):
            yield from self._referred(inner[1], stack)

    def _text(self, value: Any, stack: str) -> str:
        if isinstance(value, str | int | float):
            return str(value)
        if not isinstance(value, dict):
            return SUBSTITUTE
        if "Fn::Join" in value:
            separator, parts = value["Fn::Join"]
            return str(separator).join(self._text(part, stack) for part in parts)
        if "Fn::Sub" in value:
            inner = value["Fn::Sub"]
            return _VARIABLE.sub(SUBSTITUTE, inner if isinstance(inner, str) else str(inner[0]))
        if "Fn::Base64" in value:
            return self._text(value["Fn::Base64"], stack)
        exported = self._exports.get(str(value.get("Fn::ImportValue")))
        return self._text(exported[1], exported[0]) if exported else SUBSTITUTE


def _template(path: Path) -> Json:
    try:
        template = json.loads(path.read_text("utf-8"))
        if all(isinstance(body["Type"], str) for body in template.get("Resources", {}).values()):
            return dict(template)
    except (ValueError, AttributeError, KeyError, TypeError):
        pass
    raise AssemblyError(f"{path.name} is no template: run `make synth` again")


def _logical_id(argument: Any) -> str:
    """The logical id in the argument of Ref or Fn::GetAtt."""
    return str(argument[0]) if isinstance(argument, list) else str(argument).partition(".")[0]


def as_list(value: Any) -> list[Any]:
    """A policy's or a property's one value or many, as many; nothing is an empty list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]

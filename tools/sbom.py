"""What is in the parts that are installed and deployed, as CycloneDX documents made from the locks: `make sbom`.

One document for each part: what people install (`tool`), what travels to the workers (`worker`) and what travels to the
functions (`functions`). Everything comes from the locks: names, versions, hashes of every file that may be installed,
and who needs what. Nothing of the clock or the machine is in them: the same locks give the same bytes. Licences are not:
locks do not know them.
"""

import base64
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from tools import locks

PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "tool": ("base", "node"),
    "worker": ("worker",),
    "functions": ("functions",),
}
NPM_LOCK: Final = Path("tools/node/package-lock.json")
NPM_PART: Final = "tool"  # the CDK command line deploys
FOLDER: Final = Path(".build/sbom")
MARKER: Final = "spotproof:marker"  # when a package is installed at all, such as sys_platform == "win32"
_PIN: Final = re.compile(r"([A-Za-z0-9._-]+)==([^\s;]+)(?: ; (.*))?$")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_NEEDED_BY: Final = re.compile(r"^    #(?: via|  ) +(\S.*)$", re.MULTILINE)


class SbomError(Exception):
    """A document is not valid CycloneDX, or a lock can't be read; the text is one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """One package of a lock."""

    name: str
    version: str
    marker: str  # empty: wherever
    sha256: tuple[str, ...]  # of its files, sorted
    needed_by: tuple[str, ...]  # names of packages; empty: people asked for it

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.version}"


def read_lock(text: str) -> list[Locked]:
    """The packages of a lock that uv compiled, in its order.

    Raises:
        SbomError: something else than a pin with a hash.
    """
    return [_locked(block) for block in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]]


def _locked(block: str) -> Locked:
    first = block.splitlines()[0].removesuffix(" \\")
    match = _PIN.match(first)
    if match is None:
        raise SbomError(f"{first} is no pin of a version: run make lock")
    if not _HASH.search(block):
        raise SbomError(f"{match[1]}@{match[2]} has no hash: run make lock")
    needed_by = (each for each in _NEEDED_BY.findall(block) if not each.startswith(("-r ", "-c ")))
    return Locked(
        name=match[1],
        version=match[2],
        marker=match[3] or "",
        sha256=tuple(sorted(_HASH.findall(block))),
        needed_by=tuple(sorted(needed_by)),
    )


def document(part: str, root: Path = locks.ROOT) -> str:
    """The part's document: CycloneDX 1.6 as JSON, checked against its schema.

    Raises:
        SbomError: it is not valid, or a lock can't be read.
    """
    texts = [locks.lock_path(group, root).read_text() for group in PARTS[part]]
    packages = {package.ref: package for text in texts for package in read_lock(text)}
    npm = (root / NPM_LOCK).read_text() if part == NPM_PART else ""
    bom = _bom(part, packages, _npm_components(npm), _version(root))
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join([part, _version(root), *texts, npm]))
    text = json.dumps(json.loads(JsonV1Dot6(bom).output_as_string()), indent=1, sort_keys=True) + "\n"
    check(text)
    return text


def check(text: str) -> None:
    """Raises SbomError unless the text is a valid document, without members that the schema does not know."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error is not None:
        raise SbomError(f"not valid CycloneDX 1.6: {str(error).splitlines()[0]:.200}")


def _bom(part: str, packages: Mapping[str, Locked], others: list[Component], version: str) -> Bom:
    own = Component(
        name=f"spotproof-{part}", version=version, type=ComponentType.APPLICATION, bom_ref=f"spotproof-{part}"
    )
    components = {ref: _component(package) for ref, package in packages.items()}
    bom = Bom(components=[*components.values(), *others], metadata=BomMetaData(component=own))
    # The schema asks for neither; a time would make every document another one.
    bom.metadata.timestamp = None  # type: ignore[assignment]
    bom.metadata.tools.components.clear()
    bom.dependencies = _dependencies(own, packages, components, others)
    return bom


def _dependencies(
    own: Component, packages: Mapping[str, Locked], components: Mapping[str, Component], others: Iterable[Component]
) -> list[Dependency]:
    """Who needs what; the part itself needs what people asked for."""
    needs: dict[BomRef, list[Dependency]] = {own.bom_ref: [Dependency(other.bom_ref) for other in others]}
    for ref, package in packages.items():
        needed = components[ref].bom_ref
        needs.setdefault(needed, [])
        users = [components[user].bom_ref for user, each in packages.items() if each.name in package.needed_by]
        for user in users or [own.bom_ref]:
            needs.setdefault(user, []).append(Dependency(needed))
    return [Dependency(ref, dependencies=needed) for ref, needed in needs.items()]


def _component(package: Locked) -> Component:
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=package.ref,
        purl=PackageURL("pypi", None, package.name, package.version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in package.sha256],
        properties=[Property(name=MARKER, value=package.marker)] if package.marker else [],
    )


def _npm_components(lock: str) -> list[Component]:
    """The packages of an npm lock, with the hashes of their archives; none in an empty text."""
    packages = json.loads(lock)["packages"] if lock else {}
    return [_of_npm(place.rpartition("node_modules/")[2], each) for place, each in packages.items() if place]


def _of_npm(name: str, entry: Mapping[str, str]) -> Component:
    version = entry["version"]
    algorithm, _, digest = entry.get("integrity", "").partition("-")
    if algorithm != "sha512":
        raise SbomError(f"npm's {name}@{version} has no SHA-512 in {NPM_LOCK}")
    return Component(
        name=name,
        version=version,
        bom_ref=f"npm:{name}@{version}",
        purl=PackageURL("npm", None, name, version),
        hashes=[HashType(alg=HashAlgorithm.SHA_512, content=base64.b64decode(digest).hex())],
    )


def _version(root: Path) -> str:
    return str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])


def main() -> int:
    """`python -m tools.sbom`: write every part's document."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        for part in PARTS:
            text = document(part)
            path = FOLDER / f"{part}.cdx.json"
            path.write_text(text)
            print(f"{path}: {len(json.loads(text)['components'])} components")
    except SbomError as error:
        print(f"sbom: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

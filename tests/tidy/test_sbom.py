"""The bills of materials: valid CycloneDX, whole, the same for the same locks, and another one for others."""

import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.tidy.repository import ROOT
from tools import locks, sbom

LOCK = """# inputs-sha256: x
alpha==1.0 \\
    --hash=sha256:{0} \\
    --hash=sha256:{1}
    # via -r requirements.in
beta==2.0 ; sys_platform == 'win32' \\
    --hash=sha256:{1}
    # via
    #   -c requirements.txt
    #   alpha
""".format("b" * 64, "a" * 64)


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    return {part: json.loads(sbom.document(part)) for part in sbom.PARTS}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that the documents are made from."""
    for name in (
        "pyproject.toml",
        str(sbom.NPM_LOCK),
        *(str(locks.lock_path(group, Path())) for group in locks.GROUPS),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_a_lock_is_read_with_hashes_markers_and_who_needs_what() -> None:
    alpha, beta = sbom.read_lock(LOCK)

    assert (alpha.name, alpha.version, alpha.marker, alpha.needed_by) == ("alpha", "1.0", "", ())
    assert alpha.sha256 == ("a" * 64, "b" * 64)
    assert (beta.marker, beta.needed_by) == ("sys_platform == 'win32'", ("alpha",))


def test_a_pin_without_a_hash_has_no_document() -> None:
    with pytest.raises(sbom.SbomError, match=r"alpha@1\.0 has no hash"):
        sbom.read_lock("alpha==1.0 \\\n    # via -r requirements.in\n")


@pytest.mark.parametrize(
    "line",
    ["alpha==1.0", "alpha==1.0 ; python_version < '3.12'", "alpha @ https://example.com/alpha.whl \\", "alpha>=1.0 \\"],
    ids=["no hash at all", "no hash but a marker", "an address", "no pin"],
)
def test_what_is_not_a_pin_with_a_hash_is_not_left_out_in_silence(line: str) -> None:
    with pytest.raises(sbom.SbomError, match=r"^alpha.*run make lock$"):
        sbom.read_lock(f"# a comment\n{line}\n    # via -r requirements.in\n{LOCK.partition('beta')[1]}")


def test_two_versions_for_two_kinds_of_machines_are_two_components(copy: Path) -> None:
    lock = locks.lock_path("worker", copy)
    pinned = next(pin for pin in locks.packages("worker", copy) if pin.startswith("numpy=="))
    older = f"numpy==1.0 ; python_version < '3.12' \\\n    --hash=sha256:{'c' * 64}\n    # via -r batch_jobs/requirements.in\n"
    lock.write_text(lock.read_text() + older)

    found = json.loads(sbom.document("worker", copy))["components"]

    assert {f"{each['name']}=={each['version']}" for each in found if each["name"] == "numpy"} == {pinned, "numpy==1.0"}


@pytest.mark.parametrize("part", sbom.PARTS)
def test_every_locked_package_is_a_component_with_the_hashes_of_its_lock(
    part: str, documents: dict[str, dict[str, Any]]
) -> None:
    found = {f"{each['name']}=={each['version']}": each for each in documents[part]["components"]}
    pins = {pin for group in sbom.PARTS[part] for pin in locks.packages(group)}

    assert pins <= found.keys()
    for pin in pins:
        assert found[pin]["purl"] == "pkg:pypi/" + pin.replace("==", "@").lower()
        assert {each["alg"] for each in found[pin]["hashes"]} == {"SHA-256"}


def test_the_cdk_command_line_is_a_component_of_what_people_install(documents: dict[str, dict[str, Any]]) -> None:
    purls = {each["purl"]: each for each in documents["tool"]["components"]}

    command_line = purls["pkg:npm/aws-cdk@2.1148.1"]
    (digest,) = command_line["hashes"]
    assert (digest["alg"], len(digest["content"])) == ("SHA-512", 128)


@pytest.mark.parametrize("part", sbom.PARTS)
def test_every_component_is_reached_from_its_part(part: str, documents: dict[str, dict[str, Any]]) -> None:
    document = documents[part]
    needs = {each["ref"]: set(each.get("dependsOn", ())) for each in document["dependencies"]}
    reached, waiting = set[str](), [f"spotproof-{part}"]
    while waiting:
        ref = waiting.pop()
        waiting += sorted(needs[ref] - reached)
        reached |= needs[ref]

    assert reached == {each["bom-ref"] for each in document["components"]}


def test_the_same_locks_give_the_same_bytes_and_other_locks_another_serial_number(copy: Path) -> None:
    assert sbom.document("worker", copy) == sbom.document("worker")

    lock = locks.lock_path("worker", copy)
    lock.write_text(lock.read_text().replace("numpy==", "numpy==9."))
    other = json.loads(sbom.document("worker", copy))

    assert "numpy" in {each["name"] for each in other["components"] if each["version"].startswith("9.")}
    assert other["serialNumber"] != json.loads(sbom.document("worker"))["serialNumber"]


def test_a_document_names_no_time_and_a_valid_serial_number(documents: dict[str, dict[str, Any]]) -> None:
    for document in documents.values():
        assert "timestamp" not in document["metadata"]
        assert uuid.UUID(document["serialNumber"].removeprefix("urn:uuid:")).version == 5


def test_a_document_that_is_not_valid_is_refused(documents: dict[str, dict[str, Any]]) -> None:
    sbom.check(json.dumps(documents["functions"]))
    for change in ({"bomFormat": "other"}, {"unknown": 1}, {"components": [{"name": "x"}]}):
        with pytest.raises(sbom.SbomError, match="not valid CycloneDX"):
            sbom.check(json.dumps({**documents["functions"], **change}))

"""Reading a cloud assembly."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from localcloud.assembly import read_assembly, zipped
from localcloud.errors import ConfigurationError, LocalcloudError
from tests.local.small_assembly import COMPUTE_STACK, STATE_STACK, write_small_assembly

PLACE = {"account": "123456789012", "region": "eu-west-1"}


def _edit(directory: Path, name: str, **changes: Any) -> None:
    path = directory / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_stacks_come_after_those_they_depend_on(tmp_path: Path) -> None:
    stacks = read_assembly(write_small_assembly(tmp_path), **PLACE)

    assert [stack.name for stack in stacks] == [STATE_STACK, COMPUTE_STACK]


def test_placeholders_in_asset_destinations_are_filled(tmp_path: Path) -> None:
    stacks = read_assembly(write_small_assembly(tmp_path), **PLACE)

    assert [asset.bucket for asset in stacks[1].assets] == ["cdk-hnb659fds-assets-123456789012-eu-west-1"]


def test_stacks_in_a_circle_are_refused(tmp_path: Path) -> None:
    directory = write_small_assembly(tmp_path)
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["artifacts"][STATE_STACK]["dependencies"].append(COMPUTE_STACK)
    (directory / "manifest.json").write_text(json.dumps(manifest))

    with pytest.raises(LocalcloudError, match="in a circle"):
        read_assembly(directory, **PLACE)


def test_docker_images_are_refused_with_a_way_out(tmp_path: Path) -> None:
    directory = write_small_assembly(tmp_path)
    _edit(directory, f"{COMPUTE_STACK}.assets.json", dockerImages={"image": {}})

    with pytest.raises(LocalcloudError, match="use file assets"):
        read_assembly(directory, **PLACE)


def test_no_assembly_and_an_empty_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no cloud assembly"):
        read_assembly(tmp_path, **PLACE)
    (tmp_path / "manifest.json").write_text('{"artifacts": {}}')
    with pytest.raises(ConfigurationError, match="has no stacks"):
        read_assembly(tmp_path, **PLACE)


def test_equal_directories_make_equal_zips_whatever_their_times(tmp_path: Path) -> None:
    for name, moment in (("one", 1_000_000_000), ("two", 1_500_000_000)):
        file = tmp_path / name / "inner" / "file.py"
        file.parent.mkdir(parents=True)
        file.write_text("x = 1\n")
        os.utime(file, (moment, moment))

    assert zipped(tmp_path / "one") == zipped(tmp_path / "two")

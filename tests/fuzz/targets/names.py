"""Targets: names that become paths and keys; none of them leads out of the folder or prefix it belongs to."""

import os.path
from pathlib import Path
from typing import Any, Final
from unicodedata import category

from batch_jobs.wrap.input_files import file_names
from spotproof import contract
from spotproof.checkpoints.manifest_keys import data_key, epoch_of, is_data_key, manifest_key, parse_manifest_key
from spotproof.checkpoints.names import flaw_in_path, flaw_in_paths
from spotproof.commits.names import check_file_name, file_name, index_of
from spotproof.errors import OutputValueError
from spotproof_cli.downloads import relative_path
from spotproof_cli.terminal_text import clean
from tests.fuzz.mutations import text_mutation, words_mutation
from tests.fuzz.target import Target

ROOT: Final = "/scratch/root"
NAMES: Final = (
    "part-00000007.json", "plots/delay.png", "a/b/c.txt", "é/ü.csv", "x" * 200, "year=2026/month=11/part 1.parquet", ".hidden/x",
)  # fmt: skip
MANIFEST_KEY: Final = "checkpoints/run-1/00000007/00000003/m/000000000012-abc"
DATA_KEY: Final = "checkpoints/run-1/00000007/00000003/d/000000000012-abc-00"


class FlawedNameError(ValueError):
    """The product's own word on a name that it does not take."""


def targets() -> tuple[Target, ...]:
    return (
        _texts("download-path", "names in a bucket that others can write to", NAMES, _download_path, ()),
        _texts("output-name", "names that a job gives to its files", NAMES, _output_name, (OutputValueError,)),
        _texts("state-path", "paths of files in a checkpoint", NAMES, _state_path, (FlawedNameError,)),
        _texts(
            "checkpoint-key", "keys in the work bucket", (MANIFEST_KEY, DATA_KEY), _checkpoint_key, (FlawedNameError,)
        ),
        _texts("terminal-text", "texts from elsewhere that are shown in a terminal", NAMES, _shown, ()),
        Target(
            name="input-files",
            surface="keys of input objects that become files of a wrapped program",
            seeds=(["in/a.csv", "in/b/c.csv"], ["x"], ["in/a", "in/a/b", "in/ü"]),
            mutate=words_mutation,
            attempt=_input_files,
            refusals=(),
        ),
    )


def _texts(name: str, surface: str, seeds: Any, attempt: Any, refusals: tuple[type[Exception], ...]) -> Target:
    return Target(name=name, surface=surface, seeds=seeds, mutate=text_mutation, attempt=attempt, refusals=refusals)


def is_inside(path: str) -> bool:
    """Whether the path, joined to a root, is below it and is one that a file system takes."""
    joined = os.path.normpath(os.path.join(ROOT, path))
    return joined.startswith(ROOT + "/") and "\0" not in joined


def _download_path(name: str) -> object:
    path = str(relative_path(name))
    assert is_inside(path), f"{path!r} leads out of the download folder"
    assert relative_path(name + "x") != Path(path), "another name is another file"
    return path == name


def _output_name(name: str) -> object:
    checked = check_file_name(name)
    assert is_inside(checked), f"{checked!r} leads out of the output"
    assert index_of(file_name(7, checked)) == 7, "the file is its shard's"
    return "/" in checked


def _state_path(path: str) -> object:
    flaw = flaw_in_path(path) or flaw_in_paths([path, "a/b"])
    if flaw is not None:
        raise FlawedNameError(flaw)
    assert is_inside(path), f"{path!r} leads out of the state's folder"
    return "/" in path


def _checkpoint_key(key: str) -> object:
    """A key of this shard, or none: nothing in between, and never one of a neighbour."""
    manifest, data = parse_manifest_key(key, run_id="run-1", shard=7), is_data_key(key, run_id="run-1", shard=7)
    epoch_of(key, run_id="run-1", shard=7)
    if manifest is None and not data:
        raise FlawedNameError("no key of this shard")
    assert key.startswith(contract.checkpoints_prefix("run-1", 7)), f"{key!r} is not of the shard"
    assert "/../" not in key, f"{key!r} climbs"
    if manifest is not None:
        assert manifest_key("run-1", 7, manifest) == key or len(key) > len(MANIFEST_KEY), "read back, it is itself"
        assert is_data_key(data_key("run-1", 7, manifest, 0), run_id="run-1", shard=7), "its objects are its own"
    return manifest is not None


def _input_files(keys: list[str]) -> object:
    if not keys:
        return "none"
    names = file_names([f"s3://bucket/{key}" for key in keys])
    assert len(set(names)) == len(keys), "every object has a file of its own"
    assert all(is_inside(name) for name in names), f"{names!r} lead out of the input folder"
    return names[0].startswith("object-")


def _shown(text: str) -> object:
    line = clean(text)
    odd = [character for character in line if category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert odd == [], f"{odd!r} would reach the terminal: it moves the cursor, or turns the reading order"
    return line == text

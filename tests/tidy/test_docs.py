"""What the documents name exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tidy.repository import ROOT, relative, tracked_files

DOCUMENTS = [path for path in tracked_files() if path.suffix == ".md"]
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
_PATH = re.compile(
    r"`((?:spotproof|spotproof_cli|lambdas|batch_jobs|stacks|localcloud|demo|tests|tools|docs)/[\w./-]*)`"
)
_MAKE = re.compile(r"\bmake ([a-z]+)\b")


def missing_links(text: str, directory: str) -> Iterator[str]:
    for target in _LINK.findall(text):
        if not (ROOT / directory / target).exists():
            yield target


def missing_paths(text: str) -> Iterator[str]:
    for target in _PATH.findall(text):
        if not (ROOT / target).exists():
            yield target


def unknown_make_targets(code: str) -> Iterator[str]:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in _MAKE.findall(code):
        if target not in known:
            yield target


def code_of(text: str) -> str:
    """Code spans and blocks: elsewhere `make` is a verb."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_every_link_path_and_make_target_exists(path: Path) -> None:
    text = path.read_text()

    assert list(missing_links(text, relative(path.parent))) == []
    assert list(missing_paths(text)) == []
    assert list(unknown_make_targets(code_of(text))) == []


def test_a_wrong_name_is_found() -> None:
    text = "[a](docs/nowhere.md), `spotproof/nothing.py`, `make nonsense`, and make sense; `spotproof/clock.py`"

    assert list(missing_links(text, ".")) == ["docs/nowhere.md"]
    assert list(missing_paths(text)) == ["spotproof/nothing.py"]
    assert list(unknown_make_targets(code_of(text))) == ["nonsense"]

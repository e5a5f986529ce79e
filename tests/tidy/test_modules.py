"""Modules are small, say what they are for, and are named after a noun that says something."""

import ast

import pytest

from tests.tidy.repository import PRODUCT_PACKAGES, ROOT, parsed, product_modules, relative

LINES_MAX = 400
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "misc", "base_classes"}


def test_no_product_module_is_longer_than_a_person_reads_at_once() -> None:
    too_long = {
        relative(path): lines for path in product_modules() if (lines := len(path.read_text().splitlines())) > LINES_MAX
    }

    assert too_long == {}


def test_no_module_or_package_has_a_name_that_says_nothing() -> None:
    assert [relative(path) for path in product_modules() if {path.stem, path.parent.name} & EMPTY_NAMES] == []


def test_every_module_says_in_one_sentence_what_it_is_for() -> None:
    silent = [
        relative(path)
        for path in product_modules()
        if path.read_text().strip() and not _is_sentence(ast.get_docstring(parsed(path)))
    ]

    assert silent == []


@pytest.mark.parametrize("package", PRODUCT_PACKAGES)
def test_every_package_directory_says_what_it_is_for(package: str) -> None:
    directories = {path.parent for path in product_modules() if path.relative_to(ROOT).parts[0] == package}

    silent = [
        relative(directory)
        for directory in directories
        if not (init := directory / "__init__.py").exists() or not _is_sentence(ast.get_docstring(parsed(init)))
    ]

    assert directories
    assert silent == []


def _is_sentence(docstring: str | None) -> bool:
    first = (docstring or "").strip().splitlines()[:1]
    return bool(first) and len(first[0].split()) >= 3

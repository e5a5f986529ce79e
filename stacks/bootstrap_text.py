"""The worker's bootstrap as the text that travels in a job definition's command."""

import ast
from pathlib import Path

from spotproof.errors import ConfigurationError

BYTES_MAX = 3072  # of the 24 KiB of a job definition


def bootstrap_text(source: Path) -> str:
    """The program without comments, docstrings and annotations, indented by one space.

    Raises:
        ConfigurationError: if it grew beyond what a command should carry.
    """
    tree = ast.parse(source.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef):
            if ast.get_docstring(node) is not None:
                del node.body[0]
            if isinstance(node, ast.FunctionDef):
                _drop_annotations(node)
    text = "\n".join(_one_space_indent(line) for line in ast.unparse(tree).splitlines() if line)
    if len(text.encode()) > BYTES_MAX:
        raise ConfigurationError(f"{source.name} is {len(text.encode())} bytes as a command, at most {BYTES_MAX} fit")
    return text


def _drop_annotations(function: ast.FunctionDef) -> None:
    function.returns = None
    for argument in function.args.args:
        argument.annotation = None


def _one_space_indent(line: str) -> str:
    code = line.lstrip(" ")
    return " " * ((len(line) - len(code)) // 4) + code

"""Fields of log events never collide with what logging itself puts on a record: that would raise while logging."""

import ast
import logging
from pathlib import Path

import spotproof

RESERVED = set(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
ROOT = Path(spotproof.__file__).parents[1]


def texts(node: ast.Dict) -> set[str]:
    return {key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def extra_keys(tree: ast.AST) -> set[str]:
    """Constant keys of every dict in the file, and keyword names of every call to a method named _log."""
    keys: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict):
                    keys |= texts(keyword.value)
            if isinstance(node.func, ast.Attribute) and node.func.attr == "_log":
                keys |= {keyword.arg for keyword in node.keywords if keyword.arg}
        if isinstance(node, ast.FunctionDef) and node.name.endswith("_fields"):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Dict):
                    keys |= texts(inner)
    return keys


def test_no_log_event_uses_a_reserved_name() -> None:
    offenders = {}
    for folder in ("spotproof", "lambdas", "batch_jobs"):
        for path in (ROOT / folder).rglob("*.py"):
            clash = extra_keys(ast.parse(path.read_text())) & RESERVED
            if clash:
                offenders[path.name] = clash

    assert offenders == {}

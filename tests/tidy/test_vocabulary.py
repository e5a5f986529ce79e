"""Log events and metrics have one vocabulary, and all of it is alive."""

import ast
from collections.abc import Iterator

from spotproof import events
from tests.tidy.repository import parsed, product_modules, relative

_LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}
_LOGGERS = {"log", "_log", "logger", "_logger", "LOG", "LOGGER", "logging"}


def vocabulary() -> dict[str, str]:
    return {name: value for name, value in vars(events).items() if name.isupper() and isinstance(value, str)}


def test_every_name_is_used_by_the_product() -> None:
    used = {
        node.attr
        for path in product_modules()
        if not path.match("spotproof/events.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "events"
    }

    assert sorted(set(vocabulary()) - used) == []


def test_every_quoted_name_exists() -> None:
    missing = [
        f"{relative(path)}:{node.lineno}: events.{node.attr}"
        for path in product_modules()
        if not relative(path).startswith("localcloud/")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "events"
        if node.attr.isupper() and not hasattr(events, node.attr)
    ]

    assert missing == []


def test_two_names_never_mean_the_same() -> None:
    assert len(set(vocabulary().values())) == len(vocabulary())


def test_nobody_logs_a_sentence() -> None:
    sentences = [
        f"{relative(path)}:{line}: {text!r}"
        for path in product_modules()
        if relative(path).split("/")[0] in ("spotproof", "lambdas", "batch_jobs")
        for line, text in _literal_log_messages(parsed(path))
    ]

    assert sentences == []


def _literal_log_messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
            continue
        owner = node.func.value
        name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
        first = node.args[1] if node.func.attr == "log" and len(node.args) > 1 else node.args[0]
        if name in _LOGGERS and node.func.attr in _LEVELS and isinstance(first, ast.Constant | ast.JoinedStr):
            yield node.lineno, ast.unparse(first)

"""Last lines of functions that are gone."""

from types import SimpleNamespace
from typing import Any, cast

from localcloud.repairs.lambda_logs import install_lambda_logs
from localcloud.seams import Seams


def test_a_function_that_is_gone_writes_no_log_and_one_that_is_there_does() -> None:
    written: list[str] = []

    def emit(function: dict[str, Any], _request_id: str, text: str) -> None:
        written.append(text)

    service = SimpleNamespace(_functions={"here": {}}, _emit_lambda_logs=emit)
    install_lambda_logs(cast("Seams", SimpleNamespace(lambda_svc=service)))

    for name in ("here", "gone"):
        service._emit_lambda_logs({"config": {"FunctionName": name}}, "request", f"by {name}")

    assert written == ["by here"]

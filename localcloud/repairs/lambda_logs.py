"""What a function says while it is deleted: its last lines don't bring its log group back."""

from typing import Any

from localcloud.seams import Seams


def install_lambda_logs(seams: Seams) -> None:
    """Drop lines of functions that are gone; on AWS a function may not create groups, so they are lost there too."""
    emit = seams.lambda_svc._emit_lambda_logs

    def emit_while_it_exists(function: dict[str, Any], *arguments: Any, **more: Any) -> Any:
        name = (function.get("config") or function).get("FunctionName")
        if name in seams.lambda_svc._functions:
            return emit(function, *arguments, **more)
        return None

    seams.lambda_svc._emit_lambda_logs = emit_while_it_exists

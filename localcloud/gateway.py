"""The ASGI application: the emulator, with the admin API in front of it."""

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from localcloud.admin import Admin
from localcloud.errors import LocalcloudError

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]

ADMIN_PREFIX = "/_localcloud/"
ADMIN_HEADER = b"x-localcloud"  # a web page can't send it without our consent


class _ShutdownError(Exception):
    """The server is to end."""


class Gateway:
    """Loopback counts as TLS, so that policies which demand it (aws:SecureTransport) hold on plain HTTP."""

    def __init__(self, *, application: Application, admin: Admin, on_started: Callable[[], None]) -> None:
        self._application = application
        self._admin = admin
        self._on_started = on_started

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(ADMIN_PREFIX):
            await self._serve_admin(scope, receive, send)
        else:
            headers = [*scope["headers"], (b"x-forwarded-proto", b"https")] if "headers" in scope else []
            await self._application({**scope, "headers": headers}, receive, send)

    async def _live(self, scope: Any, receive: Receive, send: Send) -> None:
        """Start the emulator, but end without it: its own end loads services that were never used, for seconds."""

        async def until_shutdown() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                raise _ShutdownError
            return message

        async def watched(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._on_started()

        try:
            await self._application(scope, until_shutdown, watched)
        except _ShutdownError:
            await send({"type": "lifespan.shutdown.complete"})

    async def _serve_admin(self, scope: Any, receive: Receive, send: Send) -> None:
        body = await _whole_body(receive)
        if ADMIN_HEADER not in dict(scope["headers"]):
            await _answer(send, 403, {"error": "admin requests carry the header X-Localcloud", "exit_code": 2})
            return
        operation = scope["path"].removeprefix(ADMIN_PREFIX)
        try:
            result = await self._admin.run(operation, json.loads(body or b"{}"))
        except LocalcloudError as error:
            await _answer(send, 400, {"error": str(error), "exit_code": error.exit_code})
        except Exception as error:
            logger.exception("admin operation %s failed", operation)
            await _answer(send, 500, {"error": f"{operation}: {error!r}, see server.log", "exit_code": 1})
        else:
            await _answer(send, 200, result)


async def _whole_body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


async def _answer(send: Send, status: int, document: Any) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(document).encode()})

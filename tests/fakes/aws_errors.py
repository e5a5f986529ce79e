"""Clients that behave the way AWS does: throttled, refused, with the reply lost after the effect, or atomic."""

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError


def client_error(code: str, *, status: int = 400, operation: str = "UpdateItem") -> ClientError:
    """An error as botocore raises it."""
    response: Any = {
        "Error": {"Code": code, "Message": f"made by a test: {code}"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, operation)


class WrappedClient:
    """Passes the store's four requests through `_send`."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def get_item(self, **request: Any) -> Any:
        return self._send("get_item", self.client.get_item, request)

    def put_item(self, **request: Any) -> Any:
        return self._send("put_item", self.client.put_item, request)

    def update_item(self, **request: Any) -> Any:
        return self._send("update_item", self.client.update_item, request)

    def query(self, **request: Any) -> Any:
        return self._send("query", self.client.query, request)

    def _send(self, name: str, send: Callable[..., Any], request: dict[str, Any]) -> Any:
        raise NotImplementedError


class OneAtATimeClient(WrappedClient):
    """Makes each request atomic, as DynamoDB's are; moto checks a condition and writes in two steps."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self._lock = threading.Lock()

    def _send(self, name: str, send: Callable[..., Any], request: dict[str, Any]) -> Any:
        with self._lock:
            return send(**request)


class FailingClient(WrappedClient):
    """Raises the errors of a list, one for each request, before the request has any effect; then works."""

    def __init__(self, client: Any, errors: list[Exception]) -> None:
        super().__init__(client)
        self.errors = errors

    def _send(self, name: str, send: Callable[..., Any], request: dict[str, Any]) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return send(**request)


class ReplyLosingClient(WrappedClient):
    """Loses the reply of the first `lose` writes after they took effect; `meanwhile` runs before the retry arrives."""

    def __init__(self, client: Any, *, lose: int = 1, meanwhile: Callable[[], None] | None = None) -> None:
        super().__init__(client)
        self.lose = lose
        self.meanwhile = meanwhile

    def _send(self, name: str, send: Callable[..., Any], request: dict[str, Any]) -> Any:
        answer = send(**request)
        if self.lose and name in ("put_item", "update_item"):
            self.lose -= 1
            if self.meanwhile:
                self.meanwhile()
            raise ReadTimeoutError(endpoint_url="http://table.test")
        return answer


class CountingClient(WrappedClient):
    """Remembers the name of every request."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.requests: list[str] = []

    def _send(self, name: str, send: Callable[..., Any], request: dict[str, Any]) -> Any:
        self.requests.append(name)
        return send(**request)


class SmallPagesClient(WrappedClient):
    """Cuts every query into pages of at most `items`."""

    def __init__(self, client: Any, *, items: int) -> None:
        super().__init__(client)
        self.items = items
        self.pages = 0

    def _send(self, name: str, send: Callable[..., Any], request: dict[str, Any]) -> Any:
        if name == "query":
            self.pages += 1
            request = request | {"Limit": min(self.items, request.get("Limit", self.items))}
        return send(**request)

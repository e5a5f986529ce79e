"""Saved queries of CloudWatch Logs Insights, which the emulator does not keep."""

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

from localcloud.clock import Clock
from localcloud.seams import Response, Seams, ServiceHandler

_HEADERS: Final = {"Content-Type": "application/x-amz-json-1.1"}
_KEPT: Final = ("name", "queryString", "logGroupNames", "queryLanguage")


class QueryDefinitions:
    """Stands before the emulator's logs service and answers the three operations about saved queries."""

    def __init__(self, *, seams: Seams, clock: Clock) -> None:
        self._seams = seams
        self._clock = clock
        self._saved: dict[tuple[str, str, str], dict[str, Any]] = {}  # by account, region and id
        self._others: ServiceHandler = seams.app.SERVICE_HANDLERS["logs"]

    def install(self) -> None:
        self._seams.serve("logs", self.handle)

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Response:
        match headers.get("x-amz-target", "").rpartition(".")[2]:
            case "PutQueryDefinition":
                return _answer({"queryDefinitionId": self.put(json.loads(body))})
            case "DeleteQueryDefinition":
                return _answer({"success": self.delete(json.loads(body)["queryDefinitionId"])})
            case "DescribeQueryDefinitions":
                prefix = json.loads(body or b"{}").get("queryDefinitionNamePrefix", "")
                return _answer({"queryDefinitions": self._named(prefix)})
            case _:
                return await self._others(method, path, headers, body, query)

    def put(self, given: Mapping[str, Any]) -> str:
        """Save a query, in the place of the one with the id that is given; its id."""
        query_id = str(given.get("queryDefinitionId") or uuid.uuid4())
        kept = {name: given[name] for name in _KEPT if name in given}
        self._saved[*self._seams.current(), query_id] = {
            **kept,
            "queryDefinitionId": query_id,
            "lastModified": self._clock.now_ms(),
        }
        return query_id

    def delete(self, query_id: str) -> bool:
        """Whether there was one."""
        return self._saved.pop((*self._seams.current(), query_id), None) is not None

    def _named(self, prefix: str) -> list[dict[str, Any]]:
        here = self._seams.current()
        return [
            saved
            for (account, region, _), saved in sorted(self._saved.items())
            if (account, region) == here and saved["name"].startswith(prefix)
        ]


def _answer(body: Mapping[str, Any]) -> Response:
    return 200, dict(_HEADERS), json.dumps(body).encode()

"""Counts of AWS requests by caller, service and operation, and of DynamoDB capacity."""

import json
import threading
import zlib
from collections import Counter
from typing import Any

from localcloud.seams import Response, Seams, ServiceHandler

ROOT = "root"


class Usage:
    """Counts every request that reached a service handler, so what the gateway refused is not in it."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._write_units: dict[str, float] = {}
        self._read_units: dict[str, float] = {}

    def install(self) -> None:
        """Put a counter around every service of the emulator."""
        handlers = self._seams.app.SERVICE_HANDLERS
        for service, handler in list(handlers.items()):
            handlers[service] = self._counted(service, handler)

    def report(self) -> dict[str, Any]:
        """`{"callers": {role: {"requests": {"dynamodb:UpdateItem": n}, "write_units": x, "read_units": y}}}`."""
        with self._lock:
            callers: dict[str, dict[str, Any]] = {}
            for (caller, operation), count in sorted(self._requests.items()):
                entry = callers.setdefault(
                    caller,
                    {
                        "requests": {},
                        "write_units": self._write_units.get(caller, 0.0),
                        "read_units": self._read_units.get(caller, 0.0),
                    },
                )
                entry["requests"][operation] = count
            return {"callers": callers}

    def reset(self) -> None:
        """Start counting from zero."""
        with self._lock:
            self._requests.clear()
            self._write_units.clear()
            self._read_units.clear()

    def _counted(self, service: str, handler: ServiceHandler) -> ServiceHandler:
        async def counted(
            method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
        ) -> Response:
            caller = self._caller(headers, query)
            if caller is None:  # our own threads, which come without a signature
                return await handler(method, path, headers, body, query)
            operation = self._operation(service, method, path, headers, body, query)
            with self._lock:
                self._requests[caller, operation] += 1
            if service != "dynamodb":
                return await handler(method, path, headers, body, query)
            return await self._metered(caller, operation, handler, (method, path, headers, body, query))

        return counted

    async def _metered(self, caller: str, operation: str, handler: ServiceHandler, request: Any) -> Response:
        """Ask DynamoDB for the consumed capacity even when the caller doesn't, and take it out of the answer again."""
        method, path, headers, body, query = request
        asked = _ask_for_capacity(body, operation)
        status, answer_headers, answer = await handler(method, path, headers, asked or body, query)
        if status != 200 or operation.partition(":")[2] not in _METERED:
            return status, answer_headers, answer
        parsed = json.loads(answer)
        with self._lock:
            units = self._write_units if _is_write(operation) else self._read_units
            units[caller] = units.get(caller, 0.0) + capacity_units(parsed.get("ConsumedCapacity"))
        if asked is None:
            return status, answer_headers, answer
        parsed.pop("ConsumedCapacity", None)
        shorter = json.dumps(parsed).encode()
        checksum = {"x-amz-crc32": str(zlib.crc32(shorter))} if "x-amz-crc32" in answer_headers else {}
        return status, {**answer_headers, **checksum}, shorter

    def _caller(self, headers: dict[str, str], query: dict[str, Any]) -> str | None:
        key = self._seams.router.extract_access_key_id(headers, query)
        if not key:
            return None
        session = self._seams.sts._sessions.get(key)
        if not session:
            return ROOT
        # arn:aws:sts::<account>:assumed-role/<role>/<session>
        parts = str(session.get("Arn", "")).split("/")
        return parts[1] if len(parts) > 1 else parts[0]

    def _operation(
        self, service: str, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> str:
        action = self._seams.iam_actions.extract_iam_action(service, method, path, headers, body, query)
        return str(action or f"{service}:{method}")


def capacity_units(consumed: Any) -> float:
    """Units of a ConsumedCapacity answer (one entry, or a list with one for each table), indexes included."""
    entries = consumed if isinstance(consumed, list) else [consumed] if consumed else []
    return sum(float(entry.get("CapacityUnits", 0)) for entry in entries)


_METERED = (
    "GetItem",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "Query",
    "Scan",
    "BatchGetItem",
    "BatchWriteItem",
    "TransactGetItems",
    "TransactWriteItems",
)


def _ask_for_capacity(body: bytes, operation: str) -> bytes | None:
    """The body with ReturnConsumedCapacity added; None if it can't be, or the caller asks for it already."""
    if operation.partition(":")[2] not in _METERED:
        return None
    request = json.loads(body)
    if request.get("ReturnConsumedCapacity", "NONE") != "NONE":
        return None
    return json.dumps({**request, "ReturnConsumedCapacity": "TOTAL"}).encode()


def _is_write(operation: str) -> bool:
    return any(word in operation for word in ("Put", "Update", "Delete", "Write"))

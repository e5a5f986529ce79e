"""The metadata service of a simulated instance, as one process on it reaches it (IMDSv2)."""

import json
import random
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from simulation.cloud.aws_event import ACCOUNT, REGION, iso
from simulation.cloud.instance import SimInstance
from simulation.faults.book import FaultBook
from simulation.kernel.process import Process
from simulation.kernel.scheduler import MICROSECONDS, microseconds
from simulation.kernel.trace import Trace
from spotproof.interruptions.imds import NOTICE_PATH, REBALANCE_PATH, ROOT, TIMEOUT_S, MetadataResponse
from spotproof.worker.host import IDENTITY_PATH

FAULT: Final = "A9"
TOKEN_PATH: Final = "latest/api/token"  # noqa: S105 - a path
TTL_HEADER: Final = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER: Final = "X-aws-ec2-metadata-token"  # noqa: S105 - a header name
TTL_S_MAX: Final = 21_600
AWAY_S: Final = 150  # at most so long the service stays unreachable: longer than a notice
_PAGE: Final = "<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
_TITLES: Final = {
    400: "400 - Bad Request",
    401: "401 - Unauthorized",
    403: "403 - Forbidden",
    404: "404 - Not Found",
    500: "500 - Internal Server Error",
    503: "503 - Service Unavailable",
}


class MetadataFault(StrEnum):
    """How the service fails one request, or, if AWAY, all for a while."""

    REFUSED = "refuses the connection"
    TOO_SLOW = "answers too late"
    AWAY = "goes away"
    UNAUTHORIZED = "refuses the token"
    BROKEN = "answers 500"
    UNAVAILABLE = "answers 503"
    GARBAGE = "answers nonsense"


FAULTS: Final = tuple(MetadataFault)


class SimMetadata:
    """spotproof.interruptions.imds.MetadataTransport of one process on `instance`."""

    def __init__(
        self, *, process: Process, instance: SimInstance, trace: Trace, rng: random.Random, faults: FaultBook
    ) -> None:
        self._process = process
        self._instance = instance
        self._trace = trace
        self._rng = rng
        self._faults = faults
        self._tokens: dict[str, int] = {}  # token -> virtual moment it expires
        self._issued = 0

    def request(self, method: str, path: str, headers: Mapping[str, str]) -> MetadataResponse:
        """The service's answer after a moment, or OSError as the socket raises it."""
        strikes = self._faults.strikes(FAULT, f"{self._process.kind} {path}")
        self._process.wait(0.001 + 0.004 * self._rng.random())
        if strikes:
            failed = self._fail(self._rng.choice(FAULTS), path)
            if failed is not None:
                return failed
        if self._process.scheduler.now < self._instance.metadata_back_at and not self._faults.at_peace:
            raise self._too_late()
        return self._answer(method, path, headers)

    def _fail(self, fault: MetadataFault, path: str) -> MetadataResponse | None:
        now = self._process.scheduler.now
        self._trace.note(now, self._process.name, f"instance metadata {fault}", path)
        match fault:
            case MetadataFault.REFUSED:
                raise ConnectionRefusedError("connection refused")
            case MetadataFault.TOO_SLOW:
                raise self._too_late()
            case MetadataFault.AWAY:
                self._instance.metadata_back_at = now + microseconds(AWAY_S * self._rng.random())
                return None
            case MetadataFault.UNAUTHORIZED:
                self._tokens.clear()
                return _refusal(401)
            case MetadataFault.BROKEN:
                return _refusal(500)
            case MetadataFault.UNAVAILABLE:
                return _refusal(503)
            case MetadataFault.GARBAGE:
                return MetadataResponse(status=200, body=b"\xff<html>captive portal")

    def _too_late(self) -> TimeoutError:
        self._process.wait(TIMEOUT_S)
        return TimeoutError("timed out")

    def _answer(self, method: str, path: str, headers: Mapping[str, str]) -> MetadataResponse:
        if method == "PUT":
            return self._issue(headers) if path == TOKEN_PATH else _refusal(403)
        if self._tokens.get(headers.get(TOKEN_HEADER, ""), 0) <= self._process.scheduler.now:
            return _refusal(401)
        value = value_at(path, self._instance, now_us=self._process.scheduler.now)
        return _refusal(404) if value is None else MetadataResponse(status=200, body=value.encode())

    def _issue(self, headers: Mapping[str, str]) -> MetadataResponse:
        ttl = headers.get(TTL_HEADER, "")
        if not ttl.isdigit() or not 1 <= int(ttl) <= TTL_S_MAX:
            return _refusal(400)
        self._issued += 1
        token = f"token-{self._instance.id}-{self._issued}"
        self._tokens[token] = self._process.scheduler.now + int(ttl) * MICROSECONDS
        return MetadataResponse(status=200, body=token.encode())


def value_at(path: str, instance: SimInstance, *, now_us: int) -> str | None:
    """What the instance's metadata has at `path` now; None is 404."""
    match path:
        case _ if path == NOTICE_PATH:
            if instance.reclaim_at is None or instance.notice_seen_from is None or now_us < instance.notice_seen_from:
                return None
            return json.dumps({"action": "terminate", "time": iso(instance.reclaim_at)})
        case _ if path == REBALANCE_PATH:
            return None if instance.rebalance_at is None else json.dumps({"noticeTime": iso(instance.rebalance_at)})
        case _ if path == IDENTITY_PATH:
            return json.dumps(_identity(instance))
    return {
        ROOT + "instance-id": instance.id,
        ROOT + "instance-type": instance.type,
        ROOT + "instance-life-cycle": str(instance.lifecycle),
        ROOT + "placement/availability-zone": instance.zone,
        ROOT + "placement/region": REGION,
    }.get(path)


def _identity(instance: SimInstance) -> dict[str, str]:
    """The parts of the instance identity document that say which host it is (EC2 user guide)."""
    return {
        "accountId": ACCOUNT,
        "availabilityZone": instance.zone,
        "instanceId": instance.id,
        "instanceType": instance.type,
        "pendingTime": iso(instance.launched_at),
        "region": REGION,
    }


def _refusal(status: int) -> MetadataResponse:
    return MetadataResponse(status=status, body=_PAGE.format(title=_TITLES[status]).encode())

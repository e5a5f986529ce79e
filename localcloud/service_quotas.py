"""The Service Quotas API, as far as it tells the vCPUs that the account may run."""

import json
from typing import Any, Final

from localcloud.instance import Lifecycle
from localcloud.quotas import Quotas
from localcloud.seams import Response

PLENTY: Final = 10_000  # vCPUs, where `localcloud quota` set none
# Name, and what of the account's quotas it is; the fleet has no instances of the other kinds.
_KNOWN: Final = {
    ("ec2", "L-34B43A08"): (
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        Lifecycle.SPOT,
    ),
    ("ec2", "L-1216C47A"): (
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        Lifecycle.ON_DEMAND,
    ),
    ("ec2", "L-3819A6DF"): ("All G and VT Spot Instance Requests", None),
    ("ec2", "L-DB2E81BA"): ("Running On-Demand G and VT instances", None),
    ("ec2", "L-7212CCBC"): ("All P4, P3 and P2 Spot Instance Requests", None),
    ("ec2", "L-417A185B"): ("Running On-Demand P instances", None),
    ("fargate", "L-36FBB829"): ("Fargate Spot vCPU resource count", None),
    ("fargate", "L-3032A538"): ("Fargate On-Demand vCPU resource count", None),
}
_OPERATIONS: Final = ("GetServiceQuota", "GetAWSDefaultServiceQuota")


class ServiceQuotasApi:
    """Answers the two reading operations for the quotas that cap a fleet."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    async def handle(
        self, _method: str, _path: str, headers: dict[str, str], body: bytes, _query: dict[str, Any]
    ) -> Response:
        """Answer one request of the JSON protocol."""
        target = next((text for name, text in headers.items() if name.lower() == "x-amz-target"), "")
        operation = target.rpartition(".")[2]
        if operation not in _OPERATIONS:
            return _answer(400, {"__type": "InvalidAction", "message": f"the local account has no {operation}"})
        given = json.loads(body or b"{}")
        service, code = str(given.get("ServiceCode", "")), str(given.get("QuotaCode", ""))
        if (service, code) not in _KNOWN:
            return _answer(400, {"__type": "NoSuchResourceException", "message": f"no quota {code} of {service}"})
        name, lifecycle = _KNOWN[service, code]
        limit = None if lifecycle is None else self._quotas.limit(lifecycle)
        quota = {"ServiceCode": service, "QuotaCode": code, "QuotaName": name, "Adjustable": True}
        return _answer(200, {"Quota": {**quota, "Value": float(PLENTY if limit is None else limit)}})


def _answer(status: int, document: dict[str, Any]) -> Response:
    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode()

"""The Service Quotas API, as far as it tells the vCPUs that the account may run."""

import json
from typing import Any, Final

from localcloud.instance import Lifecycle
from localcloud.quotas import Quotas
from localcloud.seams import Response

PLENTY: Final = 10_000  # vCPUs, where `localcloud market` set no quota
_STANDARD: Final = {"L-34B43A08": Lifecycle.SPOT, "L-1216C47A": Lifecycle.ON_DEMAND}  # the fleet knows no others
_OTHERS: Final = {  # kinds of which the fleet has no instances: always plenty
    ("ec2", "L-3819A6DF"): "All G and VT Spot Instance Requests",
    ("ec2", "L-DB2E81BA"): "Running On-Demand G and VT instances",
    ("ec2", "L-7212CCBC"): "All P4, P3 and P2 Spot Instance Requests",
    ("ec2", "L-417A185B"): "Running On-Demand P instances",
    ("fargate", "L-36FBB829"): "Fargate Spot vCPU resource count",
    ("fargate", "L-3032A538"): "Fargate On-Demand vCPU resource count",
}
_NAMES: Final = {
    "L-34B43A08": "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
    "L-1216C47A": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
}


class ServiceQuotasApi:
    """GetServiceQuota and GetAWSDefaultServiceQuota."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    async def handle(
        self, _method: str, _path: str, headers: dict[str, str], body: bytes, _query: dict[str, Any]
    ) -> Response:
        """Answer one request of the JSON protocol."""
        operation = next((text for name, text in headers.items() if name.lower() == "x-amz-target"), "").rpartition(
            "."
        )[2]
        if operation not in ("GetServiceQuota", "GetAWSDefaultServiceQuota"):
            return _answer(400, {"__type": "InvalidAction", "message": f"the local account has no {operation}"})
        given = json.loads(body or b"{}")
        service, code = str(given.get("ServiceCode", "")), str(given.get("QuotaCode", ""))
        name = _NAMES.get(code) if service == "ec2" and code in _STANDARD else _OTHERS.get((service, code))
        if name is None:
            return _answer(400, {"__type": "NoSuchResourceException", "message": f"no quota {code} of {service}"})
        quota = {"ServiceCode": service, "QuotaCode": code, "QuotaName": name, "Value": float(self._value(code))}
        return _answer(200, {"Quota": {**quota, "Unit": "None", "Adjustable": True, "GlobalQuota": False}})

    def _value(self, code: str) -> int:
        limit = self._quotas.limit(_STANDARD[code]) if code in _STANDARD else None
        return PLENTY if limit is None else limit


def _answer(status: int, document: dict[str, Any]) -> Response:
    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode()

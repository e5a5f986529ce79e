"""The quotas that the local account tells are those that its fleet obeys."""

import asyncio
import json
from typing import Any

import pytest

from localcloud.instance import Lifecycle
from localcloud.quotas import Quotas
from localcloud.service_quotas import PLENTY, ServiceQuotasApi


def ask(api: ServiceQuotasApi, operation: str, **given: str) -> tuple[int, dict[str, Any]]:
    headers = {"X-Amz-Target": f"ServiceQuotasV20190624.{operation}"}
    status, _, body = asyncio.run(api.handle("POST", "/", headers, json.dumps(given).encode(), {}))
    return status, json.loads(body)


@pytest.mark.parametrize(("lifecycle", "code"), [(Lifecycle.SPOT, "L-34B43A08"), (Lifecycle.ON_DEMAND, "L-1216C47A")])
def test_a_quota_that_was_set_is_told(lifecycle: Lifecycle, code: str) -> None:
    quotas = Quotas()
    api = ServiceQuotasApi(quotas)
    assert ask(api, "GetServiceQuota", ServiceCode="ec2", QuotaCode=code)[1]["Quota"]["Value"] == PLENTY

    quotas.set(lifecycle, 5)

    assert ask(api, "GetServiceQuota", ServiceCode="ec2", QuotaCode=code)[1]["Quota"]["Value"] == 5


def test_kinds_that_the_fleet_has_no_instances_of_have_plenty() -> None:
    quotas = Quotas()
    quotas.set(Lifecycle.SPOT, 0)

    status, answer = ask(ServiceQuotasApi(quotas), "GetServiceQuota", ServiceCode="fargate", QuotaCode="L-36FBB829")

    assert (status, answer["Quota"]["Value"]) == (200, PLENTY)


@pytest.mark.parametrize(
    ("service", "code"), [("ec2", "L-00000000"), ("fargate", "L-34B43A08"), ("lambda", "L-B99A9384")]
)
def test_a_quota_that_nobody_knows_is_refused(service: str, code: str) -> None:
    status, answer = ask(ServiceQuotasApi(Quotas()), "GetServiceQuota", ServiceCode=service, QuotaCode=code)

    assert (status, answer["__type"]) == (400, "NoSuchResourceException")


def test_any_other_operation_is_refused() -> None:
    assert ask(ServiceQuotasApi(Quotas()), "RequestServiceQuotaIncrease")[0] == 400

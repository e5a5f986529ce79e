"""Checks of the quotas that cap the fleet: vCPUs by kind of instance, for Spot and on-demand apart."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from spotproof.retries import error_code
from spotproof_cli.doctor import environments
from spotproof_cli.doctor.subject import Check, Subject
from spotproof_cli.doctor.verdict import Verdict, fail, ok, warn

if TYPE_CHECKING:
    from mypy_boto3_batch.type_defs import ComputeEnvironmentDetailTypeDef

NEW_ACCOUNT: Final = 5  # vCPUs of a new account, Fargate's 6 aside ("Amazon EC2 Spot Instance quotas", EC2 user guide)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaKind:
    """Instances that count against one pair of quotas (AWS General Reference, endpoints and quotas)."""

    name: str
    service: str
    spot_code: str
    on_demand_code: str
    context: str = ""  # begins the names of the context values that cap it
    families: frozenset[str] = frozenset()  # letters before the generation

    def code(self, *, spot: bool) -> str:
        return self.spot_code if spot else self.on_demand_code


STANDARD: Final = QuotaKind(
    name="standard",
    service="ec2",
    spot_code="L-34B43A08",
    on_demand_code="L-1216C47A",
    families=frozenset(
        {"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z", "optimal", "default_x", "default_arm"}
    ),
)
FARGATE: Final = QuotaKind(
    name="Fargate", service="fargate", spot_code="L-36FBB829", on_demand_code="L-3032A538", context="fargate_"
)
KINDS: Final = (
    STANDARD,
    QuotaKind(
        name="G and VT",
        service="ec2",
        spot_code="L-3819A6DF",
        on_demand_code="L-DB2E81BA",
        context="gpu_",
        families=frozenset({"g", "gr", "vt"}),
    ),
    QuotaKind(
        name="P",
        service="ec2",
        spot_code="L-7212CCBC",
        on_demand_code="L-417A185B",
        context="gpu_",
        families=frozenset({"p"}),
    ),
)


def _quotas(subject: Subject, *, spot: bool) -> Sequence[Verdict]:
    """What the environments may start at most, against what the account may run."""
    wanted, unknown = _wanted(environments.of(subject), spot=spot)
    verdicts = [
        warn(f"the doctor does not know the quota of {types}", fix="look at it in the Service Quotas console")
        for types in unknown
    ]
    judged = [_judged(subject, kind, vcpus, spot=spot) for kind, vcpus in (wanted or {STANDARD: 0}).items()]
    return [*verdicts, *judged]


def _wanted(
    found: "Iterable[ComputeEnvironmentDetailTypeDef]", *, spot: bool
) -> tuple[dict[QuotaKind, int], list[str]]:
    """Most vCPUs by kind of quota, and the instance types whose quota is not known."""
    wanted: dict[QuotaKind, int] = {}
    unknown: list[str] = []
    for each in found:
        resources = each.get("computeResources")
        if resources is None or (environments.kind_of(each) in environments.SPOT_TYPES) is not spot:
            continue
        types = resources.get("instanceTypes", [])
        kinds = {FARGATE} if environments.kind_of(each) in environments.FARGATE_TYPES else set(map(kind_of_type, types))
        for kind in kinds:
            if kind is not None:
                wanted[kind] = wanted.get(kind, 0) + resources["maxvCpus"]
        if None in kinds:
            unknown.append(", ".join(name for name in types if kind_of_type(name) is None))
    return wanted, unknown


def kind_of_type(instance_type: str) -> QuotaKind | None:
    """The kind that a type, or a family of types, counts against; None if it is not known here."""
    match = re.match(r"[a-z_]+", instance_type)
    letters = match.group() if match else ""
    return next((kind for kind in KINDS if letters in kind.families), None)


def _judged(subject: Subject, kind: QuotaKind, wanted: int, *, spot: bool) -> Verdict:
    """`wanted`: what the environments may start; 0 before the first deployment, when a new account's is too little."""
    value = _value(subject, kind.service, kind.code(spot=spot))
    first = NEW_ACCOUNT + (kind is FARGATE)
    lifecycle = "Spot" if spot else "on-demand"
    may = f"{value:g} vCPUs of {kind.name} {lifecycle}{'' if kind is FARGATE else ' instances'}"
    if value >= wanted and (wanted or value > first):
        return ok(f"{may}{f', at most {wanted} are wanted' if wanted else ''}")
    context = f"{kind.context}{'spot' if spot else 'on_demand'}_vcpus_max"
    ask = f"ask for {wanted or 'more'} at {_console(subject, kind.service, kind.code(spot=spot))}"
    fix = f"{ask}, or deploy with a smaller {context}" if wanted else ask
    if value <= first:
        return fail(
            f"{may}, as in a new account; {f'{wanted} are wanted' if wanted else 'that is two small hosts'}", fix=fix
        )
    return warn(f"{may}, fewer than the {wanted} that the compute environments may start", fix=fix)


def _value(subject: Subject, service: str, code: str) -> float:
    """The account's quota; where nobody ever changed it, AWS's default."""
    client = subject.clients.service_quotas
    doing = f"reading the quota {code}"
    try:
        answer = subject.call(doing, client.get_service_quota, ServiceCode=service, QuotaCode=code)
    except ClientError as error:
        if error_code(error) != "NoSuchResourceException":
            raise
        answer = subject.call(doing, client.get_aws_default_service_quota, ServiceCode=service, QuotaCode=code)
    return float(answer["Quota"]["Value"])


def _console(subject: Subject, service: str, code: str) -> str:
    return f"https://{subject.region}.console.aws.amazon.com/servicequotas/home/services/{service}/quotas/{code}"


_ACTIONS: Final = (
    "batch:DescribeComputeEnvironments",
    "servicequotas:GetServiceQuota",
    "servicequotas:GetAWSDefaultServiceQuota",
)
CHECKS: Final = (
    Check(
        name="spot-quota",
        claim="the account may run as many Spot vCPUs as the compute environments may start",
        examine=partial(_quotas, spot=True),
        actions=_ACTIONS,
    ),
    Check(
        name="on-demand-quota",
        claim="the same for on-demand vCPUs",
        examine=partial(_quotas, spot=False),
        actions=_ACTIONS,
    ),
)

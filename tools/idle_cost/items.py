"""From templates to the list of what is paid for while nothing runs."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tools.guard.assembly import Assembly, Resource
from tools.idle_cost.prices import PriceList

HOURS: Final = 730  # of a month, as AWS counts
MINUTES: Final = HOURS * 60
MINUTES_OF = {"minute": 1, "hour": 60, "day": 1440}

# Paid by what is stored or done, of which there is nothing while no run goes on, or not at all.
FREE_WHEN_IDLE: Final = frozenset(
    f"AWS::{name}"
    for name in (
        "Batch::JobDefinition", "Batch::JobQueue", "Batch::SchedulingPolicy", "Budgets::Budget",
        "CDK::Metadata", "DynamoDB::GlobalTable", "EC2::FlowLog", "EC2::InternetGateway", "EC2::LaunchTemplate",
        "EC2::Route", "EC2::RouteTable", "EC2::SecurityGroup", "EC2::SecurityGroupEgress", "EC2::SecurityGroupIngress",
        "EC2::Subnet", "EC2::SubnetRouteTableAssociation", "EC2::VPC", "EC2::VPCGatewayAttachment",
        "FIS::ExperimentTemplate", "IAM::InstanceProfile", "IAM::ManagedPolicy", "IAM::Policy", "IAM::Role",
        "KMS::Alias", "Lambda::EventInvokeConfig", "Lambda::Function", "Lambda::Permission", "Logs::LogGroup",
        "Logs::QueryDefinition", "S3::Bucket", "S3::BucketPolicy", "SNS::Subscription", "SNS::Topic",
        "SNS::TopicPolicy", "SQS::Queue", "SQS::QueuePolicy",
    )
)  # fmt: skip


class UnknownCostError(Exception):
    """A resource type of which nobody has said what it costs when idle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something paid for: how many units a month, and their price."""

    what: str
    units: float
    unit: str
    usd_listed: float  # a month, without free units
    usd: float  # a month, in an account that uses the free units for nothing else


def idle_items(assembly: Assembly, prices: PriceList) -> tuple[Item, ...]:
    """Everything of the assembly that is paid for while no run goes on; units of one kind are one item.

    Raises:
        UnknownCostError: a resource of a type that is in none of the lists.
    """
    units: dict[tuple[str, str], float] = {}
    for resource in assembly.resources:
        for what, price, number in _units(assembly, resource, prices):
            units[what, price] = units.get((what, price), 0.0) + number
    return tuple(_item(what, price, number, prices) for (what, price), number in units.items() if number)


def total_usd(items: tuple[Item, ...]) -> tuple[float, float]:
    """A month: as listed, and after the free units."""
    return sum(each.usd_listed for each in items), sum(each.usd for each in items)


def _item(what: str, price: str, number: float, prices: PriceList) -> Item:
    of = prices.prices[price]
    return Item(
        what=what, units=number, unit=of.unit, usd_listed=number * of.usd, usd=max(0.0, number - of.free) * of.usd
    )


Units = Iterator[tuple[str, str, float]]  # what it is, name of its price, units a month


def _units(assembly: Assembly, resource: Resource, prices: PriceList) -> Units:
    known = _PAID.get(resource.kind)
    if known is not None:
        yield from known(assembly, resource, prices)
    elif resource.kind not in FREE_WHEN_IDLE:
        raise UnknownCostError(
            f"{resource.where} is an {resource.kind}: say in tools/idle_cost/items.py what it costs when idle"
        )


def _one(what: str, price: str, times: float = 1.0) -> Callable[[Assembly, Resource, PriceList], Units]:
    def units(_assembly: Assembly, _resource: Resource, _prices: PriceList) -> Units:
        yield what, price, times

    return units


def _endpoint(_assembly: Assembly, resource: Resource, _prices: PriceList) -> Units:
    if resource.get("VpcEndpointType") == "Interface":  # gateways, to S3 and DynamoDB, are free
        yield "interface endpoints", "endpoint_hour", HOURS * len(resource.get("SubnetIds", []))


def _hosts(_assembly: Assembly, resource: Resource, _prices: PriceList) -> Units:
    yield "hosts kept for coming runs", "vcpu_hour", HOURS * float(resource.get("ComputeResources.MinvCpus") or 0)


def _schedule(assembly: Assembly, resource: Resource, prices: PriceList) -> Units:
    if not resource.get("ScheduleExpression"):
        return
    rounds = MINUTES / _minutes_between(str(resource.get("ScheduleExpression")))
    for function in assembly.referred(resource.get("Targets"), by=resource):
        if function.kind == "AWS::Lambda::Function":
            yield from _rounds(function, rounds, prices)


def _rounds(function: Resource, rounds: float, prices: PriceList) -> Units:
    assumed = prices.assumed
    gb = float(function.get("MemorySize", 128)) / 1024
    yield "the controller's rounds", "lambda_request", rounds
    yield "their time", "lambda_gb_s", rounds * gb * assumed.invocation_s
    yield "their log lines", "log_gb", rounds * assumed.invocation_log_bytes / 1e9
    yield "their looks at the table", "table_read", rounds * assumed.invocation_reads
    yield "their heartbeat", "metric", assumed.invocation_metrics
    if function.get("TracingConfig.Mode") == "Active":
        yield "their traces", "trace", rounds


def _minutes_between(expression: str) -> float:
    match = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression)
    if match is None:
        raise UnknownCostError(f"how often is {expression!r}? tools/idle_cost/items.py knows rates only")
    return int(match[1]) * MINUTES_OF[match[2]]


_PAID: Final = {
    "AWS::CloudWatch::Alarm": _one("alarms", "alarm"),
    "AWS::CloudWatch::CompositeAlarm": _one("the alarm over all alarms", "composite_alarm"),
    "AWS::CloudWatch::Dashboard": _one("dashboards", "dashboard"),
    "AWS::KMS::Key": _one("keys", "key"),
    "AWS::EC2::NatGateway": _one("NAT gateways", "nat_hour", HOURS),
    "AWS::EC2::EIP": _one("addresses", "address_hour", HOURS),
    "AWS::EC2::VPCEndpoint": _endpoint,
    "AWS::Batch::ComputeEnvironment": _hosts,
    "AWS::Events::Rule": _schedule,
}

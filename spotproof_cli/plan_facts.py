"""What a plan of a run needs to know of the deployment: sizes, pools and their prices. Only reads."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from spotproof.capacity.breaker import BreakerSettings, BreakerState, judge_pool
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.queue_facts import QueueReader
from spotproof.capacity.records import Records
from spotproof.capacity.sizing.pools import PoolPrice, WorkerSize
from spotproof.capacity.waiting_facts import InstanceSize
from spotproof.clock import Clock, to_epoch_ms
from spotproof.costs.prices import load_on_demand_prices
from spotproof.errors import AwsError, AwsMissingError
from spotproof.leases.model import CapacityClass
from spotproof.retries import as_aws_error

if TYPE_CHECKING:
    from spotproof_cli.deployment import Deployment

PRICE_PAGES_MAX: Final = 10  # of a thousand; a dozen types in six zones are 72 pools
LINUX: Final = "Linux/UNIX"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFacts:
    """Pools of the deployment with their prices, and what could not be learned, a line each."""

    prices: tuple[PoolPrice, ...]
    open_pools: frozenset[str]
    unknown: tuple[str, ...]


def deployed_size(deployment: "Deployment", definition: str) -> WorkerSize:
    """What the newest revision of a job definition reserves for a worker.

    Raises:
        AwsMissingError: Batch has no active revision of it.
        AwsError: Batch refused or stayed unavailable.
    """
    doing = f"looking at the job definition {definition}"
    try:
        answer: Any = deployment.retrier.call(
            doing,
            deployment.clients.batch.describe_job_definitions,
            jobDefinitionName=definition,
            status="ACTIVE",
        )
    except ClientError as error:
        raise as_aws_error(error, doing=doing) from error
    found = sorted(answer["jobDefinitions"], key=lambda each: int(each["revision"]))
    if not found:
        raise AwsMissingError(f"Batch has no active job definition {definition}: deploy the stacks")
    container = found[-1].get("containerProperties", {})
    needs = {need["type"]: need["value"] for need in container.get("resourceRequirements", [])}
    return WorkerSize(
        vcpus=max(1, int(float(needs.get("VCPU") or container.get("vcpus") or 1))),
        memory_mib=max(1, int(needs.get("MEMORY") or container.get("memory") or 1)),
    )


def fleet_facts(deployment: "Deployment", clock: Clock, *, job: str = "") -> FleetFacts:
    """Types of both queues of the job's family, what they cost now, and which pools are left alone. What AWS won't tell is named, no error."""
    unknown: list[str] = []
    queues = deployment.names.queues_of(job)
    spot = _types(deployment, queues, CapacityClass.SPOT, clock, unknown)
    on_demand = _types(deployment, queues, CapacityClass.ON_DEMAND, clock, unknown)
    prices = [*_spot_prices(deployment, spot, clock, unknown), *_on_demand_prices(on_demand, unknown)]
    return FleetFacts(
        prices=tuple(prices), open_pools=_open_pools(deployment, clock, unknown), unknown=tuple(dict.fromkeys(unknown))
    )


def _types(
    deployment: "Deployment",
    queues: Mapping[CapacityClass, str],
    kind: CapacityClass,
    clock: Clock,
    unknown: list[str],
) -> dict[str, InstanceSize]:
    clients = deployment.clients
    reader = QueueReader(
        batch=clients.batch, ec2=clients.ec2, scaling=clients.autoscaling, retrier=deployment.retrier, clock=clock
    )
    try:
        queue = reader.read(queues[kind])
    except AwsError as error:
        unknown.append(f"instance types of the {kind} queue: {error}")
        return {}
    sizes = {size.name: size for environment in queue.environments for size in environment.sizes}
    if not sizes:
        unknown.append(f"instance types of the {kind} queue: {'; '.join(queue.unread) or 'it has none'}")
    return sizes


def _spot_prices(
    deployment: "Deployment", sizes: dict[str, InstanceSize], clock: Clock, unknown: list[str]
) -> Iterator[PoolPrice]:
    """The newest price of every pool."""
    newest: dict[tuple[str, str], tuple[Any, float]] = {}
    try:
        for entry in _price_entries(deployment, sorted(sizes), clock) if sizes else ():
            pool = (str(entry["InstanceType"]), str(entry["AvailabilityZone"]))
            if pool not in newest or newest[pool][0] < entry["Timestamp"]:
                newest[pool] = (entry["Timestamp"], float(entry["SpotPrice"]))
    except (AwsError, ClientError) as error:
        unknown.append(f"Spot prices: {str(error)[:200]}")
    for (name, zone), (_, usd) in sorted(newest.items()):
        if name in sizes:
            yield _price(sizes[name], zone=zone, lifecycle=CapacityClass.SPOT, usd=usd)


def _price_entries(deployment: "Deployment", types: Sequence[str], clock: Clock) -> Iterator[Any]:
    token = ""
    for _ in range(PRICE_PAGES_MAX):
        page: Any = deployment.retrier.call(
            "reading spot prices",
            deployment.clients.ec2.describe_spot_price_history,
            InstanceTypes=types,
            ProductDescriptions=[LINUX],
            StartTime=clock.now(),  # EC2 answers with the last change before it, of every pool
            **({"NextToken": token} if token else {}),
        )
        yield from page["SpotPriceHistory"]
        token = page.get("NextToken") or ""
        if not token:
            return


def _on_demand_prices(sizes: dict[str, InstanceSize], unknown: list[str]) -> Iterator[PoolPrice]:
    listed = load_on_demand_prices()
    for name, size in sorted(sizes.items()):
        if name in listed:
            yield _price(size, zone="", lifecycle=CapacityClass.ON_DEMAND, usd=float(listed[name].usd_per_hour))
        else:
            unknown.append(f"the on-demand price of {name}: it is not in the list that came with this version")


def _price(size: InstanceSize, *, zone: str, lifecycle: CapacityClass, usd: float) -> PoolPrice:
    return PoolPrice(
        instance_type=size.name, zone=zone, lifecycle=lifecycle.value, vcpus=size.vcpus,
        memory_mib=size.memory_offered_mib, usd_per_hour=usd,
    )  # fmt: skip


def _open_pools(deployment: "Deployment", clock: Clock, unknown: list[str]) -> frozenset[str]:
    records = Records(
        dynamodb=deployment.clients.dynamodb, table_name=deployment.names.table, retrier=deployment.retrier
    )
    now_ms = to_epoch_ms(clock.now())
    try:
        known = PoolRecords(records).all(lambda damage: unknown.append(f"whether a pool is left alone: {damage}"))
    except AwsError as error:
        unknown.append(f"which pools are left alone: {error}")
        return frozenset()
    verdicts = {pool: judge_pool(record, BreakerSettings(), now_ms=now_ms) for pool, record in known.items()}
    return frozenset(pool for pool, verdict in verdicts.items() if verdict.state is BreakerState.OPEN)

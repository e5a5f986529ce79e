"""EC2 calls that show the fleet: types, lifecycle, spot price history, termination."""

import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from localcloud.catalog import TYPES, InstanceType
from localcloud.clock import iso
from localcloud.fleet import Fleet
from localcloud.market import HOUR_S, Market
from localcloud.reactor import Reactor
from localcloud.seams import Response, Seams

ZONES = "abcdef"
HISTORY_STEP_S = 6 * HOUR_S
HISTORY_STEPS = 4
FILTERS_MAX = 10  # of a request, as far as they are read
PRODUCT = "Linux/UNIX"

Query = Any  # the emulator's parsed query parameters


def install_ec2_reads(*, seams: Seams, fleet: Fleet, market: Market, reactor: Reactor) -> None:
    """Register the calls."""
    instance_xml: Callable[[dict[str, Any]], str] = seams.ec2._instance_xml

    def with_facts(record: dict[str, Any]) -> str:
        facts = "<instanceLifecycle>spot</instanceLifecycle>" if record.get("_lifecycle") == "spot" else ""
        if reason := record.get("_state_reason"):
            facts += (
                f"<stateReason><code>{reason}</code><message>{reason}: the instance is gone</message></stateReason>"
            )
        return instance_xml(record).replace("<amiLaunchIndex>", f"{facts}<amiLaunchIndex>", 1)

    seams.ec2._instance_xml = with_facts
    actions = seams.ec2._ACTION_MAP
    actions["DescribeInstanceTypes"] = partial(_instance_types, seams)
    actions["DescribeSpotPriceHistory"] = partial(_price_history, seams, market)
    actions["TerminateInstances"] = partial(_terminate, seams, fleet, reactor, actions["TerminateInstances"])


def _instance_types(seams: Seams, query: Query) -> Response:
    """Types by name or by the filter instance-type, with its wildcard; only what of them concerns their size."""
    wanted = [*seams.ec2._parse_member_list(query, "InstanceType"), *_filter_values(seams, query, "instance-type")]
    kinds = [kind for name, kind in TYPES.items() if not wanted or any(fnmatchcase(name, one) for one in wanted)]
    body = f"<instanceTypeSet>{''.join(map(_type_item, kinds))}</instanceTypeSet>"
    response: Response = seams.ec2._xml(200, "DescribeInstanceTypesResponse", body)
    return response


def _filter_values(seams: Seams, query: Query, name: str) -> list[str]:
    for number in range(1, FILTERS_MAX + 1):
        if seams.ec2._p(query, f"Filter.{number}.Name") == name:
            values: list[str] = seams.ec2._parse_member_list(query, f"Filter.{number}.Value")
            return values
    return []


def _type_item(kind: InstanceType) -> str:
    return (
        f"<item><instanceType>{kind.name}</instanceType><currentGeneration>true</currentGeneration>"
        "<processorInfo><supportedArchitectures><item>x86_64</item></supportedArchitectures></processorInfo>"
        f"<vCpuInfo><defaultVCpus>{kind.vcpus}</defaultVCpus></vCpuInfo>"
        f"<memoryInfo><sizeInMiB>{kind.memory_mib}</sizeInMiB></memoryInfo></item>"
    )


def _price_history(seams: Seams, market: Market, query: Query) -> Response:
    wanted = seams.ec2._parse_member_list(query, "InstanceType") or list(TYPES)
    zone = seams.ec2._p(query, "AvailabilityZone")
    zones = [zone] if zone else [seams.responses.get_region() + letter for letter in ZONES[:3]]
    kinds = [TYPES[name] for name in wanted if name in TYPES]
    items = "".join(_price_item(*one) for one in _prices(market, kinds, zones))
    body = f"<spotPriceHistorySet>{items}</spotPriceHistorySet><nextToken/>"
    response: Response = seams.ec2._xml(200, "DescribeSpotPriceHistoryResponse", body)
    return response


def _prices(market: Market, kinds: list[InstanceType], zones: list[str]) -> Iterator[tuple[str, str, float, float]]:
    now = time.time()
    for kind in kinds:
        for zone in zones:
            for step in range(HISTORY_STEPS):
                moment = now - step * HISTORY_STEP_S
                yield kind.name, zone, market.price_usd(kind, zone, moment), moment


def _price_item(kind: str, zone: str, price: float, moment: float) -> str:
    return (
        f"<item><instanceType>{kind}</instanceType><productDescription>{PRODUCT}</productDescription>"
        f"<spotPrice>{price:.6f}</spotPrice><timestamp>{iso(moment)}</timestamp>"
        f"<availabilityZone>{zone}</availabilityZone></item>"
    )


def _terminate(
    seams: Seams, fleet: Fleet, reactor: Reactor, terminate: Callable[[Query], Response], query: Query
) -> Response:
    response = terminate(query)
    if response[0] == 200:
        with reactor.changing():
            for instance_id in seams.ec2._parse_member_list(query, "InstanceId"):
                if instance_id in fleet.instances:
                    fleet.terminate(fleet.instances[instance_id], why="TerminateInstances")
    return response

"""The market of instances: which types there are, whether EC2 has any left, and what Spot cost when."""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from botocore.exceptions import ClientError

from simulation.cloud.aws_event import REGION
from simulation.cloud.instance import Lifecycle
from simulation.cloud.timing import USUAL, Timing
from simulation.faults.book import FaultBook
from simulation.kernel.process import EPOCH
from simulation.kernel.scheduler import Scheduler, microseconds
from simulation.kernel.trace import Trace
from spotproof.costs.prices import load_on_demand_prices
from stacks.instance_types import DEFAULT_TYPES

ZONES: Final = tuple(REGION + letter for letter in "abc")
NO_SPOT: Final = "P11 no spot capacity"  # chance per launch that a shortage begins
NO_ON_DEMAND: Final = "P11 no on-demand capacity"
PRICE_EVERY: Final = timedelta(hours=6)
PAGE: Final = 2  # entries per answer: EC2 may always give fewer than asked for


class Market:
    """Pools of one account; also the part of the EC2 client that tells sizes and prices."""

    def __init__(
        self, *, scheduler: Scheduler, trace: Trace, rng: random.Random, faults: FaultBook, timing: Timing = USUAL
    ) -> None:
        self._scheduler = scheduler
        self._trace = trace
        self._rng = rng
        self._faults = faults
        self._timing = timing
        self.types = tuple(kind for kind in DEFAULT_TYPES if rng.random() < 0.5) or DEFAULT_TYPES[:1]
        self._short_until = dict.fromkeys(Lifecycle, 0)
        self._gone: set[Lifecycle] = set()
        self._price_seed = rng.getrandbits(32)

    def choose(self, lifecycle: Lifecycle, *, vcpus: int) -> tuple[str, str] | None:
        """Type and zone of the next instance of at least `vcpus`; None if EC2 has none now."""
        if self.is_short(lifecycle):
            return None
        fitting = [kind for kind in self.types if vcpus_of(kind) >= vcpus]
        return (self._rng.choice(fitting), self._rng.choice(ZONES)) if fitting else None

    def is_short(self, lifecycle: Lifecycle) -> bool:
        """Whether a launch would get InsufficientInstanceCapacity; asking may be what begins the shortage."""
        if lifecycle in self._gone:
            return True
        if self._faults.at_peace:
            return False
        if self._scheduler.now < self._short_until[lifecycle]:
            return True
        fault = NO_SPOT if lifecycle is Lifecycle.SPOT else NO_ON_DEMAND
        if not self._faults.strikes(fault, f"ec2 {lifecycle}"):
            return False
        self.begin_shortage(lifecycle, self._rng.randrange(*self._timing.shortage_s))
        return True

    def begin_shortage(self, lifecycle: Lifecycle, seconds: float) -> None:
        """No instance of this kind for `seconds`, unless peace comes before."""
        self._short_until[lifecycle] = self._scheduler.now + microseconds(seconds)
        self._trace.note(self._scheduler.now, "ec2", f"no {lifecycle} capacity", f"for {seconds} s")

    def dry_up(self, lifecycle: Lifecycle) -> None:
        """No instance of this kind any more, peace or not."""
        self._gone.add(lifecycle)
        self._trace.note(self._scheduler.now, "ec2", f"no {lifecycle} capacity", "for good")

    def describe_spot_price_history(self, **given: Any) -> dict[str, Any]:
        """Newest first, the price valid at StartTime included, in pages.

        Raises:
            ClientError: a type or a zone that EC2 does not know.
        """
        kinds, zones = self._pools(given)
        entries = [
            _entry(kind, zone, since, self._price(kind, zone, since))
            for since in _changes(given["StartTime"], given["EndTime"])
            for kind in kinds
            for zone in zones
        ]
        start = int(given.get("NextToken") or 0)
        stop = start + min(PAGE, int(given.get("MaxResults") or PAGE))
        return {"NextToken": str(stop) if stop < len(entries) else "", "SpotPriceHistory": entries[start:stop]}

    def describe_instance_types(self, **given: Any) -> dict[str, Any]:
        """Sizes of the types that the filter names; unknown ones are left out."""
        [wanted] = [each["Values"] for each in given["Filters"] if each["Name"] == "instance-type"]
        known = [name for name in wanted if name in load_on_demand_prices()]
        return {"InstanceTypes": [_size(name) for name in known]}

    def _pools(self, given: Mapping[str, Any]) -> tuple[Sequence[str], Sequence[str]]:
        kinds: Sequence[str] = given.get("InstanceTypes") or self.types
        zone = given.get("AvailabilityZone")
        unknown = [kind for kind in kinds if kind not in load_on_demand_prices()]
        if unknown or (zone and zone not in ZONES):
            raise _invalid(f"Invalid value for {unknown or zone}")
        return kinds, (zone,) if zone else ZONES

    def _price(self, kind: str, zone: str, since: datetime) -> str:
        """Between 20 % and 60 % of the on-demand price, the same whenever it is asked for."""
        period = (since - EPOCH) // PRICE_EVERY
        draw = random.Random(f"{self._price_seed} {kind} {zone} {period}").randrange(200, 600)
        return f"{load_on_demand_prices()[kind].usd_per_hour * Decimal(draw) / 1000:.6f}"


def vcpus_of(kind: str) -> int:
    return load_on_demand_prices()[kind].vcpus


def _size(kind: str) -> dict[str, Any]:
    """As EC2 describes the type."""
    price = load_on_demand_prices()[kind]
    return {
        "InstanceType": kind,
        "VCpuInfo": {"DefaultVCpus": price.vcpus},
        "MemoryInfo": {"SizeInMiB": price.memory_mib},
    }


def _changes(since: datetime, until: datetime) -> list[datetime]:
    """Moments of price changes from the last one before `since` to `until`, newest first."""
    first, last = (since - EPOCH) // PRICE_EVERY, (until - EPOCH) // PRICE_EVERY
    return [EPOCH + number * PRICE_EVERY for number in range(last, first - 1, -1)]


def _entry(kind: str, zone: str, since: datetime, price: str) -> dict[str, Any]:
    return {
        "AvailabilityZone": zone,
        "InstanceType": kind,
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": price,
        "Timestamp": since,
    }


def _invalid(message: str) -> ClientError:
    response: Any = {
        "Error": {"Code": "InvalidParameterValue", "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    return ClientError(response, "DescribeSpotPriceHistory")

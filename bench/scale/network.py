"""The way to the service and back: how long requests take, and what was asked by whom."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from botocore.exceptions import ClientError

from bench.scale.table import THROTTLED, ScaleTable
from simulation.kernel.process import Process
from spotproof import contract
from spotproof.leases.expressions import SELECTIONS, STATEMENTS
from spotproof.retries import error_code

PAGE_BYTES_PER_S: Final = 25e6  # a page of a query takes its time on the way back
_NAMES: Final = {(s.condition, s.update): s.name for s in STATEMENTS}
_QUERIES: Final = {s.key: s.name for s in SELECTIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lognormal:
    """Seconds, by median and 99th percentile, cut at `most`."""

    median_s: float
    p99_s: float
    most_s: float = math.inf

    def sampler(self, rng: random.Random) -> Callable[[], float]:
        """Draws; from 16,384 drawn beforehand, because there will be ten million."""
        sigma = math.log(self.p99_s / self.median_s) / 2.3263  # the standard normal's 99th percentile
        mu = math.log(self.median_s)
        drawn = [min(self.most_s, rng.lognormvariate(mu, sigma)) for _ in range(1 << 14)]
        bits = rng.getrandbits
        return lambda: drawn[bits(14)]


@dataclass(slots=True)
class Tally:
    """What one kind of request cost so far."""

    requests: int = 0
    refused: int = 0
    throttled: int = 0
    write_units: float = 0.0
    read_units: float = 0.0


@dataclass
class Bill:
    """Tallies by kind of request."""

    tallies: dict[str, Tally] = field(default_factory=dict)

    def of(self, name: str) -> Tally:
        found = self.tallies.get(name)
        if found is None:
            found = self.tallies[name] = Tally()
        return found


class ScaleClient:
    """What a process's stores take for DynamoDB's client. A request takes effect when its answer arrives."""

    def __init__(
        self, *, table: ScaleTable, process: Process, latency_s: Callable[[], float], bill: Bill, suffix: str = ""
    ) -> None:
        self._table = table
        self._clock = process.clock
        self._process = process
        self._latency_s = latency_s
        self._bill = bill
        self._suffix = suffix

    def get_item(self, **request: Any) -> dict[str, Any]:
        return self._send(_read_name(request["Key"]), self._table.get_item, request, writes=False)

    def put_item(self, **request: Any) -> dict[str, Any]:
        return self._send(_put_name(request["Item"]), self._table.put_item, request, writes=True)

    def update_item(self, **request: Any) -> dict[str, Any]:
        name = _NAMES[request["ConditionExpression"], request["UpdateExpression"]]
        return self._send(name, self._table.update_item, request, writes=True)

    def query(self, **request: Any) -> dict[str, Any]:
        return self._send(_query_name(request), self._table.query, request, writes=False)

    def _send(
        self, name: str, send: Callable[..., dict[str, Any]], request: Mapping[str, Any], *, writes: bool
    ) -> dict[str, Any]:
        self._clock.sleep(self._latency_s())
        tally = self._bill.of(name + self._suffix)
        tally.requests += 1
        try:
            answer = send(**request)
        except ClientError as error:
            throttled = error_code(error) == THROTTLED
            tally.throttled += throttled
            tally.refused += not throttled
            tally.write_units += not throttled  # refused writes cost as much as they would have written
            raise
        units = answer["ConsumedCapacity"]["CapacityUnits"]
        if writes:
            tally.write_units += units
        else:
            tally.read_units += units
        size = answer.get("Bytes", 0)
        if size > 1 << 16:
            self._clock.sleep(size / PAGE_BYTES_PER_S)
        return answer


def _read_name(key: Mapping[str, Any]) -> str:
    sk = key[contract.SORT_KEY]["S"]
    if sk.startswith(contract.SHARD_SK_PREFIX):
        return "read shard"
    return {contract.RUN_SK: "read run", contract.STRIPE_SK: "read head"}.get(sk, "read session")


def _put_name(item: Mapping[str, Any]) -> str:
    if item[contract.SORT_KEY]["S"].startswith(contract.SHARD_SK_PREFIX):
        return "claim fresh" if "owner" in item else "put ready row"
    return "create run" if item[contract.SORT_KEY]["S"] == contract.RUN_SK else "open session"


def _query_name(request: Mapping[str, Any]) -> str:
    name = _QUERIES[request["KeyConditionExpression"]]
    if name != "partition":
        return name
    sessions = "#SESSIONS#" in request["ExpressionAttributeValues"][":pk"]["S"]
    return "read sessions" if sessions else "walk stripe"

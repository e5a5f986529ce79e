"""A client of the table that fails, dies, lags or answers from the past at one chosen request."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from botocore.exceptions import ReadTimeoutError
from hypothesis import strategies as st

from tests.fakes.aws_errors import WrappedClient
from tests.fakes.crashing_store import Crash
from tests.fakes.lease_oracle import LeaseOracle

WRITES: Final = ("put_item", "update_item")


class Kind(StrEnum):
    ERROR_BEFORE = "error before the effect"
    ERROR_AFTER = "error after the effect"  # the reply is lost; the retry finds its own write
    TAKEN_MEANWHILE = "error after the effect, and others act before the retry"
    DOWN_BEFORE = "down for good before the effect"
    DOWN_AFTER = "down for good after the effect"
    KILL_BEFORE = "killed before the effect"
    KILL_AFTER = "killed after the effect"
    IN_FLIGHT = "killed, and the request arrives whenever `late_arrival` delivers it"
    STALE = "an eventually consistent read answers from the past"


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to request number `at` of a step, from 1."""

    kind: Kind
    at: int = 1


NONE_OFTEN: Final = 40
_WEIGHTS: Final = {Kind.ERROR_AFTER: 4, Kind.STALE: 3}
_AT: Final = (1, 1, 1, 1, 2, 2, 3, 4, 6)
faults: Final = st.sampled_from(
    [None] * NONE_OFTEN + [Fault(kind, at) for kind in Kind for at in _AT for _ in range(_WEIGHTS.get(kind, 1))]
)


class FaultyClient(WrappedClient):
    """Passes requests to the oracle; between two calls of `arm` at most one fault strikes."""

    client: LeaseOracle

    def __init__(self, oracle: LeaseOracle) -> None:
        super().__init__(oracle)
        self.struck: Kind | None = None
        self.effects = 0
        self._fault: Fault | None = None
        self._meanwhile: Callable[[], None] = lambda: None
        self._calls = 0
        self._down = False
        self._past: dict[str, list[Any]] = {}

    def arm(self, fault: Fault | None, meanwhile: Callable[[], None] = lambda: None) -> None:
        self._fault, self._meanwhile = fault, meanwhile
        self._calls, self.effects = 0, 0
        self._down = False
        self.struck = None

    @property
    def honest(self) -> bool:
        """Whether the answer that the caller got must tell what its own write did."""
        return self.struck is not Kind.TAKEN_MEANWHILE

    def _send(self, name: str, send: Callable[..., Any], request: dict[str, Any]) -> Any:
        self._calls += 1
        if self._down:
            raise ReadTimeoutError(endpoint_url="http://table.test")
        if self._fault is None or self._calls != self._fault.at:
            return self._passed(name, send, request)
        self.struck = self._fault.kind
        return self._strike(self._fault.kind, name, send, request)

    def _strike(self, kind: Kind, name: str, send: Callable[..., Any], request: dict[str, Any]) -> Any:
        if kind is Kind.STALE:
            return self._from_the_past(name, send, request)
        if kind is Kind.IN_FLIGHT and name in WRITES:
            self.client.writes.append((name, request))
        if kind in (Kind.ERROR_AFTER, Kind.TAKEN_MEANWHILE, Kind.DOWN_AFTER, Kind.KILL_AFTER):
            self._passed(name, send, request)
        if kind is Kind.TAKEN_MEANWHILE:
            self._meanwhile()
        self._down = kind in (Kind.DOWN_BEFORE, Kind.DOWN_AFTER)
        if kind in (Kind.KILL_BEFORE, Kind.KILL_AFTER, Kind.IN_FLIGHT):
            raise Crash
        raise ReadTimeoutError(endpoint_url="http://table.test")

    def _passed(self, name: str, send: Callable[..., Any], request: dict[str, Any]) -> Any:
        answer = send(**request)
        if name in WRITES:
            self.effects += 1
        elif self._may_be_stale(name, request):
            self._past.setdefault(_question(request), []).append(answer)
        return answer

    def _from_the_past(self, name: str, send: Callable[..., Any], request: dict[str, Any]) -> Any:
        known = self._past.get(_question(request), []) if self._may_be_stale(name, request) else []
        return known[-1] if known else self._passed(name, send, request)

    def _may_be_stale(self, name: str, request: dict[str, Any]) -> bool:
        return name == "query" and not request.get("ConsistentRead") and "ExclusiveStartKey" not in request


def _question(request: dict[str, Any]) -> str:
    """The partition that a query asks about, whatever the time."""
    values = {name: value for name, value in request["ExpressionAttributeValues"].items() if name != ":now"}
    return f"{request.get('IndexName')} {sorted(values.items())}"

"""What the functions need from their environment; the events stack sets it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from lambdas.queue_pairs import QueuePair, QueuePairs, parse_further
from spotproof import contract
from spotproof.capacity.breaker import BreakerSettings, parse_breaker
from spotproof.errors import ConfigurationError
from spotproof.settings import AwsSettings, positive_float


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerSettings:
    """What every function needs."""

    table: str
    work_bucket: str
    stack: str
    notice_lead: timedelta  # from a spot warning to the reclaim
    aws: AwsSettings
    spot_queue: str = ""  # these three only for functions that submit workers or announce runs
    on_demand_queue: str = ""
    event_bus: str = ""
    memory_mib_max: int = 0  # that one worker can have on the instance types of the first family; 0: unknown
    further_queues: tuple[QueuePair, ...] = ()  # of other families of hosts
    breaker: BreakerSettings = field(default_factory=BreakerSettings)  # of Spot pools

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "HandlerSettings":
        """Raises ConfigurationError, naming the first variable that is missing or wrong."""
        return cls(
            table=_set(_text(env, contract.ENV_TABLE), contract.ENV_TABLE),
            work_bucket=_set(_text(env, contract.ENV_WORK_BUCKET), contract.ENV_WORK_BUCKET),
            stack=_set(_text(env, contract.ENV_STACK), contract.ENV_STACK),
            notice_lead=timedelta(seconds=positive_float(env, contract.ENV_NOTICE_LEAD, contract.NOTICE_LEAD_S)),
            aws=AwsSettings.from_env(env),
            spot_queue=_text(env, contract.ENV_SPOT_QUEUE),
            on_demand_queue=_text(env, contract.ENV_ON_DEMAND_QUEUE),
            event_bus=_text(env, contract.ENV_EVENT_BUS),
            breaker=_breaker(env),
            further_queues=parse_further(_text(env, contract.ENV_FAMILY_QUEUES)),
            memory_mib_max=int(positive_float(env, contract.ENV_MEMORY_MAX, 0.0)),
        )

    def worker_queues(self) -> QueuePairs:
        """The queues of every family; raises ConfigurationError, naming the variable, without the first ones."""
        first = QueuePair(
            spot=_set(self.spot_queue, contract.ENV_SPOT_QUEUE),
            on_demand=_set(self.on_demand_queue, contract.ENV_ON_DEMAND_QUEUE),
            memory_mib_max=self.memory_mib_max,
        )
        return QueuePairs(pairs=(first, *self.further_queues))

    def check_memory(self) -> None:
        """Raises ConfigurationError, naming the variable, if the cap of a worker's memory is not known."""
        if self.memory_mib_max < 1:
            _set("", contract.ENV_MEMORY_MAX)

    def own_bus(self) -> str:
        """Name of the bus for our own events; raises ConfigurationError, naming the variable, without it."""
        return _set(self.event_bus, contract.ENV_EVENT_BUS)


def _text(env: Mapping[str, str], name: str) -> str:
    return env.get(name, "").strip()


def _set(value: str, name: str) -> str:
    if not value:
        raise ConfigurationError(f"environment variable {name} is not set; the events stack sets it on every function")
    return value


def _breaker(env: Mapping[str, str]) -> BreakerSettings:
    text = _text(env, contract.ENV_BREAKER)
    return parse_breaker(text) if text else BreakerSettings()

"""What the functions need from their environment; the events stack sets it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from spotproof import contract
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

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "HandlerSettings":
        """Raises ConfigurationError, naming the first variable that is missing or wrong."""
        return cls(
            table=_set(env, contract.ENV_TABLE),
            work_bucket=_set(env, contract.ENV_WORK_BUCKET),
            stack=_set(env, contract.ENV_STACK),
            notice_lead=timedelta(seconds=positive_float(env, contract.ENV_NOTICE_LEAD, contract.NOTICE_LEAD_S)),
            aws=AwsSettings.from_env(env),
        )


def worker_queues(env: Mapping[str, str]) -> tuple[str, str]:
    """Names of the spot and the on-demand queue; errors as HandlerSettings.from_env."""
    return _set(env, contract.ENV_SPOT_QUEUE), _set(env, contract.ENV_ON_DEMAND_QUEUE)


def event_bus(env: Mapping[str, str]) -> str:
    """Name of the bus for our own events; errors as HandlerSettings.from_env."""
    return _set(env, contract.ENV_EVENT_BUS)


def _set(env: Mapping[str, str], name: str) -> str:
    value = env.get(name, "").strip()
    if not value:
        raise ConfigurationError(f"environment variable {name} is not set; the events stack sets it on every function")
    return value

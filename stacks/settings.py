"""What a deployment can choose: the context values of the CDK app (`cdk deploy -c name=value`)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal, Self, cast

from spotproof import contract
from spotproof.errors import ConfigurationError
from stacks.instance_types import DEFAULT_TYPES

Removal = Literal["retain", "destroy"]

PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,49}")
EMAIL = re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+")
TAGS_TAKEN = (contract.TAG_DEPLOYMENT, contract.TAG_LIFECYCLE)
TAGS_MAX = 15  # of a deployment: with a run's and ours they must stay within the 50 that a job takes
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
LOG_RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 180, 365)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploySettings:
    """The context values, checked. Field names are the context names."""

    prefix: str = contract.DEFAULT_STACK_PREFIX  # of the stack names; a second deployment in one account needs its own
    removal: Removal = "retain"  # of table and buckets when their stack is destroyed
    zones: int = 3  # availability zones of the VPC; 2 where a region has only two
    instance_types: tuple[str, ...] = DEFAULT_TYPES
    spot_vcpus_max: int = 256
    on_demand_vcpus_max: int = 64  # caps the bill when Spot is short
    worker_image: str = ""  # own image; "" = the public Python image of the interpreter that built the bundle
    worker_platform: str = "manylinux_2_28_x86_64"  # of the worker's wheels; "host" for a local account elsewhere
    data_buckets: tuple[str, ...] = ()  # existing buckets that jobs may read and write besides the stack's own
    log_retention_days: int = 30
    reserved_concurrency: int = 0  # of each function; 0 = none, because new accounts can't reserve any
    breaker: str = "3/600/1800"  # of Spot pools: interruptions/within seconds/seconds to leave the pool alone
    tags: tuple[tuple[str, str], ...] = ()  # name and value, on every resource, instance and job
    required_tags: tuple[str, ...] = ()  # that `spotproof submit` asks of every run
    monthly_budget_usd: int = 0  # of the instances, watched by AWS Budgets; 0 = none
    budget_email: str = ""  # who hears of it

    @classmethod
    def from_context(cls, context: Mapping[str, object]) -> Self:
        """Settings from the app's whole context; names with "@" or ":" belong to the CDK and are left alone.

        Raises:
            ConfigurationError: naming the value that is unknown or wrong, and what would be right.
        """
        known = [field.name for field in fields(cls)]
        given = {name: value for name, value in context.items() if not re.search("[@:]", name)}
        for name in given:
            if name not in known:
                raise ConfigurationError(f"unknown context value {name!r}; this app knows {', '.join(known)}")
        defaults = cls()
        budget_usd = _number("monthly_budget_usd", given.get("monthly_budget_usd", 0), least=0, most=10**9)
        return cls(
            prefix=_prefix(given.get("prefix", defaults.prefix)),
            removal=_removal(given.get("removal", defaults.removal)),
            zones=_number("zones", given.get("zones", defaults.zones), least=1, most=6),
            instance_types=_names(given.get("instance_types")) or DEFAULT_TYPES,
            spot_vcpus_max=_number("spot_vcpus_max", given.get("spot_vcpus_max", defaults.spot_vcpus_max), least=1),
            on_demand_vcpus_max=_number(
                "on_demand_vcpus_max", given.get("on_demand_vcpus_max", defaults.on_demand_vcpus_max), least=1
            ),
            worker_image=str(given.get("worker_image", "")).strip(),
            worker_platform=_platform(given.get("worker_platform", defaults.worker_platform)),
            data_buckets=_buckets(_names(given.get("data_buckets"))),
            log_retention_days=_log_retention(given.get("log_retention_days", defaults.log_retention_days)),
            reserved_concurrency=_number("reserved_concurrency", given.get("reserved_concurrency", 0), least=0),
            breaker=_breaker(given.get("breaker", defaults.breaker)),
            tags=_tags(given.get("tags")),
            required_tags=_tag_names(_names(given.get("required_tags"))),
            monthly_budget_usd=budget_usd,
            budget_email=_email(str(given.get("budget_email", "")).strip(), needed=budget_usd > 0),
        )

    @property
    def architecture(self) -> str:
        """EC2's name of the processor that the worker's wheels are for."""
        return "arm64" if self.worker_platform.endswith("aarch64") else "x86_64"

    def stack_name(self, suffix: str) -> str:
        return f"{self.prefix}-{suffix}"


def _names(value: object) -> tuple[str, ...]:
    """A list from cdk.json, or comma-separated text from the command line."""
    parts = value.split(",") if isinstance(value, str) else cast("list[object]", value or [])
    return tuple(text for text in (str(part).strip() for part in parts) if text)


def _number(name: str, value: object, *, least: int, most: int = 100_000) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise ConfigurationError(f"context value {name} must be a whole number from {least} to {most}, got {value!r}")
    return number


def _prefix(value: object) -> str:
    if not PREFIX.fullmatch(str(value)):
        raise ConfigurationError(
            f"context value prefix must be a letter, then up to 49 letters, digits or hyphens, got {value!r}"
        )
    return str(value)


def _removal(value: object) -> Removal:
    if value not in ("retain", "destroy"):
        raise ConfigurationError(f"context value removal must be retain or destroy, got {value!r}")
    return value


def _platform(value: object) -> str:
    text = str(value)
    if text != "host" and not re.fullmatch(r"manylinux_2_\d+_(x86_64|aarch64)", text):
        raise ConfigurationError(
            f"context value worker_platform must be host or like manylinux_2_28_x86_64 or manylinux_2_28_aarch64, "
            f"got {value!r}"
        )
    return text


def _breaker(value: object) -> str:
    text = str(value)
    if not re.fullmatch(r"([1-9]|[12]\d|3[0-2])/[1-9]\d{0,5}/[1-9]\d{0,5}", text):
        raise ConfigurationError(
            f"context value breaker must be count/window/recovery, a count up to 32 and whole seconds, such as "
            f"3/600/1800, got {value!r}"
        )
    return text


def _buckets(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not BUCKET.fullmatch(name):
            raise ConfigurationError(f"context value data_buckets takes bucket names without s3:// and *, got {name!r}")
    return names


def _tags(value: object) -> tuple[tuple[str, str], ...]:
    """Tags from a mapping of cdk.json, or from `name=value,…` of the command line."""
    if isinstance(value, Mapping):
        pairs = [(str(name), str(text)) for name, text in value.items()]
    else:
        pairs = [(name, text) for name, _, text in (part.partition("=") for part in _names(value))]
    _tag_names(tuple(name for name, _ in pairs), context="tags")
    for name, text in pairs:
        if not text or not re.fullmatch(contract.TAG_VALUE, text):
            raise ConfigurationError(
                f"context value tags must be name=value,… of letters, digits, spaces and _ . : / + - @, got {name}={text!r}"
            )
    return tuple(pairs)


def _tag_names(names: tuple[str, ...], *, context: str = "required_tags") -> tuple[str, ...]:
    for name in names:
        if not re.fullmatch(contract.TAG_NAME, name) or "=" in name:
            raise ConfigurationError(f"context value {context} has a name that AWS does not take as a tag's: {name!r}")
        if name.lower().startswith(contract.TAG_PREFIXES_TAKEN) or name in TAGS_TAKEN:
            taken = ", ".join((*TAGS_TAKEN, *(f"{prefix}…" for prefix in contract.TAG_PREFIXES_TAKEN)))
            raise ConfigurationError(f"context value {context}: the names {taken} are taken, got {name!r}")
    if len(set(names)) < len(names) or len(names) > TAGS_MAX:
        raise ConfigurationError(
            f"context value {context} must be at most {TAGS_MAX} different names, got {len(names)}"
        )
    return names


def _email(text: str, *, needed: bool) -> str:
    if (text or needed) and not EMAIL.fullmatch(text):
        raise ConfigurationError(
            f"context value budget_email must be an address such as team@example.com for monthly_budget_usd, got {text!r}"
        )
    return text


def _log_retention(value: object) -> int:
    days = _number("log_retention_days", value, least=1)
    if days not in LOG_RETENTION_DAYS:
        allowed = ", ".join(map(str, LOG_RETENTION_DAYS))
        raise ConfigurationError(f"context value log_retention_days must be one of {allowed}, got {days}")
    return days

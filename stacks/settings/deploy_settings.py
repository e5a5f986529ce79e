"""What a deployment can choose: the context values of the CDK app (`cdk deploy -c name=value`)."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from spotproof.errors import ConfigurationError
from stacks.families import FamilyName
from stacks.settings.combinations import flaw_in
from stacks.settings.declaration import Refusal, Setting, declared, shown
from stacks.settings.families import FamilySettings
from stacks.settings.fleet import FleetSettings
from stacks.settings.network import NetworkSettings
from stacks.settings.retention import RetentionSettings
from stacks.settings.sharing import SharingSettings
from stacks.settings.watching import WatchingSettings
from stacks.settings.workers import WorkerSettings

# What the CDK command line keeps in cdk.context.json under names without "@" and ":" (`cdk acknowledge`,
# `cdk cli-telemetry`), and hands to every app.
CDK_NAMES = frozenset({"acknowledged-issue-numbers", "cli-telemetry"})


@dataclass(frozen=True, kw_only=True)
class DeploySettings(
    WatchingSettings,
    RetentionSettings,
    SharingSettings,
    FamilySettings,
    WorkerSettings,
    FleetSettings,
    NetworkSettings,
):
    """The context values, checked. Field names are the context names; each is declared in its own section's module."""

    def vcpus_min(self, family: FamilyName, *, spot: bool) -> int:
        """What of the family's environment runs also without work."""
        if family != "x86_64":
            return 0
        return self.spot_vcpus_min if spot else self.on_demand_vcpus_min

    @property
    def arm64_platform(self) -> str:
        """Of the wheels for Graviton; empty if no family needs them."""
        return self.wheel_platform("arm64") if "graviton" in self.families else ""

    @classmethod
    def from_context(cls, context: Mapping[str, object], *, region: str = "") -> Self:
        """Settings from the app's whole context; the CDK's own names, such as those with "@" or ":", are left alone.

        Args:
            region: of the deployment, if the CDK CLI told it: zones of another one are refused.

        Raises:
            ConfigurationError: naming the value that is unknown or wrong, and what would be right; one line.
        """
        given = {
            name: value for name, value in context.items() if name not in CDK_NAMES and not re.search("[@:]", name)
        }
        for name in given:
            if name not in DECLARED:
                raise ConfigurationError(_unknown(name))
        try:
            chosen: dict[str, Any] = {name: DECLARED[name].parse(value) for name, value in given.items()}
        except Refusal as refusal:
            raise ConfigurationError(str(refusal)) from None
        settings = cls(**chosen)
        flaw = flaw_in(settings, defaults=cls(), region=region)
        if flaw is not None:
            raise ConfigurationError(flaw)
        return settings


def _declarations() -> dict[str, Setting]:
    """Every context value by name, in the order of the sections."""
    found: dict[str, Setting] = {}
    for section in reversed(DeploySettings.__mro__[1:-1]):
        title = (section.__doc__ or "").strip()
        own = set(section.__annotations__)
        found |= {each.name: declared(title, each) for each in fields(section) if each.name in own}
    return found


DECLARED: Mapping[str, Setting] = _declarations()


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, DECLARED, n=1)
    hint = (
        f"did you mean {near[0]}? docs/configuration.md has them all"
        if near
        else f"this app knows {', '.join(DECLARED)}"
    )
    return f"unknown context value {shown(name)}: {hint}"

"""Least privilege, both ways: what roles were refused, and what they may do and did not; `python -m tools.privileges`."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.client import LocalCloud
from localcloud.errors import LocalcloudError
from stacks.unused_grants import UNUSED_GRANTS, UnusedGrant

Report = Mapping[str, Mapping[str, list[dict[str, Any]]]]  # of LocalCloud.calls()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Grant:
    """One action on one resource, of one role of a deployment."""

    role: str  # stack's suffix and logical id, and what CloudFormation added
    action: str
    resource: str
    calls: int

    def __str__(self) -> str:
        return f"{self.role}: {self.action} on {self.resource} ({self.calls} calls)"


def granted(report: Report, *, prefix: str) -> tuple[Grant, ...]:
    """All grants of a deployment's roles."""
    return _of_kind("grants", report, prefix=prefix)


def refused(report: Report, *, prefix: str) -> tuple[Grant, ...]:
    """All that a deployment's roles asked for and did not get."""
    return _of_kind("refused", report, prefix=prefix)


def _of_kind(kind: str, report: Report, *, prefix: str) -> tuple[Grant, ...]:
    start = f"{prefix}-"
    return tuple(
        sorted(
            Grant(role=role.removeprefix(start), action=each["action"], resource=each["resource"], calls=each["calls"])
            for role, entries in report.items()
            if role.startswith(start)
            for each in entries[kind]
        )
    )


def reason_for(grant: Grant, listed: Iterable[UnusedGrant] = UNUSED_GRANTS) -> str | None:
    """Why it stays though nobody used it; None if nothing says so."""
    for entry in listed:
        if entry.covers(role=grant.role, action=grant.action, resource=grant.resource):
            return entry.reason
    return None


def unexplained(grants: Iterable[Grant], listed: Iterable[UnusedGrant] = UNUSED_GRANTS) -> tuple[Grant, ...]:
    """Grants that no call used and no reason keeps."""
    entries = tuple(listed)
    return tuple(grant for grant in grants if not grant.calls and reason_for(grant, entries) is None)


def table(listed: Iterable[UnusedGrant] = UNUSED_GRANTS) -> str:
    """The list as a table in Markdown."""
    rows = [
        f"| {_code(entry.roles)} | {_code(entry.actions)} | {_code([entry.resource])} | {entry.reason} |"
        for entry in listed
    ]
    return "\n".join(["| roles | actions | resources | why they stay |", "|---|---|---|---|", *rows])


def _code(patterns: Iterable[str]) -> str:
    return ", ".join(f"`{pattern}`" for pattern in patterns)


def main(arguments: list[str] | None = None) -> int:
    """0: nothing refused, nothing granted in vain; 1: told line by line; 3: no local account runs, or not with this deployment."""
    parser = argparse.ArgumentParser(prog="python -m tools.privileges", description=__doc__)
    parser.add_argument("--state-dir", default=None, help="of the local account (default: as `localcloud` finds it)")
    parser.add_argument("--prefix", default="Spotproof", help="of the deployment's stacks")
    options = parser.parse_args(arguments)
    try:
        report = LocalCloud.connect(options.state_dir).calls()
    except LocalcloudError as error:
        print(f"privileges: {error}", file=sys.stderr)
        return 3
    grants, denied = granted(report, prefix=options.prefix), refused(report, prefix=options.prefix)
    if not grants:
        print(f"privileges: no role of a deployment {options.prefix!r} is there: see --prefix", file=sys.stderr)
        return 3
    for grant in denied:
        print(f"refused: {grant}")
    for grant in unexplained(grants):
        print(f"granted, never used, no reason: {grant}")
    used = sum(1 for grant in grants if grant.calls)
    print(f"privileges: {used} of {len(grants)} grants used, {len(denied)} refused", file=sys.stderr)
    return 1 if denied or unexplained(grants) else 0


if __name__ == "__main__":
    sys.exit(main())

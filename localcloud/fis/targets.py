"""Whom an experiment strikes: tags, ARNs, filters, and how many of those that are left."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from localcloud.fis.parameters import FisError

SPOT_INSTANCES_MAX = 100  # of one experiment, chosen by tags; quotas of the FIS user guide
ARNS_MAX = 5
_MODE = re.compile(r"(ALL)|COUNT\((\d+)\)|PERCENT\((\d+)\)")

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """How many of the resources that match: all, a number of them, or a share."""

    count: int | None = None
    percent: int | None = None

    @classmethod
    def parse(cls, mode: str) -> "Selection":
        """Raises FisError if it is none of ALL, COUNT(n), PERCENT(n)."""
        found = _MODE.fullmatch(mode)
        if found is None:
            raise FisError(f"selectionMode must be ALL, COUNT(n) or PERCENT(n), got {mode!r}")
        count = int(found[2]) if found[2] else None
        percent = int(found[3]) if found[3] else None
        if count == 0 or percent == 0 or (percent or 0) > 100:
            raise FisError(f"selectionMode {mode} is out of range")
        return cls(count=count, percent=percent)

    def pick(self, candidates: Sequence[Found], rng: random.Random) -> list[Found]:
        """By chance; a share is rounded down, but never to nothing: the user guide says so for both."""
        if self.count is not None:
            wanted = self.count
        elif self.percent is not None:
            wanted = max(1, len(candidates) * self.percent // 100)
        else:
            wanted = len(candidates)
        return rng.sample(list(candidates), min(wanted, len(candidates)))


def require_target(name: str, target: Mapping[str, Any]) -> None:
    """Refuse a target that FIS would refuse.

    Raises:
        FisError: ARNs and tags together or neither, filters with ARNs, a selection mode that is none.
    """
    arns, tags = target.get("resourceArns"), target.get("resourceTags")
    if bool(arns) == bool(tags):
        raise FisError(f"target {name} must have either resourceArns or resourceTags")
    if arns and target.get("filters"):
        raise FisError(f"target {name}: filters can't be combined with resourceArns")
    if len(arns or ()) > ARNS_MAX:
        raise FisError(f"target {name} may list at most {ARNS_MAX} resourceArns")
    Selection.parse(str(target.get("selectionMode", "")))


def matches(target: Mapping[str, Any], *, arn: str, tags: Mapping[str, str], description: Mapping[str, Any]) -> bool:
    """Whether a resource is meant: one of the ARNs, or all of the tags and all of the filters.

    Args:
        description: the resource as its service describes it, for filters such as `Placement.AvailabilityZone`.
    """
    if target.get("resourceArns"):
        return arn in target["resourceArns"]
    tagged = all(tags.get(key) == value for key, value in target["resourceTags"].items())
    return tagged and all(_passes(each, description) for each in target.get("filters") or ())


def _passes(wanted: Mapping[str, Any], description: Mapping[str, Any]) -> bool:
    """One filter: the value at its path is one of its values."""
    value: Any = description
    for part in wanted["path"].split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return str(value) in wanted["values"]

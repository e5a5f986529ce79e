"""The two actions that the local account carries out, and what their templates must say."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.fis.parameters import FisError

INTERRUPT = "aws:ec2:send-spot-instance-interruptions"
NO_CAPACITY = "aws:ec2:asg-insufficient-instance-capacity-error"
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionKind:
    """What one action takes. Source: "AWS FIS Actions reference" of the FIS user guide."""

    action_id: str
    target_key: str
    resource_type: str
    parameters: frozenset[str]
    duration: str  # the parameter that says how long
    least_s: float
    most_s: float


KINDS = {
    kind.action_id: kind
    for kind in (
        ActionKind(
            action_id=INTERRUPT,
            target_key="SpotInstances",
            resource_type="aws:ec2:spot-instance",
            parameters=frozenset({"durationBeforeInterruption"}),
            duration="durationBeforeInterruption",
            least_s=120,
            most_s=900,
        ),
        ActionKind(
            action_id=NO_CAPACITY,
            target_key="AutoScalingGroups",
            resource_type="aws:ec2:autoscaling-group",
            parameters=frozenset({"availabilityZoneIdentifiers", "duration", "percentage"}),
            duration="duration",
            least_s=60,
            most_s=12 * 3600,
        ),
    )
}


def seconds(text: str) -> float:
    """Seconds of an ISO 8601 duration of hours, minutes and seconds.

    Raises:
        FisError: it is none.
    """
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        raise FisError(f"{text!r} is not a duration such as PT2M")
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return hours * 3600.0 + minutes * 60.0 + rest


def require_action(name: str, action: Mapping[str, Any], template: Mapping[str, Any]) -> None:
    """Refuse an action that FIS would refuse, or that the local account can't carry out.

    Raises:
        FisError: unknown action, wrong parameters or duration, a target that is not there or of another type.
    """
    kind = KINDS.get(action["actionId"])
    if kind is None:
        raise FisError(f"the local account doesn't carry out {action['actionId']}, only {', '.join(KINDS)}")
    parameters = action.get("parameters") or {}
    if parameters.keys() != kind.parameters:
        raise FisError(f"action {name} takes exactly the parameters {', '.join(sorted(kind.parameters))}")
    if not kind.least_s <= seconds(parameters[kind.duration]) <= kind.most_s:
        raise FisError(f"action {name}: {kind.duration} must be from {kind.least_s:g} to {kind.most_s:g} seconds")
    if parameters.get("percentage", "100") != "100":
        raise FisError(f"action {name}: the local account refuses all launches or none, percentage must be 100")
    target = (template.get("targets") or {}).get((action.get("targets") or {}).get(kind.target_key))
    if target is None or target["resourceType"] != kind.resource_type:
        raise FisError(f"action {name} needs a target {kind.target_key} of type {kind.resource_type}")
    unknown = [each for each in action.get("startAfter") or () if each not in template["actions"]]
    if unknown:
        raise FisError(f"action {name} starts after {', '.join(unknown)}, which the template doesn't have")


def seconds_of(action: Mapping[str, Any]) -> float:
    """How long the action lasts, simulated seconds."""
    return seconds(action["parameters"][KINDS[action["actionId"]].duration])

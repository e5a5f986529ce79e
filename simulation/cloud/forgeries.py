"""Events that should not be: malformed or forged ones, a stranger's, and such with fields of tomorrow."""

import json
import random
from collections.abc import Callable
from typing import Any, Final

from simulation.cloud.aws_event import new_uuid
from spotproof.interruptions.eventbridge import EVENT_BYTES_MAX

Event = dict[str, Any]
OTHER_ACCOUNT: Final = "999999999999"
OTHER_REGION: Final = "eu-central-1"
LATER: Final = "2099-01-01T00:00:00Z"


def broken(event: Event, rng: random.Random) -> Any:
    """E5: a copy that no handler may act upon."""
    copy = _copy(event)
    return _BREAKINGS[rng.randrange(len(_BREAKINGS))](copy)


def strange(event: Event, rng: random.Random) -> Event:
    """E6: the same about something unknown: an instance, job or run of nobody's, of another account, region or queue."""
    copy = _copy(event)
    detail = copy["detail"]
    copy["id"] = new_uuid(rng)
    if "instance-id" in detail:
        _rename(copy, str(detail["instance-id"]), f"i-{rng.getrandbits(68):017x}")
    if "jobId" in detail:
        _rename(copy, str(detail["jobId"]), new_uuid(rng))
        detail["parameters"] = {}
    if "run_id" in detail:
        detail["run_id"] = f"unknown-{rng.getrandbits(16):04x}"
    place = rng.randrange(4)
    if place == 0:
        _move(copy, copy["account"], OTHER_ACCOUNT)
    elif place == 1:
        _move(copy, copy["region"], OTHER_REGION)
    elif place == 2 and "jobQueue" in detail:
        detail["jobQueue"] += "-of-others"
    return copy


def enriched(event: Event, rng: random.Random) -> Event:
    """E7: with fields that AWS may add any day."""
    copy = _copy(event)
    copy[f"new-field-{rng.randrange(100)}"] = {"of": ["any", 1, None]}
    copy["detail"]["newField"] = rng.randrange(10**9)
    copy["detail"]["newObject"] = {"deep": {"deeper": [{}]}}
    for attempt in copy["detail"].get("attempts", []):
        attempt["newField"] = None
    return copy


def _copy(event: Event) -> Event:
    copy: Event = json.loads(json.dumps(event))
    return copy


def _rename(event: Event, old: str, new: str) -> None:
    """In the detail's ids and in the resources."""
    detail = event["detail"]
    for name in ("instance-id", "jobId"):
        if detail.get(name) == old:
            detail[name] = new
    event["resources"] = [text.replace(old, new) for text in event["resources"]]


def _move(event: Event, old: str, new: str) -> None:
    """All names of a place become another's."""
    for name, value in event.items():
        if value == old:
            event[name] = new
    event["resources"] = [text.replace(old, new) for text in event["resources"]]
    for name, value in event["detail"].items():
        if isinstance(value, str) and value.startswith("arn:"):
            event["detail"][name] = value.replace(old, new)


def _without(name: str) -> Callable[[Event], Any]:
    def breaking(event: Event) -> Any:
        del event[name]
        return event

    return breaking


def _with(name: str, value: Any) -> Callable[[Event], Any]:
    return lambda event: event | {name: value}


def _oversized(event: Event) -> Any:
    return event | {"padding": "x" * EVENT_BYTES_MAX}


def _emptied(event: Event) -> Any:
    return event | {"detail": dict.fromkeys(event["detail"], "")}


def _retyped(event: Event) -> Any:
    return event | {"detail": {name: [value] for name, value in event["detail"].items()}}


_BREAKINGS: Final[tuple[Callable[[Event], Any], ...]] = (
    _without("detail"),
    _without("account"),
    _without("source"),
    _without("time"),
    _with("account", OTHER_ACCOUNT),
    _with("detail", None),
    _with("detail", "text"),
    _with("detail-type", "Scheduled Event"),
    _with("source", "somebody.else"),
    _with("time", LATER),
    _with("time", "yesterday"),
    _with("id", ""),
    _with("resources", "not a list"),
    _emptied,
    _retyped,
    _oversized,
    lambda event: [event],
    lambda _: None,
    lambda _: "text",
)

"""Entries of PutEvents: what the service refuses, and the event it makes of the rest."""

import json
import random
from typing import Any, Final

from simulation.cloud.aws_event import service_event

_REQUIRED: Final = ("Source", "DetailType", "Detail")


def entry_error(entry: dict[str, Any], bus: str) -> dict[str, str] | None:
    """Why the entry fails; None if it does not (EventBridge API reference, "PutEventsResultEntry")."""
    for name in _REQUIRED:
        if not entry.get(name):
            return _error("InvalidArgument", f"Parameter {name} is not valid. Reason: {name} is a required argument.")
    if entry["Source"].startswith("aws."):
        return _error("NotAuthorizedForSourceException", "Not authorized for the source.")
    if entry.get("EventBusName", "default").rpartition("/")[2] != bus:
        return _error("ResourceNotFoundException", "Event bus does not exist.")
    try:
        detail = json.loads(entry["Detail"])
    except ValueError:
        detail = None
    return None if isinstance(detail, dict) else _error("MalformedDetail", "Detail is malformed.")


def event_of(entry: dict[str, Any], rng: random.Random, now_us: int) -> dict[str, Any]:
    """The event as rules and functions see it."""
    return service_event(
        rng,
        now_us,
        source=entry["Source"],
        detail_type=entry["DetailType"],
        detail=json.loads(entry["Detail"]),
        resources=entry.get("Resources", ()),
    )


def _error(code: str, message: str) -> dict[str, str]:
    return {"ErrorCode": code, "ErrorMessage": message}

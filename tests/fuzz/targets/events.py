"""Targets: events of EventBridge, every kind that a function handles."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from spotproof import contract
from spotproof.errors import EventRejectedError
from spotproof.interruptions import eventbridge
from spotproof.interruptions.event_fields import AHEAD_MAX
from tests.fuzz.mutations import json_mutation
from tests.fuzz.target import Target

EVENTS: Final = Path(__file__).parents[2] / "events"
ACCOUNT: Final = "123456789012"
NOW: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RUN_FINISHED: Final = {
    "version": "0",
    "id": "1",
    "detail-type": contract.DETAIL_RUN_FINISHED,
    "source": contract.EVENT_SOURCE,
    "account": ACCOUNT,
    "time": "2026-11-22T11:59:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": json.loads(eventbridge.run_finished_detail("2026-11-21")),
}
Parser = Callable[..., Any]


def targets() -> tuple[Target, ...]:
    """One for each parser, with the payloads of tests/events to start from."""
    return (
        _target("spot-warning", eventbridge.parse_spot_warning, "ec2_spot_interruption_warning.*.json"),
        _target("rebalance", eventbridge.parse_rebalance, "ec2_rebalance_recommendation.*.json"),
        _target("instance-state", eventbridge.parse_instance_state, "ec2_instance_state_change.*.json"),
        _target("job-state", eventbridge.parse_job_state, "batch_job_state_change.*.json"),
        _target("queue-blocked", eventbridge.parse_queue_blocked, "batch_job_queue_blocked.*.json"),
        _event_target("run-finished", eventbridge.parse_run_finished, [json.dumps(RUN_FINISHED).encode()]),
    )


def _target(name: str, parser: Parser, pattern: str) -> Target:
    return _event_target(name, parser, [path.read_bytes() for path in sorted(EVENTS.glob(pattern))])


def _event_target(name: str, parser: Parser, seeds: list[bytes]) -> Target:
    return Target(
        name=f"event-{name}",
        surface="events of EventBridge, which any principal with PutEvents can imitate",
        seeds=seeds,
        mutate=json_mutation,
        attempt=partial(_parse, parser),
        refusals=(EventRejectedError,),
        share=2.0,
    )


def _parse(parser: Parser, data: bytes) -> str:
    """What Lambda does: it hands over JSON values only."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return "no event"
    parsed = parser(event, account=ACCOUNT, now=NOW)
    assert parsed.time <= NOW + AHEAD_MAX, "nothing is believed that lies in the future"
    return type(parsed).__name__

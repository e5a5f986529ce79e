"""Parsers of EventBridge events: real payloads are understood, everything else is refused in one line."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotproof import contract
from spotproof.clock import from_epoch_ms
from spotproof.errors import EventRejectedError
from spotproof.interruptions.eventbridge import (
    InstanceState,
    InterruptionAction,
    JobStatus,
    parse_described_job,
    parse_instance_state,
    parse_job_state,
    parse_rebalance,
    parse_run_finished,
    parse_spot_warning,
    run_finished_detail,
)

EVENTS = Path(__file__).parents[2] / "events"
ACCOUNT = "123456789012"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

Parser = Callable[..., Any]
RUN_FINISHED = {
    "version": "0",
    "id": "1",
    "detail-type": contract.DETAIL_RUN_FINISHED,
    "source": contract.EVENT_SOURCE,
    "account": ACCOUNT,
    "time": "2026-11-22T11:59:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": json.loads(run_finished_detail("2026-11-21")),
}


def payload(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return content


def parsers() -> list[tuple[Parser, dict[str, Any]]]:
    jobs = [path.stem for path in EVENTS.glob("batch_job_state_change.*.json")]
    states = [path.stem for path in EVENTS.glob("ec2_instance_state_change.*.json")]
    assert len(jobs) >= 7
    assert len(states) >= 7
    return [
        (parse_spot_warning, payload("ec2_spot_interruption_warning.docs")),
        (parse_rebalance, payload("ec2_rebalance_recommendation.docs")),
        *((parse_instance_state, payload(name)) for name in states),
        *((parse_job_state, payload(name)) for name in jobs),
        (parse_run_finished, RUN_FINISHED),
    ]


def parse(parser: Parser, event: object) -> Any:
    return parser(event, account=ACCOUNT, now=NOW)


def test_a_spot_warning_gives_instance_action_and_time() -> None:
    warning = parse(parse_spot_warning, payload("ec2_spot_interruption_warning.docs"))

    assert warning.instance_id == "i-1234567890abcdef0"
    assert warning.action is InterruptionAction.TERMINATE
    assert warning.time == datetime(2026, 1, 15, 10, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:ec2:us-east-2a:instance/i-1234567890abcdef0",
        "arn:aws:ec2:us-east-2:123456789012:instance/i-1234567890abcdef0",
        "arn:aws-us-gov:ec2:us-gov-west-1:123456789012:instance/i-1234567890abcdef0",
    ],
)
def test_a_rebalance_comes_with_either_style_of_arn(arn: str) -> None:
    event = payload("ec2_rebalance_recommendation.docs") | {"resources": [arn]}

    assert parse(parse_rebalance, event).instance_id == "i-1234567890abcdef0"


def test_every_documented_instance_state_is_known() -> None:
    states = {
        parse(parse_instance_state, payload(path.stem)).state
        for path in EVENTS.glob("ec2_instance_state_change.*.json")
    }

    assert states == set(InstanceState)
    assert {state for state in states if state.gone} == {"stopping", "stopped", "shutting-down", "terminated"}


def test_a_failed_array_child_tells_its_attempts_and_its_place() -> None:
    job = parse(parse_job_state, payload("batch_job_state_change.array_child_failed_attempts_exhausted.synth"))

    assert (job.status, job.array_index, job.is_array_parent) == (JobStatus.FAILED, 7, False)
    assert job.parent_job_id == "4c7599ae-0a82-49aa-ba5a-4727fcce14a8"
    assert (len(job.attempts), job.attempts_max) == (5, 5)
    assert job.attempts[-1].exit_code is None
    assert job.attempts[-1].status_reason == "Host EC2 (instance i-0b662ef9931388ba0) terminated."
    assert job.attempts[-1].stopped_at == datetime(2026, 1, 9, 11, 35, tzinfo=UTC)


def test_an_array_parent_and_a_single_job_are_told_apart() -> None:
    parent = parse(parse_job_state, payload("batch_job_state_change.array_parent_pending.synth"))
    single = parse(parse_job_state, payload("batch_job_state_change.failed_oom.synth"))

    assert parent.is_array_parent
    assert not single.is_array_parent
    assert single.array_index is None
    assert (single.attempts[0].exit_code, single.attempts[0].reason[:11]) == (137, "OutOfMemory")


def test_a_job_described_by_ecs_properties_gives_its_exit_code_too() -> None:
    event = payload("batch_job_state_change.failed_app_error.synth")
    attempt = event["detail"]["attempts"][0]
    exit_code = attempt["container"]["exitCode"]
    attempt["taskProperties"] = [{"containers": [attempt.pop("container")]}]

    assert parse(parse_job_state, event).attempts[0].exit_code == exit_code


def test_the_memory_a_job_reserved_is_read() -> None:
    event = payload("batch_job_state_change.failed_oom.synth")

    assert parse(parse_job_state, event).memory_mib == 256


@pytest.mark.parametrize(
    ("container", "memory_mib"),
    [
        ({"memory": 512}, 512),
        ({"memory": 0}, None),
        ({}, None),
        ({"resourceRequirements": [{"type": "MEMORY", "value": "lots"}]}, None),
        ({"resourceRequirements": [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "640"}]}, 640),
    ],
)
def test_without_a_plain_requirement_the_memory_is_the_old_field_or_unknown(
    container: dict[str, Any], memory_mib: int | None
) -> None:
    event = payload("batch_job_state_change.failed_oom.synth")
    event["detail"]["container"] = container

    assert parse(parse_job_state, event).memory_mib == memory_mib


def test_a_job_without_any_attempt_is_understood() -> None:
    event = payload("batch_job_state_change.failed_oom.synth")
    for name in ("attempts", "container", "retryStrategy", "startedAt", "stoppedAt"):
        event["detail"].pop(name, None)

    job = parse(parse_job_state, event)

    assert (job.attempts, job.attempts_max) == ((), 1)


@pytest.mark.parametrize("name", sorted(path.stem for path in EVENTS.glob("batch_job_state_change.*.json")))
def test_a_described_job_says_what_an_event_of_it_says(name: str) -> None:
    event = payload(name)
    told = parse(parse_job_state, event)

    job = parse_described_job(event["detail"], event_id="e", account=ACCOUNT, now=NOW)

    assert replace(job, event_id=told.event_id, time=told.time) == told
    stopped_at = event["detail"].get("stoppedAt")
    assert job.time == (NOW if stopped_at is None else from_epoch_ms(stopped_at))


@pytest.mark.parametrize("described", [None, [], {}, {"jobId": "../etc"}])
def test_what_can_not_be_a_job_is_refused(described: object) -> None:
    with pytest.raises(EventRejectedError, match="job"):
        parse_described_job(described, event_id="e", account=ACCOUNT, now=NOW)


def test_our_own_event_round_trips() -> None:
    assert parse(parse_run_finished, RUN_FINISHED).run_id == "2026-11-21"


@pytest.mark.parametrize(("parser", "event"), parsers())
def test_unknown_fields_are_tolerated(parser: Parser, event: dict[str, Any]) -> None:
    grown = copy.deepcopy(event)
    grown["future"] = {"deep": [1, None]}
    grown["detail"]["future"] = ["x"]

    assert parse(parser, grown) == parse(parser, event)


@pytest.mark.parametrize(("parser", "event"), parsers())
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("source", "my.app", "event.source must be"),
        ("source", None, "event.source must be text"),
        ("detail-type", "Something Else", "event.detail-type must be"),
        ("account", "999999999999", "this is account 123456789012"),
        ("account", "12345", "event.account must match"),
        ("account", 123456789012, "event.account must be text"),
        ("id", "", "event.id must be text"),
        ("time", "yesterday", "event.time must be ISO 8601"),
        ("time", "2026-11-22T12:00:00", "event.time must be ISO 8601 with zone"),
        ("time", "0001-01-01T00:00:00+23:00", "event.time must be ISO 8601"),
        ("time", "1999-01-01T00:00:00Z", "event.time is not plausible"),
        ("time", "2026-11-24T12:00:01Z", "event.time is not plausible"),
        ("time", 1700000000, "event.time must be text"),
        ("detail", None, "event.detail must be an object"),
        ("detail", [], "event.detail must be an object"),
        ("resources", "arn", "event.resources must be a list"),
        ("resources", [7], "event.resources must be a list"),
    ],
)
def test_a_forged_or_malformed_envelope_is_refused_by_name(
    parser: Parser, event: dict[str, Any], field: str, value: object, said: str
) -> None:
    forged = copy.deepcopy(event) | {field: value}

    with pytest.raises(EventRejectedError) as refused:
        parse(parser, forged)

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "instance_id",
    ["", "i-", "i-XYZ", "i-1234567", "i-1234567890abcdef01", "i-1234567890ABCDEF0", " i-12345678", "i-12345678\n",
     "../i-12345678", None, 7, ["i-12345678"]],
)  # fmt: skip
def test_anything_but_an_instance_id_is_refused(instance_id: object) -> None:
    event = payload("ec2_spot_interruption_warning.docs") | {"resources": []}
    event["detail"]["instance-id"] = instance_id

    with pytest.raises(EventRejectedError, match="instance-id"):
        parse(parse_spot_warning, event)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:ec2:us-east-2a:instance/i-0000000000abcdef0",
        "arn:aws:ec2:us-east-2:999999999999:instance/i-1234567890abcdef0",
        "i-1234567890abcdef0",
        "",
    ],
)
def test_resources_that_contradict_the_detail_are_refused(arn: str) -> None:
    event = payload("ec2_spot_interruption_warning.docs") | {"resources": [arn]}

    with pytest.raises(EventRejectedError, match="resources names"):
        parse(parse_spot_warning, event)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("jobId", "a/b"), ("jobId", None), ("status", "DONE"), ("attempts", {}), ("attempts", [1]),
        ("attempts", [{}] * 11), ("attempts", [{"startedAt": 1767958260}]), ("attempts", [{"startedAt": "now"}]),
        ("attempts", [{"container": {"exitCode": "1"}}]), ("attempts", [{"container": {"exitCode": True}}]),
        ("parameters", {"run": 7}), ("parameters", {"run": "x" * 40_000}), ("parameters", ["run"]),
        ("arrayProperties", {"index": -1}), ("arrayProperties", {"size": 20_000}), ("isTerminated", "no"),
        ("retryStrategy", {"attempts": 0}), ("jobQueue", ""), ("statusReason", "x" * 5000),
        ("jobQueue", "arn:aws:batch:us-east-1:999999999999:job-queue/spot-queue"),
        ("jobDefinition", "arn:aws:batch:us-east-1:999999999999:job-definition/x:1"),
    ],
)  # fmt: skip
def test_a_malformed_job_is_refused_by_field(field: str, value: object) -> None:
    event = payload("batch_job_state_change.failed_oom.synth")
    event["detail"][field] = value

    with pytest.raises(EventRejectedError, match=field):
        parse(parse_job_state, event)


@pytest.mark.parametrize("run_id", ["", "a/b", "a#b", "../x", "x" * 129, None, 3, "-x", "a\nb"])
def test_a_run_id_that_could_reach_other_keys_is_refused(run_id: object) -> None:
    with pytest.raises(EventRejectedError, match="run_id"):
        parse(parse_run_finished, RUN_FINISHED | {"detail": {"run_id": run_id}})


def test_an_oversized_event_is_refused() -> None:
    event = payload("ec2_rebalance_recommendation.docs") | {"padding": "x" * 1_100_000}

    with pytest.raises(EventRejectedError, match="bytes"):
        parse(parse_rebalance, event)


def test_an_event_nested_beyond_reason_is_refused() -> None:
    nest: object = 0
    for _ in range(100_000):
        nest = [nest]

    with pytest.raises(EventRejectedError, match="sensible depth"):
        parse(parse_rebalance, payload("ec2_rebalance_recommendation.docs") | {"nest": nest})


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["i-12345678", "FAILED", "aws.ec2", "2026-01-01T00:00:00Z", "\x1b[31m", "\u202e"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def paths_in(value: object) -> list[tuple[str | int, ...]]:
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [(), *((key, *path) for key, child in inner for path in paths_in(child))]


def mutated(event: Any, path: tuple[str | int, ...], value: object, *, drop: bool) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(event)
    at = changed
    for step in path[:-1]:
        at = at[step]
    if drop:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return changed


def refusal_of(parser: Parser, event: object) -> str:
    """What the parser says against the event; empty if it takes it. Any other exception fails the test."""
    try:
        parse(parser, event)
    except EventRejectedError as refused:
        return str(refused)
    return ""


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_no_mutation_of_a_real_event_raises_anything_else(data: st.DataObject) -> None:
    parser, event = data.draw(st.sampled_from(parsers()))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths_in(event)))
        event = mutated(event, path, data.draw(JSON_VALUES), drop=data.draw(st.booleans()))

    said = refusal_of(parser, event)

    assert said.isprintable()
    assert len(said) < 400

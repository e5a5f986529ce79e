"""What workers' log lines measure."""

import json
import logging
from typing import Any

import pytest

from spotproof import events, json_logs
from spotproof.errors import AwsUnavailableError
from spotproof.metrics import EVENT_METRICS, WorkerMetrics
from tests.unit.worker.world import World

METRICS = WorkerMetrics(stack="Trial")


def dimensions_of(members: dict[str, Any]) -> dict[str, list[list[str]]]:
    """Dimension names of each metric of a line."""
    found: dict[str, list[list[str]]] = {}
    for directive in members["_aws"]["CloudWatchMetrics"]:
        for metric in directive["Metrics"]:
            found.setdefault(metric["Name"], []).extend(directive["Dimensions"])
    return found


def test_a_saved_checkpoint_tells_how_long_it_took_how_long_it_held_the_job_and_its_size() -> None:
    fields = {"duration_ms": 900, "stall_ms": 20, "size_bytes": 4096, "shard": 3, "run_id": "nightly"}

    members = METRICS.members(events.CHECKPOINT_SAVED, fields, at_ms=1_700_000_000_000)

    assert members["_aws"]["Timestamp"] == 1_700_000_000_000
    (directive,) = members["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Spotproof"
    assert {each["Name"]: each["Unit"] for each in directive["Metrics"]} == {
        "CheckpointDuration": "Milliseconds",
        "CheckpointStall": "Milliseconds",
        "CheckpointBytes": "Bytes",
    }
    assert (members["CheckpointDuration"], members["CheckpointStall"], members["CheckpointBytes"]) == (900, 20, 4096)
    assert members["Stack"] == "Trial"


def test_only_the_stack_and_the_lifecycle_are_dimensions() -> None:
    ids = {"run_id": "nightly", "shard": 3, "instance_id": "i-0123456789abcdef0", "lifecycle": "spot", "records": 7}

    for event in EVENT_METRICS:
        members = METRICS.members(event, {**ids, "lost_ms": 1, "duration_ms": 1}, at_ms=0)
        given = {tuple(names) for sets in dimensions_of(members).values() for names in sets}
        assert given <= {("Stack",), ("Stack", "Lifecycle")}


def test_commits_and_lost_work_are_told_apart_by_lifecycle_where_it_is_known() -> None:
    on_spot = METRICS.members(events.SHARD_RELEASED, {"lost_ms": 250, "lifecycle": "spot"}, at_ms=0)
    saved = METRICS.members(events.CHECKPOINT_SAVED, {"duration_ms": 9, "lifecycle": "spot"}, at_ms=0)
    somewhere = METRICS.members(events.SHARD_RELEASED, {"lost_ms": 250, "lifecycle": ""}, at_ms=0)
    reserved = METRICS.members(events.SHARD_RELEASED, {"lost_ms": 250, "lifecycle": "capacity-block"}, at_ms=0)

    assert dimensions_of(on_spot) == {"WorkLost": [["Stack"], ["Stack", "Lifecycle"]]}
    assert on_spot["Lifecycle"] == "spot"
    assert dimensions_of(saved) == {"CheckpointDuration": [["Stack"]]}  # each series costs
    assert dimensions_of(somewhere) == {"WorkLost": [["Stack"]]}  # CloudWatch takes no empty value
    assert "Lifecycle" not in somewhere
    assert dimensions_of(reserved) == {"WorkLost": [["Stack"]]}  # whatever EC2 thinks of next is no series of ours
    assert "Lifecycle" not in reserved


def test_what_an_event_does_not_know_is_not_measured() -> None:
    committed = METRICS.members(events.SHARD_COMMITTED, {"records": None}, at_ms=0)
    stopped = METRICS.members(events.SHARD_RELEASED, {"lost_ms": 0, "left_ms": 31_000}, at_ms=0)

    assert "RecordsCommitted" not in committed
    assert committed["ShardsCommitted"] == 1
    assert (stopped["NoticeTimeLeft"], stopped["WorkLost"]) == (31_000, 0)
    assert METRICS.members(events.SHARD_LEASED, {"shard": 3}, at_ms=0) == {}


def test_a_quarantined_shard_counts_as_a_failure_and_as_quarantined() -> None:
    members = METRICS.members(events.SHARD_QUARANTINED, {}, at_ms=0)

    assert (members["ShardsFailed"], members["ShardsQuarantined"]) == (1, 1)


def test_the_line_of_the_event_is_the_line_that_measures(capsys: pytest.CaptureFixture[str]) -> None:
    json_logs.configure(level="INFO", bound={"run_id": "nightly", "lifecycle": "on-demand"}, metrics=METRICS)

    logging.getLogger("spotproof.worker").info(events.SHARD_COMMITTED, extra={"shard": 3, "records": 12})

    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["shard"], line["run_id"]) == (events.SHARD_COMMITTED, 3, "nightly")
    assert (line["ShardsCommitted"], line["RecordsCommitted"], line["Lifecycle"]) == (1, 12, "on-demand")
    assert dimensions_of(line)["ShardsCommitted"] == [["Stack"], ["Stack", "Lifecycle"]]


def test_a_worker_whose_saves_fail_emits_what_the_alarm_asks_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AwsUnavailableError("S3 503")

    world = World()
    monkeypatch.setattr(world.objects, "put", refuse)
    monkeypatch.setattr(world.objects, "put_if_absent", refuse)
    json_logs.configure(level="INFO", bound={}, metrics=METRICS)

    world.worker(world.job()).execute()

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    failed = [line for line in lines if line["event"] == events.CHECKPOINT_FAILED]
    assert failed
    assert all(line[events.METRIC_CHECKPOINT_FAILURES] == 1 for line in failed)
    assert dimensions_of(failed[0]) == {events.METRIC_CHECKPOINT_FAILURES: [["Stack"]]}


def test_every_metric_has_a_member_of_its_own() -> None:
    """A metric named like a field of the line would replace it."""
    names = {metric.name for given in EVENT_METRICS.values() for metric in given}
    fields = {metric.field for given in EVENT_METRICS.values() for metric in given}

    assert not names & fields
    assert all(name[0].isupper() for name in names)

"""Readings and scrapes: what is shown between two readings, and when a part of AWS does not answer."""

import math
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotproof.errors import ItemTooNewError
from spotproof.leases.model import Run, RunId
from spotproof_cli.exporter import metrics
from spotproof_cli.exporter.metrics import METRICS, SERIES_MAX, Kind
from spotproof_cli.exporter.samples import Counters, bounded_gauges, sample
from tests.cli.exporter.conftest import Exporter
from tests.cli.test_status import lease_and_commit


def refuse(**_: Any) -> Any:
    raise ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}, "DescribeInstances")


def test_a_scrape_asks_aws_nothing_and_tells_how_old_its_numbers_are(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = exporter.world
    world.put_run()
    fresh = exporter.read()

    for service in (world.store, world.batch, world.ec2, world.scaling):
        for name in (each for each in dir(service) if not each.startswith("_")):
            if callable(getattr(service, name)):
                monkeypatch.setattr(service, name, refuse)
    world.clock.advance(45)
    late = exporter.scrape()

    assert {fresh("reading_age_seconds", source=each) for each in ("table", "batch", "ec2", "autoscaling")} == {0}
    assert {late("reading_age_seconds", source=each) for each in ("table", "batch", "ec2", "autoscaling")} == {45}
    assert late("run_shards", run="run-1", state="ready") == 4


def test_a_source_that_fails_keeps_its_last_numbers_and_leaves_the_others_alone(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = exporter.world
    world.ec2.launch("i-01")
    exporter.read()
    monkeypatch.setattr(world.ec2, "describe_instances", refuse)
    world.put_run()
    world.clock.advance(30)
    exporter.readings.read()
    shown = exporter.read()

    assert (shown("reading_ok", source="ec2"), shown("reading_ok", source="table")) == (0, 1)
    assert shown("reading_failures_total", source="ec2") == 2
    assert shown("reading_failures_total", source="table") == 0
    assert shown("nodes", lifecycle="spot") == 1
    assert (shown("reading_age_seconds", source="ec2"), shown("reading_age_seconds", source="table")) == (30, 0)
    assert shown("runs", state="running") == 1
    (warning,) = exporter.warnings  # said once, not at each reading
    assert warning.startswith("reading ec2: looking for instances: AWS refused")


def test_what_happened_while_a_source_failed_is_counted_when_it_answers_again(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = exporter.world
    exporter.read()
    with monkeypatch.context() as broken:
        broken.setattr(world.ec2, "describe_instances", refuse)
        world.ec2.launch("i-01")
        exporter.read()

    shown = exporter.read()

    assert shown("nodes_added_total", lifecycle="spot") == 1
    assert shown("reading_ok", source="ec2") == 1


def test_a_run_that_can_not_be_read_is_named_as_such_and_hides_no_other(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = exporter.world
    for name in ("run-1", "run-2"):
        world.put_run(name)
    get_run = world.store.get_run

    def too_new(run_id: RunId) -> Run | None:
        if run_id == "run-1":
            raise ItemTooNewError("schema 9")
        return get_run(run_id)

    monkeypatch.setattr(world.store, "get_run", too_new)
    shown = exporter.read()

    assert (shown("runs_unreadable"), shown("runs", state="running")) == (1, 1)
    assert shown("run_shards", run="run-2", state="ready") == 4


def test_a_run_that_can_be_read_again_is_not_counted_again(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: RunId) -> Run | None:
        raise ItemTooNewError("schema 9")

    world = exporter.world
    run = world.put_run()
    for stripe in (0, 1):
        lease_and_commit(world, run, world.open_session(run, f"w{stripe}"), stripe=stripe)
        exporter.read()
    with monkeypatch.context() as broken:
        broken.setattr(world.store, "get_run", damaged)
        exporter.read()

    shown = exporter.read()

    assert shown("shards_finished_total", job_name="flight-delays", outcome="committed") == 1
    assert shown("workers_started_total", lifecycle="spot") == 1


def test_a_metric_has_a_bounded_number_of_series_and_loses_no_count() -> None:
    counters = Counters()
    counters.add(
        sample(metrics.INTERRUPTIONS, 1, pool=f"m5.large/zone-{number}", signal="notice")
        for number in range(SERIES_MAX + 50)
    )

    found = list(counters.samples())

    assert len(found) == SERIES_MAX + 1
    assert sum(each.number for each in found) == SERIES_MAX + 50
    assert found[-1].values == ("other", "notice")
    assert found[-1].number == 50


def test_gauges_of_the_same_series_add_up_and_are_bounded_too() -> None:
    shards = [sample(metrics.SHARDS, 2, job_name=f"job-{number}", state="ready") for number in range(SERIES_MAX)]

    found = bounded_gauges([*shards, *shards, sample(metrics.SHARDS, 1, job_name="late", state="ready")])

    assert len(found) == SERIES_MAX + 1
    assert {each.number for each in found[:-1]} == {4}
    assert (found[-1].values, found[-1].number) == (("other", "ready"), 1)


def test_a_counter_refuses_to_fall() -> None:
    with pytest.raises(AssertionError, match="would fall by 2"):
        Counters().add([sample(metrics.WORK_LOST, -2, lifecycle="spot")])


def test_every_number_is_finite(exporter: Exporter) -> None:
    exporter.world.put_run()

    assert all(math.isfinite(number) for number in exporter.read().numbers.values())


def test_names_follow_prometheus_conventions() -> None:
    names = [each.full_name for each in METRICS]

    assert len(set(names)) == len(names)
    for each in METRICS:
        assert (each.kind is Kind.COUNTER) == each.name.endswith("_total"), each.name
        assert each.help.endswith("."), each.name
        assert each.open_label is None or each.open_label in each.labels, each.name
        assert not set(each.labels) & {"session", "shard", "job_id"}, each.name
        assert not set(each.labels) & {"job", "instance"}, f"{each.name}: Prometheus puts these on by itself"

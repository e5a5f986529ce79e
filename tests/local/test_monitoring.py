"""What the monitoring stack quotes is what a real run emits; every alarm goes on and off; every query has an answer."""

import json
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from spotproof import contract, events
from stacks.monitoring.alarms import ALARMS, AlarmSpec, alarm_name
from stacks.monitoring.queries import QUERIES
from tests.local.account import TestAccount, eventually
from tests.local.insights import run_query
from tests.local.product import Product
from tests.local.troubles import all_troubles
from tests.local.watched import ALARM_NAMES, COMPOSITE_NAME, PREFIX, Ears, Watched

SERIES_MAX = 60
# AWS gives these only where a request was throttled ("DynamoDB metrics and dimensions"); the account here never does.
ONLY_WHEN_THROTTLED = {"ReadThrottleEvents", "WriteThrottleEvents"}
# Alarms that get values from here, and why no trouble of the runs can give them within the test.
FED: Final = {
    "NoticesSlow": "asks for ten seconds from a notice to its stop file; a notice is over after eight here, and then "
    "nobody writes one",
    "ShardsWait": "asks for a shard that waits for fifteen minutes, which functions read off the real clock",
    "CheckpointsSlow": "asks for saves of a minute each, twice fifteen minutes long",
}
SILENT: Final = "ControllerSilent"  # goes on when nothing else does


@pytest.fixture(scope="module")
def watched(deployed: TestAccount) -> Iterator[Watched]:
    """Runs with every kind of trouble, all of it over, heard from the first alarm on."""
    deployed.admin.reset_jobs()
    product = Product(account=deployed)
    product.upload_input()
    with Ears(account=deployed) as ears:
        made = Watched(product=product, since_ms=round(time.time() * 1000), ears=ears)
        made.empty_queues()
        made.wait_until_quiet()
        ears.told(contract.OUTPUT_ALARM_CHANGES_TOPIC).clear()
        ears.told(contract.OUTPUT_ATTENTION_TOPIC).clear()
        all_troubles(made)
        yield made
    deployed.admin.reset_jobs()


# --- both directions ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_metric_of_the_vocabulary_is_emitted_by_real_runs(watched: Watched) -> None:
    names = {value for name, value in vars(events).items() if name.startswith("METRIC_")}

    eventually(
        lambda: {name for name, _ in watched.series()} >= names,
        f"metrics: {sorted(names - {name for name, _ in watched.series()})} missing",
    )
    assert {name for name, _ in watched.series()} <= names


@pytest.mark.slow
def test_a_deployment_emits_at_most_sixty_series(watched: Watched) -> None:
    series = watched.series()

    assert len(series) <= SERIES_MAX
    assert {name for _, dimensions in series for name, _ in dimensions} == {"Stack", "Lifecycle"}
    assert {value for _, dimensions in series for name, value in dimensions if name == "Stack"} == {PREFIX}


@pytest.mark.slow
def test_every_alarm_looks_at_a_series_that_is_emitted(watched: Watched) -> None:
    deployed = watched.alarms()
    listed = watched.listed("AWS/SQS")
    ours = watched.series()

    assert len(deployed) == len(ALARMS)
    for alarm in deployed.values():
        dimensions = tuple(sorted((each["Name"], each["Value"]) for each in alarm["Dimensions"]))
        asked = (alarm["MetricName"], dimensions)
        assert asked in (listed if alarm["Namespace"] == "AWS/SQS" else ours)


@pytest.mark.slow
def test_every_metric_on_the_dashboard_has_values(watched: Watched) -> None:
    body = json.loads(watched.account.client("cloudwatch").get_dashboard(DashboardName=PREFIX)["DashboardBody"])
    native = {namespace: watched.listed(namespace) for namespace in ("AWS/Lambda", "AWS/SQS")}
    drawn = [each for widget in body["widgets"] for each in widget["properties"].get("metrics", [])]
    ours = watched.series()

    assert len(drawn) > 30
    for namespace, name, *rest in drawn:
        dimensions = tuple(sorted(zip(rest[:-1:2], rest[1:-1:2], strict=True)))
        if namespace == contract.METRIC_NAMESPACE:
            assert (name, dimensions) in ours
        elif name not in ONLY_WHEN_THROTTLED:
            assert (name, dimensions) in native[namespace]


@pytest.mark.slow
@pytest.mark.parametrize("name", [query.name for query in QUERIES])
def test_every_saved_query_has_an_answer_and_every_field_it_names_is_logged(watched: Watched, name: str) -> None:
    saved = watched.saved_queries()[name]

    answer = run_query(saved["queryString"], watched.lines(list(saved["logGroupNames"])))

    assert answer.rows
    logged = {field for line in answer.matched for field in line}
    assert answer.fields <= logged


# --- alarms ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_alarm_goes_on_and_off_again_and_people_hear_of_one(watched: Watched) -> None:
    account, ears = watched.account, watched.ears
    account.admin.reset_jobs()
    by_itself = [spec.name for spec in ALARMS if spec.name not in {*FED, SILENT}]
    watched.wait_for_alarms(*by_itself)

    account.admin.pause_schedules()
    try:
        watched.wait_for_alarms(SILENT)
    finally:
        account.admin.pause_schedules(paused=False)
    _feed(watched)
    watched.wait_for_alarms(*FED)
    watched.empty_queues()
    watched.wait_until_quiet()

    def all_told() -> bool:
        said = set(ears.told(contract.OUTPUT_ALARM_CHANGES_TOPIC))
        return said >= {(name, state) for name in ALARM_NAMES for state in ("ALARM", "OK")}

    eventually(all_told, "every alarm's ups and downs on the topic")
    pages = eventually(lambda: ears.told(contract.OUTPUT_ATTENTION_TOPIC)[1:] and ears.heard, "the end of it all")
    assert pages[contract.OUTPUT_ATTENTION_TOPIC] == [(COMPOSITE_NAME, "ALARM"), (COMPOSITE_NAME, "OK")]


def _feed(watched: Watched) -> None:
    """A value that breaches in the middle of each period that the alarm looks at, and outweighs what runs emitted."""
    now, scale = time.time(), watched.account.running.scale
    data = [
        {
            "MetricName": spec.metric,
            "Dimensions": [{"Name": "Stack", "Value": PREFIX}],
            "Values": [spec.threshold],
            "Counts": [1_000.0],
            "Timestamp": now - (period + 0.5) * spec.period_s / scale,
        }
        for spec in ALARMS
        if spec.name in FED
        for period in range(spec.periods)
    ]
    watched.account.client("cloudwatch").put_metric_data(Namespace=contract.METRIC_NAMESPACE, MetricData=data)


def test_the_alarms_are_deployed_as_they_are_declared(deployed: TestAccount) -> None:
    found = Watched(product=Product(account=deployed), since_ms=0, ears=Ears(account=deployed)).alarms()

    for spec in ALARMS:
        alarm = found[alarm_name(PREFIX, spec.name)]
        assert (alarm["Threshold"], alarm["Period"]) == (spec.threshold, spec.period_s)
        assert (alarm["EvaluationPeriods"], alarm.get("DatapointsToAlarm")) == (spec.periods, spec.periods)
        assert _statistic(alarm) == spec.statistic


def _statistic(alarm: dict[str, Any]) -> str:
    return str(alarm.get("ExtendedStatistic") or alarm["Statistic"])


def test_only_alarms_that_no_trouble_here_can_cause_are_fed() -> None:
    assert FED.keys() < {spec.name for spec in ALARMS if spec.queue is None and not spec.below}
    assert all(FED.values())


def test_facts_of_alarms_are_named_once() -> None:
    names = [spec.name for spec in ALARMS]

    assert len(set(names)) == len(names)
    assert all(isinstance(spec, AlarmSpec) and bool(spec.metric) is (spec.queue is None) for spec in ALARMS)

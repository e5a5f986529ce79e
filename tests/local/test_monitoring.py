"""What the monitoring stack quotes is what a real run emits; every alarm goes on and off; every query has an answer."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from spotproof import contract, events
from stacks.monitoring.alarms import ALARMS, COMPOSITE, AlarmSpec, alarm_name
from stacks.monitoring.queries import QUERIES
from tests.local.account import TestAccount, eventually
from tests.local.insights import run_query
from tests.local.product import Product
from tests.tidy.repository import ROOT

PREFIX = contract.DEFAULT_STACK_PREFIX
SERIES_MAX = 60
# What these runs don't bring about, and the test that shows it emitted.
ELSEWHERE = {
    events.METRIC_CHECKPOINT_FAILURES: "tests/unit/core/test_metrics.py",
    events.METRIC_QUEUES_BLOCKED: "tests/lambdas/test_queue_blocked.py",
}
# AWS gives these only where a request was throttled ("DynamoDB metrics and dimensions"); the account here never does.
ONLY_WHEN_THROTTLED = {"ReadThrottleEvents", "WriteThrottleEvents"}

Series = tuple[str, tuple[tuple[str, str], ...]]  # name, dimensions
Line = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The product while things happen to it, and since when."""

    product: Product
    since_ms: int

    @property
    def account(self) -> TestAccount:
        return self.product.account

    def saved_queries(self) -> dict[str, dict[str, Any]]:
        """Deployed queries by their short name."""
        found = self.account.client("logs").describe_query_definitions(queryDefinitionNamePrefix=f"{PREFIX}/")
        return {each["name"].removeprefix(f"{PREFIX}/"): each for each in found["queryDefinitions"]}

    def lines(self, groups: list[str]) -> list[Line]:
        """JSON lines of these groups."""
        pages = [
            page
            for group in groups
            for page in self.account.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=group, startTime=self.since_ms)
        ]
        parsed = [
            {"@timestamp": one["timestamp"], **json.loads(one["message"])}
            for page in pages
            for one in page["events"]
            if one["message"].startswith("{")
        ]
        return [line for line in parsed if "event" in line or "message" in line or "_aws" in line]

    def all_lines(self) -> list[Line]:
        groups = {group for query in self.saved_queries().values() for group in query["logGroupNames"]}
        return self.lines(sorted(groups))

    def series(self) -> set[Series]:
        """Every metric of ours that was emitted in embedded metric format."""
        found = set()
        for line in self.all_lines():
            for directive in line.get("_aws", {}).get("CloudWatchMetrics", []):
                assert directive["Namespace"] == contract.METRIC_NAMESPACE
                for names in directive["Dimensions"]:
                    dimensions = tuple((name, str(line[name])) for name in sorted(names))
                    found |= {(metric["Name"], dimensions) for metric in directive["Metrics"]}
        return found

    def wait_for_line(self, group_of: str, event: str, **fields: Any) -> None:
        """Wait until a function logged the event."""

        def found() -> bool:
            lines = self.lines(list(self.saved_queries()[group_of]["logGroupNames"]))
            return any(
                line.get("message") == event and all(line.get(name) == value for name, value in fields.items())
                for line in lines
            )

        eventually(found, f"{event} {fields}", timeout_s=60)


@pytest.fixture(scope="module")
def watched(deployed: TestAccount) -> Iterator[Watched]:
    """Two runs with every kind of trouble, one that waits for Spot, one whose input is not there, a forged event."""
    deployed.admin.reset_jobs()
    product = Product(account=deployed)
    product.upload_input()
    made = Watched(product=product, since_ms=round(time.time() * 1000))
    _forge_an_event(made)
    missing = _submit_without_input(made)
    _freeze(made)
    _interrupt(made)
    _fail(made)
    deployed.wait(missing, "FAILED", timeout_s=60)
    made.wait_for_line("trouble", events.WORKER_CLASSIFIED, run_id="monitor-missing")
    _starve(made)
    made.wait_for_line("cost-by-run", events.RUN_COST, run_id="monitor-hit")
    deployed.admin.fire_schedule("Controller")
    yield made
    deployed.admin.reset_jobs()


def _forge_an_event(watched: Watched) -> None:
    detail = json.dumps({"schema": 1, "run_id": "../../elsewhere"})
    entry = {"Source": contract.EVENT_SOURCE, "DetailType": contract.DETAIL_RUN_FINISHED, "Detail": detail}
    assert watched.account.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def _submit_without_input(watched: Watched) -> str:
    """Past the command, which would refuse it."""
    outputs = watched.account.outputs
    submitted = watched.account.client("batch").submit_job(
        jobName="monitor-missing",
        jobQueue=outputs[f"{PREFIX}-Compute.{contract.OUTPUT_SPOT_QUEUE}"],
        jobDefinition=outputs[f"{PREFIX}-Compute.{contract.OUTPUT_JOB_DEFINITIONS}"].split(",")[0],
        parameters={"run": "monitor-missing", "input": f"s3://{watched.product.data_bucket}/nothing/"},
    )
    return str(submitted["jobId"])


def _freeze(watched: Watched) -> None:
    """A worker stands still beyond its session; another one takes its shard."""
    product, admin = watched.product, watched.account.admin
    job = product.submit("monitor-frozen", workers=2)
    leased = product.wait_for(f"{job}:0", events.CHECKPOINT_SAVED)
    admin.pause(f"{job}:0")
    product.wait_for(f"{job}:1", events.SHARD_LEASED, shard=leased["shard"])
    admin.resume(f"{job}:0")
    product.wait_complete("monitor-frozen")
    product.wait_for(f"{job}:0", events.LEASE_LOST)


def _interrupt(watched: Watched) -> None:
    """A worker's host is taken back, with notice; the run is complete."""
    product, s3 = watched.product, watched.account.client("s3")
    s3.copy_object(Bucket=product.data_bucket, Key="slow/0.jsonl", CopySource=f"{product.data_bucket}/in/0.jsonl")
    job = product.submit(
        "monitor-hit", workers=1, input_uri=f"s3://{product.data_bucket}/slow/", pace_s="0.004"
    )  # a shard that takes longer than is left after the notice
    product.wait_for(job, events.CHECKPOINT_SAVED)
    watched.account.admin.interrupt(watched.account.host_of(job))
    product.wait_for(job, events.SHARD_RESUMED)
    product.wait_complete("monitor-hit")


def _fail(watched: Watched) -> None:
    """Flights that the job's function can't count."""
    product = watched.product
    body = json.dumps({"carrier": "AA", "origin": "EWR", "dest": "BOS", "dep_delay": "late", "arr_delay": {}}) + "\n"
    product.account.client("s3").put_object(Bucket=product.data_bucket, Key="broken/0.jsonl", Body=body.encode())
    job = product.submit(
        "monitor-broken", workers=1, input_uri=f"s3://{product.data_bucket}/broken/", failures_max="1", pace_s="0"
    )
    product.wait_for(job, events.SHARD_QUARANTINED)


def _starve(watched: Watched) -> None:
    """No Spot host is to be had: an on-demand worker begins the run."""
    watched.account.admin.reset_jobs()
    watched.account.empty_fleet()
    watched.account.admin.market(capacity={"*": 0})
    watched.product.submit("monitor-starved", workers=1, pace_s="0", fallback_after_s="60")
    watched.account.admin.fire_schedule("Controller")
    watched.wait_for_line("workers-waiting", events.WORKERS_WAITING, run_id="monitor-starved")
    watched.wait_for_line("capacity-decisions", events.CAPACITY_DECIDED, run_id="monitor-starved", action="add")


# --- both directions ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_every_metric_of_the_vocabulary_is_emitted_by_real_runs(watched: Watched) -> None:
    names = {value for name, value in vars(events).items() if name.startswith("METRIC_")}

    eventually(
        lambda: {name for name, _ in watched.series()} >= names - set(ELSEWHERE),
        f"metrics: {sorted(names - set(ELSEWHERE) - {name for name, _ in watched.series()})} missing",
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
    deployed = _alarms(watched)
    listed = _listed(watched, "AWS/SQS")

    assert len(deployed) == len(ALARMS)
    for alarm in deployed.values():
        dimensions = tuple(sorted((each["Name"], each["Value"]) for each in alarm["Dimensions"]))
        asked = (alarm["MetricName"], dimensions)
        if alarm["Namespace"] == "AWS/SQS":
            assert asked in listed
        elif alarm["MetricName"] not in ELSEWHERE:
            assert asked in watched.series()


@pytest.mark.slow
def test_every_metric_on_the_dashboard_has_values(watched: Watched) -> None:
    body = json.loads(watched.account.client("cloudwatch").get_dashboard(DashboardName=PREFIX)["DashboardBody"])
    native = {namespace: _listed(watched, namespace) for namespace in ("AWS/Lambda", "AWS/SQS")}
    drawn = [each for widget in body["widgets"] for each in widget["properties"].get("metrics", [])]
    ours = watched.series()

    assert len(drawn) > 30
    for namespace, name, *rest in drawn:
        dimensions = tuple(sorted(zip(rest[:-1:2], rest[1:-1:2], strict=True)))
        if namespace == contract.METRIC_NAMESPACE:
            assert name in ELSEWHERE or (name, dimensions) in ours
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


@pytest.fixture(scope="module")
def told(watched: Watched) -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """What was said on a topic, by its output."""
    sqs, sns = watched.account.client("sqs"), watched.account.client("sns")
    urls, subscribed = {}, []
    for output in (contract.OUTPUT_ALARM_CHANGES_TOPIC, contract.OUTPUT_ATTENTION_TOPIC):
        urls[output] = sqs.create_queue(QueueName=f"told-{output}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=urls[output], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": arn}]}
        sqs.set_queue_attributes(QueueUrl=urls[output], Attributes={"Policy": json.dumps(policy)})
        topic = watched.account.outputs[f"{PREFIX}-{contract.STACK_MONITORING}.{output}"]
        subscribed.append(sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"])
    heard: dict[str, list[dict[str, Any]]] = {output: [] for output in urls}

    def read(output: str) -> list[dict[str, Any]]:
        while messages := sqs.receive_message(QueueUrl=urls[output], MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                heard[output].append(json.loads(json.loads(message["Body"])["Message"]))
                sqs.delete_message(QueueUrl=urls[output], ReceiptHandle=message["ReceiptHandle"])
        return heard[output]

    yield read
    for each in subscribed:
        sns.unsubscribe(SubscriptionArn=each)
    for url in urls.values():
        sqs.delete_queue(QueueUrl=url)


@pytest.mark.slow
def test_every_alarm_goes_on_and_off_again_and_people_hear_of_one(
    watched: Watched, told: Callable[[str], list[dict[str, Any]]]
) -> None:
    account = watched.account
    account.admin.reset_jobs()
    _empty_queues(watched)
    quiet = {alarm_name(PREFIX, spec.name) for spec in ALARMS}
    _wait_for_states(watched, quiet, "OK", timeout_s=120)
    told(contract.OUTPUT_ALARM_CHANGES_TOPIC).clear()
    told(contract.OUTPUT_ATTENTION_TOPIC).clear()

    account.admin.pause_schedules()  # the controller is silent, and says no noughts in between
    try:
        _wait_for_states(watched, quiet, "ALARM", timeout_s=90, meanwhile=lambda: _make_trouble(watched))
        _wait_for_states(watched, {alarm_name(PREFIX, COMPOSITE)}, "ALARM")
    finally:
        account.admin.pause_schedules(paused=False)
        _empty_queues(watched)
    _wait_for_states(watched, quiet | {alarm_name(PREFIX, COMPOSITE)}, "OK", timeout_s=120)

    def all_told() -> bool:
        said = {(each["AlarmName"], each["NewStateValue"]) for each in told(contract.OUTPUT_ALARM_CHANGES_TOPIC)}
        return said >= {(name, state) for name in quiet for state in ("ALARM", "OK")}

    eventually(all_told, "every alarm's ups and downs on the topic")
    pages = [(each["AlarmName"], each["NewStateValue"]) for each in told(contract.OUTPUT_ATTENTION_TOPIC)]
    assert pages == [(alarm_name(PREFIX, COMPOSITE), "ALARM"), (alarm_name(PREFIX, COMPOSITE), "OK")]


def _make_trouble(watched: Watched) -> None:
    """A breaching value for every alarm that asks for one, and a message in both queues."""
    data = [
        {
            "MetricName": spec.metric,
            "Dimensions": [{"Name": "Stack", "Value": PREFIX}],
            "Value": spec.threshold,
        }
        for spec in ALARMS
        if spec.queue is None and not spec.below
    ]
    watched.account.client("cloudwatch").put_metric_data(Namespace=contract.METRIC_NAMESPACE, MetricData=data)
    for url in _queue_urls(watched):
        attributes = watched.account.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        if attributes["Attributes"]["ApproximateNumberOfMessages"] == "0":
            watched.account.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps({"from": "a test"}))


def _queue_urls(watched: Watched) -> list[str]:
    outputs = watched.account.outputs
    return [outputs[f"{PREFIX}-Events.{name}"] for name in ("FailedEventsQueueUrl", "UndeliveredQueueUrl")]


def _empty_queues(watched: Watched) -> None:
    for url in _queue_urls(watched):
        watched.account.client("sqs").purge_queue(QueueUrl=url)


def _wait_for_states(
    watched: Watched,
    names: set[str],
    state: str,
    *,
    timeout_s: float = 30.0,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """Each of the alarms has been seen in the state since we began to wait."""
    seen: set[str] = set()

    def all_seen() -> bool:
        meanwhile()
        answer = watched.account.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        both = [*answer["MetricAlarms"], *answer["CompositeAlarms"]]
        seen.update(each["AlarmName"] for each in both if each["StateValue"] == state)
        return seen >= names

    try:
        eventually(all_seen, f"alarms in {state}", timeout_s=timeout_s)
    except AssertionError as error:
        raise AssertionError(f"never in {state}: {sorted(names - seen)}") from error


def _alarms(watched: Watched) -> dict[str, dict[str, Any]]:
    """Those of the monitoring stack as they are deployed, by name."""
    names = {alarm_name(PREFIX, spec.name) for spec in ALARMS}
    found = watched.account.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm"])["MetricAlarms"]
    return {each["AlarmName"]: each for each in found if each["AlarmName"] in names}


def _listed(watched: Watched, namespace: str) -> set[Series]:
    found = watched.account.client("cloudwatch").list_metrics(Namespace=namespace)["Metrics"]
    return {
        (each["MetricName"], tuple(sorted((one["Name"], one["Value"]) for one in each["Dimensions"]))) for each in found
    }


def test_the_alarms_are_deployed_as_they_are_declared(deployed: TestAccount) -> None:
    watched = Watched(product=Product(account=deployed), since_ms=0)
    found = _alarms(watched)

    for spec in ALARMS:
        alarm = found[alarm_name(PREFIX, spec.name)]
        assert (alarm["Threshold"], alarm["Period"]) == (spec.threshold, spec.period_s)
        assert (alarm["EvaluationPeriods"], alarm.get("DatapointsToAlarm")) == (spec.periods, spec.periods)
        assert _statistic(alarm) == spec.statistic


def _statistic(alarm: dict[str, Any]) -> str:
    return str(alarm.get("ExtendedStatistic") or alarm["Statistic"])


@pytest.mark.parametrize(("metric", "path"), ELSEWHERE.items())
def test_what_these_runs_do_not_bring_about_is_shown_where_it_is_said_to_be(metric: str, path: str) -> None:
    (constant,) = [name for name, value in vars(events).items() if value == metric and name.startswith("METRIC_")]

    assert f"events.{constant}" in (ROOT / path).read_text()


def test_facts_of_alarms_are_named_once() -> None:
    names = [spec.name for spec in ALARMS]

    assert len(set(names)) == len(names)
    assert all(isinstance(spec, AlarmSpec) and bool(spec.metric) is (spec.queue is None) for spec in ALARMS)

"""Alarms, dashboard and saved queries: they quote what is emitted, and somebody hears of every alarm."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from spotproof import contract, events
from spotproof.checkpoints.policy import CAP_S
from spotproof.metrics import EVENT_METRICS, LIFECYCLES
from spotproof.retries import RetryPolicy
from stacks.monitoring.alarms import ALARMS, COMPOSITE, alarm_name
from stacks.monitoring.queries import QUERIES
from stacks.monitoring.rows import NOT_DRAWN, ROWS, Graph, Table
from tests.stacks.assembly import Assembly, Json, synthesise
from tests.tidy.repository import ROOT

METRICS_FREE = 50  # of a dashboard: beyond, it is not one of the three that cost nothing
ALARMS_FREE = 10
SERIES_MAX = 60
ALARM = "AWS::CloudWatch::Alarm"


def alarms_of(assembly: Assembly) -> dict[str, Json]:
    """The stack's alarms by name; those of game days have others."""
    found = [
        each["Properties"] for each in assembly.template("Monitoring")["Resources"].values() if each["Type"] == ALARM
    ]
    return {each["AlarmName"]: each for each in found}


def body(assembly: Assembly) -> Json:
    """The dashboard, with references put as text."""
    joined = assembly.only("AWS::CloudWatch::Dashboard")["DashboardBody"]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else json.dumps(part).replace('"', "'") for part in joined)
    parsed: Json = json.loads(text)
    return parsed


def drawn(assembly: Assembly) -> Iterator[list[Any]]:
    """Every metric of every graph: namespace, name, dimension names and values; and options at the end."""
    for widget in body(assembly)["widgets"]:
        yield from widget["properties"].get("metrics", [])


def emitted() -> set[str]:
    """Every metric that the product has a name for."""
    return {value for name, value in vars(events).items() if name.startswith("METRIC_")}


# --- alarms ------------------------------------------------------------------------------------------------------


def test_there_are_about_a_dozen_alarms_and_each_is_called_by_prefix_and_name(
    assembly: Assembly, second: Assembly
) -> None:
    assert len(ALARMS) == 13
    for app, prefix in ((assembly, "Spotproof"), (second, "Trial")):
        assert set(alarms_of(app)) == {alarm_name(prefix, spec.name) for spec in ALARMS}


def test_every_alarm_tells_both_ways_and_says_where_to_read_what_to_do(assembly: Assembly) -> None:
    changes = assembly.outputs("Monitoring")[contract.OUTPUT_ALARM_CHANGES_TOPIC]["Value"]

    for name, alarm in alarms_of(assembly).items():
        short = name.removeprefix("Spotproof-")
        assert alarm["AlarmActions"] == alarm["OKActions"] == [changes]
        assert alarm["AlarmDescription"].endswith(f"What to do: docs/operating.md, {short}.")


def test_alarms_look_at_our_metrics_of_this_stack_or_at_the_queues_of_lost_events(
    assembly: Assembly, second: Assembly
) -> None:
    for app, prefix in ((assembly, "Spotproof"), (second, "Trial")):
        queues = 0
        for alarm in alarms_of(app).values():
            dimensions = {each["Name"]: each["Value"] for each in alarm["Dimensions"]}
            if alarm["Namespace"] == contract.METRIC_NAMESPACE:
                assert dimensions == {"Stack": prefix}
                assert alarm["MetricName"] in emitted()
            else:
                assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
                queues += 1
        assert queues == 2


def test_silence_is_an_alarm_of_the_controller_only(assembly: Assembly) -> None:
    treated = {name: alarm["TreatMissingData"] for name, alarm in alarms_of(assembly).items()}

    assert treated.pop("Spotproof-ControllerSilent") == "breaching"
    assert set(treated.values()) == {"notBreaching"}


def test_one_worker_whose_saves_all_fail_is_enough_for_the_alarm() -> None:
    """A failed save is followed by another one after an interval, and each takes as long as AWS is asked again."""
    (spec,) = [each for each in ALARMS if each.metric == events.METRIC_CHECKPOINT_FAILURES]

    assert spec.period_s * spec.periods // (CAP_S + RetryPolicy().patience_s) >= spec.threshold


def test_one_worker_whose_saves_take_ten_minutes_has_one_in_every_period_of_the_alarm() -> None:
    """Periods without a save are no breach, so shorter ones would never breach in a row."""
    (spec,) = [each for each in ALARMS if each.metric == events.METRIC_CHECKPOINT_MS]

    assert spec.periods > 1
    assert spec.period_s >= 600 + CAP_S


def test_one_alarm_stands_for_all_and_people_hear_of_that_one(assembly: Assembly) -> None:
    composite = assembly.only("AWS::CloudWatch::CompositeAlarm")
    attention = assembly.outputs("Monitoring")[contract.OUTPUT_ATTENTION_TOPIC]["Value"]
    rule = json.dumps(composite["AlarmRule"])
    logical_ids = [name for name, each in assembly.template("Monitoring")["Resources"].items() if each["Type"] == ALARM]

    assert composite["AlarmName"] == alarm_name("Spotproof", COMPOSITE)
    assert composite["AlarmActions"] == composite["OKActions"] == [attention]
    assert all(f'"{logical_id}"' in rule for logical_id in logical_ids)
    assert rule.count("ALARM(") == len(ALARMS)


def test_only_alarms_of_this_account_publish_and_only_over_tls(assembly: Assembly) -> None:
    policies = assembly.properties("AWS::SNS::TopicPolicy")

    assert len(policies) == len(assembly.properties("AWS::SNS::Topic")) == 2
    for policy in policies:
        denied, allowed = sorted(policy["PolicyDocument"]["Statement"], key=lambda each: each["Effect"], reverse=True)
        assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert allowed["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert allowed["Action"] == "sns:Publish"
        assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_whoever_is_given_as_alarm_email_gets_the_one_message(
    assembly: Assembly, tmp_path_factory: pytest.TempPathFactory
) -> None:
    told = synthesise(tmp_path_factory.mktemp("told"), alarm_email="team@example.com")

    subscription = told.only("AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "team@example.com")
    assert subscription["TopicArn"] == told.outputs("Monitoring")[contract.OUTPUT_ATTENTION_TOPIC]["Value"]
    assert assembly.properties("AWS::SNS::Subscription") == []


# --- dashboard ---------------------------------------------------------------------------------------------------


def test_the_dashboard_answers_six_questions_one_below_the_other(assembly: Assembly) -> None:
    texts = [each for each in body(assembly)["widgets"] if each["type"] == "text"]

    assert [each["properties"]["markdown"].splitlines()[0] for each in texts] == [f"## {row.asks}" for row in ROWS]
    assert len(ROWS) == 6
    assert sorted(each["y"] for each in texts) == [each["y"] for each in texts]


def test_the_dashboard_stays_one_of_those_that_cost_nothing(assembly: Assembly) -> None:
    distinct = {json.dumps([part for part in each if not isinstance(part, dict)]) for each in drawn(assembly)}

    assert 30 < len(distinct) <= METRICS_FREE


def test_what_the_dashboard_draws_of_ours_is_of_this_stack_and_emitted(assembly: Assembly, second: Assembly) -> None:
    for app, prefix in ((assembly, "Spotproof"), (second, "Trial")):
        ours = [each for each in drawn(app) if each[0] == contract.METRIC_NAMESPACE]
        for _, name, *rest in ours:
            dimensions = dict(zip(rest[:-1:2], rest[1:-1:2], strict=True))
            assert name in emitted()
            assert dimensions["Stack"] == prefix
            assert set(dimensions) <= {"Stack", "Lifecycle"}


def test_every_metric_is_drawn_or_listed_as_not_drawn(assembly: Assembly) -> None:
    on_graphs = {each[1] for each in drawn(assembly) if each[0] == contract.METRIC_NAMESPACE}

    assert on_graphs | set(NOT_DRAWN) == emitted()
    assert not on_graphs & set(NOT_DRAWN)


def test_the_functions_the_queues_and_the_table_are_drawn_by_what_aws_measures(assembly: Assembly) -> None:
    native = {(each[0], each[1]) for each in drawn(assembly) if each[0] != contract.METRIC_NAMESPACE}
    errors = [each for each in drawn(assembly) if each[:2] == ["AWS/Lambda", "Errors"]]

    assert native == {
        ("AWS/Lambda", "Errors"),
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
        ("AWS/DynamoDB", "ReadThrottleEvents"),
        ("AWS/DynamoDB", "WriteThrottleEvents"),
    }
    assert len(errors) == 4  # of what the controller does not repeat, and its own


def test_tables_on_the_dashboard_ask_the_saved_queries(assembly: Assembly) -> None:
    tables = [each for row in ROWS for each in row.shows if isinstance(each, Table)]
    logged = [each for each in body(assembly)["widgets"] if each["type"] == "log"]
    texts = {query.name: query.text for query in QUERIES}

    assert len(logged) == len(tables) == 3
    for table, widget in zip(tables, logged, strict=True):
        assert widget["properties"]["query"].endswith(texts[table.query])


def unit_of(metric: str) -> str:
    """As the constant's name ends; what ends otherwise is a count."""
    (name,) = [name for name, value in vars(events).items() if value == metric and name.startswith("METRIC_")]
    ending = name.rpartition("_")[2]
    return ending if ending in ("MS", "S", "USD", "BYTES") else ""


def test_lines_of_one_axis_have_one_unit() -> None:
    """Three failures beside 60,000 ms are a line at the bottom."""
    graphs = [each for row in ROWS for each in row.shows if isinstance(each, Graph)]

    for graph in graphs:
        for right in (False, True):
            assert len({unit_of(line.metric) for line in graph.lines if line.right is right}) <= 1, graph.title


def test_what_is_of_another_size_is_on_the_axis_at_the_right(assembly: Assembly) -> None:
    right = {each[1] for each in drawn(assembly) if isinstance(each[-1], dict) and each[-1].get("yAxis") == "right"}

    assert right == {
        events.METRIC_RECORDS_COMMITTED,
        events.METRIC_CHECKPOINT_FAILURES,
        events.METRIC_RUN_S,
    }


def test_every_row_draws_something(assembly: Assembly) -> None:
    assert all(any(isinstance(each, Graph) for each in row.shows) and len(row.shows) <= 4 for row in ROWS)


# --- queries -----------------------------------------------------------------------------------------------------


def test_queries_are_saved_below_the_prefix_for_the_logs_they_read(assembly: Assembly, second: Assembly) -> None:
    for app, prefix in ((assembly, "Spotproof"), (second, "Trial")):
        saved = {each["Name"]: each for each in app.properties("AWS::Logs::QueryDefinition")}

        assert set(saved) == {f"{prefix}/{query.name}" for query in QUERIES}
        for query in QUERIES:
            groups = saved[f"{prefix}/{query.name}"]["LogGroupNames"]
            assert len(groups) == (1 if query.logs == "workers" else 7)


def test_queries_quote_event_names_of_the_vocabulary() -> None:
    known = {value for name, value in vars(events).items() if name.isupper() and not name.startswith("METRIC_")}

    for query in QUERIES:
        asked = re.search(r'^filter (?:event|message) (?:= ("\w+")|in \[(.+)\])', query.text)
        if asked is None:
            assert query.name == "trouble"  # of whatever name
            continue
        names = re.findall(r'"(\w+)"', asked.group(1) or asked.group(2))
        assert names
        assert set(names) <= known


def test_functions_are_traced(assembly: Assembly) -> None:
    functions = [
        each for each in assembly.properties("AWS::Lambda::Function") if each["Handler"].startswith("lambdas.")
    ]

    assert len(functions) == 7
    assert {each["TracingConfig"]["Mode"] for each in functions} == {"Active"}


def test_no_deployment_can_have_more_than_sixty_series() -> None:
    """Whatever runs on it: each metric once, and some a second time by each lifecycle."""
    apart = {metric.name for given in EVENT_METRICS.values() for metric in given if metric.by_lifecycle}

    assert len(emitted()) + len(apart) * len(LIFECYCLES) <= SERIES_MAX


def test_metrics_of_workers_are_names_of_the_vocabulary() -> None:
    assert {metric.name for given in EVENT_METRICS.values() for metric in given} <= emitted()


def test_what_monitoring_costs_when_nothing_runs_is_less_than_a_dollar_a_month(assembly: Assembly) -> None:
    """Prices of us-east-1: an alarm $0.10 beyond ten, a composite $0.50, three dashboards free."""
    alarms = len(assembly.properties(ALARM))
    composites = len(assembly.properties("AWS::CloudWatch::CompositeAlarm"))
    dashboards = len(assembly.properties("AWS::CloudWatch::Dashboard"))

    assert dashboards <= 3
    assert 0.10 * max(0, alarms - ALARMS_FREE) + 0.50 * composites < 1.0


# --- documentation -----------------------------------------------------------------------------------------------


def rows_of(heading: str) -> list[list[str]]:
    """Cells of the table below a heading of docs/monitoring.md."""
    section = (ROOT / "docs" / "monitoring.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| `")
    ]


def test_the_page_lists_every_metric_and_those_that_are_told_apart_by_lifecycle() -> None:
    listed = [cells[0] for cells in rows_of("Metrics")]
    twice = {metric.name for given in EVENT_METRICS.values() for metric in given if metric.by_lifecycle}

    assert {name.strip("`*") for name in listed} == emitted()
    assert {name.strip("`*") for name in listed if name.endswith("*")} == twice
    assert len(listed) == len(set(listed))


def test_the_page_lists_every_alarm_and_what_it_looks_at() -> None:
    listed = {cells[0].strip("`"): cells[1] for cells in rows_of("Alarms")}

    assert list(listed) == [spec.name for spec in ALARMS]
    assert all(f"`{spec.metric}`" in listed[spec.name] for spec in ALARMS if spec.metric)


def test_the_page_lists_every_saved_query_with_its_question() -> None:
    assert {cells[0].strip("`"): cells[1] for cells in rows_of("Saved queries")} == {
        query.name: query.asks for query in QUERIES
    }

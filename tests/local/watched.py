"""The product while it is watched: what it logs and emits, in which state its alarms are, and what they tell people."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from spotproof import contract
from stacks.monitoring.alarms import ALARMS, COMPOSITE, Queue, alarm_name
from tests.local.account import TestAccount, eventually
from tests.local.product import Product

PREFIX = contract.DEFAULT_STACK_PREFIX
COMPOSITE_NAME = alarm_name(PREFIX, COMPOSITE)
ALARM_NAMES = frozenset(alarm_name(PREFIX, spec.name) for spec in ALARMS)
TOPICS = (contract.OUTPUT_ALARM_CHANGES_TOPIC, contract.OUTPUT_ATTENTION_TOPIC)
QUEUE_OUTPUTS = {Queue.FAILED: "FailedEventsQueueUrl", Queue.UNDELIVERED: "UndeliveredQueueUrl"}
SEND = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}

Series = tuple[str, tuple[tuple[str, str], ...]]  # name, dimensions
Line = dict[str, Any]
Change = tuple[str, str]  # name of an alarm, its new state


@dataclass
class Ears:
    """Hears what is said on both topics, from when it is opened."""

    account: TestAccount
    heard: dict[str, list[Change]] = field(default_factory=lambda: {output: [] for output in TOPICS})
    _urls: dict[str, str] = field(default_factory=dict)
    _subscribed: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        sqs, sns = self.account.client("sqs"), self.account.client("sns")
        for output in TOPICS:
            self._urls[output] = url = sqs.create_queue(QueueName=f"told-{output}")["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            policy = {"Version": "2012-10-17", "Statement": [{**SEND, "Resource": arn}]}
            sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
            topic = self.account.outputs[f"{PREFIX}-{contract.STACK_MONITORING}.{output}"]
            self._subscribed.append(sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)["SubscriptionArn"])
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._subscribed:
            self.account.client("sns").unsubscribe(SubscriptionArn=each)
        for url in self._urls.values():
            self.account.client("sqs").delete_queue(QueueUrl=url)

    def told(self, output: str) -> list[Change]:
        """All that was said on the topic so far, in order."""
        sqs, url = self.account.client("sqs"), self._urls[output]
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in messages:
                said = json.loads(json.loads(message["Body"])["Message"])
                self.heard[output].append((said["AlarmName"], said["NewStateValue"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return self.heard[output]


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The product while things happen to it, and since when."""

    product: Product
    since_ms: int
    ears: Ears

    @property
    def account(self) -> TestAccount:
        return self.product.account

    # --- what it logs and emits ----------------------------------------------------------------------------------

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

    def listed(self, namespace: str) -> set[Series]:
        """Every metric that CloudWatch has in the namespace."""
        found = self.account.client("cloudwatch").list_metrics(Namespace=namespace)["Metrics"]
        return {
            (each["MetricName"], tuple(sorted((one["Name"], one["Value"]) for one in each["Dimensions"])))
            for each in found
        }

    def wait_for_line(self, group_of: str, event: str, **fields: Any) -> None:
        """Wait until a function logged the event; `group_of`: a saved query that reads its log group."""
        groups = list(self.saved_queries()[group_of]["logGroupNames"])

        def found() -> bool:
            return any(
                line.get("message") == event and all(line.get(name) == value for name, value in fields.items())
                for line in self.lines(groups)
            )

        eventually(found, f"{event} {fields}", timeout_s=60)

    # --- its alarms ----------------------------------------------------------------------------------------------

    def alarms(self) -> dict[str, dict[str, Any]]:
        """Those of the monitoring stack as they are deployed, by name; without the composite."""
        found = self.account.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm"])["MetricAlarms"]
        return {each["AlarmName"]: each for each in found if each["AlarmName"] in ALARM_NAMES}

    def wait_until_quiet(self, *, timeout_s: float = 120.0) -> None:
        """Wait until no alarm is on: values of up to half an hour, on the accelerated clock, must pass."""
        on: list[str] = []

        def quiet() -> bool:
            answer = self.account.client("cloudwatch").describe_alarms(AlarmTypes=["MetricAlarm", "CompositeAlarm"])
            both = [*answer["MetricAlarms"], *answer["CompositeAlarms"]]
            ours = {each["AlarmName"]: each["StateValue"] for each in both}
            on[:] = [name for name in {*ALARM_NAMES, COMPOSITE_NAME} if ours[name] != "OK"]
            return not on

        try:
            eventually(quiet, "no alarm", timeout_s=timeout_s)
        except AssertionError as error:
            raise AssertionError(f"still on: {sorted(on)}") from error

    def wait_for_alarms(self, *names: str, timeout_s: float = 60.0, meanwhile: Callable[[], object] = bool) -> None:
        """Wait until each of the alarms, by short name, has said that it is on. `meanwhile` is called again and again."""
        wanted = {(alarm_name(PREFIX, name), "ALARM") for name in names}

        def all_on() -> bool:
            meanwhile()
            return wanted <= set(self.ears.told(contract.OUTPUT_ALARM_CHANGES_TOPIC))

        eventually(all_on, f"the alarms {', '.join(names)}", timeout_s=timeout_s)

    # --- the queues of lost events -------------------------------------------------------------------------------

    @cached_property
    def queue_urls(self) -> dict[Queue, str]:
        return {queue: self.account.outputs[f"{PREFIX}-Events.{output}"] for queue, output in QUEUE_OUTPUTS.items()}

    def empty_queues(self) -> None:
        for url in self.queue_urls.values():
            self.account.client("sqs").purge_queue(QueueUrl=url)

    def a_round(self) -> None:
        """Let the controller make a round now, and wait for its end."""
        since = self.account.last_event()
        self.account.admin.fire_schedule("Controller")
        self.account.admin.wait_for_event(
            "lambda.succeeded", since=since, timeout_s=60, where=lambda entry: "Controller" in entry["function"]
        )

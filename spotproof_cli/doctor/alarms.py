"""Checks of what tells people: alarms, and who hears of them."""

from collections.abc import Sequence
from typing import Final

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.retries import error_code
from spotproof_cli.doctor.handlers import RUNBOOK
from spotproof_cli.doctor.stacks import DEPLOY
from spotproof_cli.doctor.subject import Check, Subject
from spotproof_cli.doctor.verdict import Verdict, fail, ok, warn

ALARMS_PAGE: Final = 100  # names in one request
PENDING: Final = "PendingConfirmation"  # instead of an ARN


def _alarms(subject: Subject) -> Sequence[Verdict]:
    kinds = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
    names = [each.physical_id for each in subject.resources_anywhere(*kinds)]
    verdicts: list[Verdict] = []
    known: set[str] = set()
    for start in range(0, len(names), ALARMS_PAGE):
        answer = subject.call(
            "reading the alarms",
            subject.clients.cloudwatch.describe_alarms,
            AlarmNames=names[start : start + ALARMS_PAGE],
            AlarmTypes=["MetricAlarm", "CompositeAlarm"],
            MaxRecords=ALARMS_PAGE,
        )
        for alarm in (*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())):
            known.add(alarm["AlarmName"])
            if alarm["StateValue"] == "ALARM":
                text = f"{alarm['AlarmName']}: {alarm.get('StateReason', '')}"
                section = alarm["AlarmName"].removeprefix(f"{subject.prefix}-").lower()
                verdicts.append(fail(text, fix=f"see {RUNBOOK}#{section}"))
    verdicts += [fail(f"the alarm {name} is gone", fix=DEPLOY) for name in names if name not in known]
    return verdicts or [ok(f"{len(names)} alarms, none raised")]


def _alarm_mail(subject: Subject) -> Sequence[Verdict]:
    """SNS sends nothing to an address before its owner has followed the link of the first mail."""
    topic = subject.output(contract.STACK_MONITORING, contract.OUTPUT_ATTENTION_TOPIC)
    try:
        answer = subject.call(
            "reading who hears of alarms", subject.clients.sns.list_subscriptions_by_topic, TopicArn=topic
        )
    except ClientError as error:
        if error_code(error) != "NotFound":
            raise
        return [fail(f"the topic {topic} is gone: nobody hears of alarms", fix=DEPLOY)]
    found = answer.get("Subscriptions", ())
    if not found:
        return [ok("nobody asked to be told: alarms show here and on the dashboard (-c alarm_email=…)")]
    waiting = [each.get("Endpoint", "") for each in found if each.get("SubscriptionArn") == PENDING]
    return [
        warn(
            f"{who} has not confirmed the subscription: alarms do not arrive", fix="follow the link in AWS's mail to it"
        )
        for who in waiting
    ] or [ok(f"{len(found)} confirmed")]


_MONITORING: Final = (contract.STACK_MONITORING,)
CHECKS: Final = (
    Check(
        name="alarms",
        claim="no alarm is raised",
        examine=_alarms,
        actions=("cloudwatch:DescribeAlarms",),
        needs=_MONITORING,
    ),
    Check(
        name="alarm-mail",
        claim="whoever asked for alarms by mail gets them",
        examine=_alarm_mail,
        actions=("sns:ListSubscriptionsByTopic",),
        needs=_MONITORING,
    ),
)

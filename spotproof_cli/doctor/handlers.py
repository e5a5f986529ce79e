"""Checks of what reacts: rules, functions and their errors, queues of given-up events."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.clock import from_epoch_ms, to_epoch_ms
from spotproof.errors import AwsMissingError
from spotproof.retries import error_code
from spotproof_cli.doctor.stacks import DEPLOY
from spotproof_cli.doctor.subject import Check, Subject
from spotproof_cli.doctor.verdict import Verdict, fail, ok, warn

RUNBOOK: Final = "docs/operating.md"
ERRORS_WITHIN: Final = timedelta(hours=1)
ERROR_PAGES_MAX: Final = 5
ERROR_WORDS: Final = ("ERROR", "Task timed out", "Runtime exited")  # of the functions, and of Lambda about them
_FUNCTION: Final = "AWS::Lambda::Function"
_GONE: Final = frozenset({"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"})


def _rules(subject: Subject) -> Sequence[Verdict]:
    rules = [each.physical_id for each in subject.resources(contract.STACK_EVENTS, "AWS::Events::Rule")]
    verdicts = [verdict for rule in rules for verdict in _rule(subject, rule)]
    return verdicts or [ok(f"{len(rules)} enabled")]


def _rule(subject: Subject, rule: str) -> Iterator[Verdict]:
    bus, _, name = rule.rpartition("|")
    where = {"EventBusName": bus} if bus else {}
    events = subject.clients.events
    try:
        described = subject.call(f"reading the rule {name}", events.describe_rule, Name=name, **where)
    except AwsMissingError:
        yield fail(f"the rule {name} is gone: its events reach nobody", fix=DEPLOY)
        return
    if described.get("State") == "DISABLED":
        yield fail(f"the rule {name} is disabled: its events reach nobody", fix=f"aws events enable-rule --name {name}")
    answer = subject.call(f"reading the targets of {name}", events.list_targets_by_rule, Rule=name, **where)
    targets = answer.get("Targets", [])
    if not targets:
        yield fail(f"the rule {name} has no target", fix=DEPLOY)
    if any("DeadLetterConfig" not in each for each in targets):
        yield warn(f"what the rule {name} can't deliver is lost: a target has no queue for it", fix=DEPLOY)


def _functions(subject: Subject) -> Sequence[Verdict]:
    names = [each.physical_id for each in subject.resources(contract.STACK_EVENTS, _FUNCTION)]
    verdicts = [verdict for name in names for verdict in _function(subject, name)]
    return verdicts or [ok(f"{len(names)} ready")]


def _function(subject: Subject, name: str) -> Iterator[Verdict]:
    try:
        answer = subject.call(f"reading the function {name}", subject.clients.lambda_.get_function, FunctionName=name)
    except AwsMissingError:
        yield fail(f"the function {name} is gone", fix=DEPLOY)
        return
    settings = answer["Configuration"]
    if settings.get("State") == "Failed" or settings.get("LastUpdateStatus") == "Failed":
        reason = settings.get("StateReason") or settings.get("LastUpdateStatusReason") or "no reason told"
        yield fail(f"the function {name} can't run: {reason}", fix=f"mend that, then {DEPLOY}")
    if answer.get("Concurrency", {}).get("ReservedConcurrentExecutions") == 0:
        fix = f"aws lambda delete-function-concurrency --function-name {name}"
        yield fail(f"the function {name} is switched off: its reserved concurrency is 0", fix=fix)


def _function_errors(subject: Subject) -> Sequence[Verdict]:
    """One error is retried and may be over; it is named so that nobody has to look for it."""
    verdicts = []
    for function in subject.resources(contract.STACK_EVENTS, _FUNCTION):
        group = _log_group(subject, function.physical_id)
        last = None if group is None else _last_error(subject, group)
        if last is not None:
            at_ms, text = last
            said = f"{function.logical_id} at {from_epoch_ms(at_ms):%H:%M:%S} UTC: {' '.join(text.split())[:300]}"
            verdicts.append(warn(said, fix=f"see {RUNBOOK}, and its log: aws logs tail {group}"))
    return verdicts or [ok(f"none within {ERRORS_WITHIN.total_seconds() / 60:.0f} minutes")]


def _log_group(subject: Subject, function: str) -> str | None:
    """Where the function logs, None if it is gone."""
    doing = f"reading the function {function}"
    try:
        settings = subject.call(doing, subject.clients.lambda_.get_function_configuration, FunctionName=function)
    except AwsMissingError:
        return None
    return settings.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{function}"


def _last_error(subject: Subject, log_group: str) -> tuple[int, str] | None:
    """Moment and text of the newest error line, None without one."""
    since_ms = to_epoch_ms(subject.clock.now() - ERRORS_WITHIN)
    pattern = " ".join(f'?"{words}"' for words in ERROR_WORDS)
    found: list[tuple[int, str]] = []
    token: dict[str, str] = {}
    for _ in range(ERROR_PAGES_MAX):
        try:
            answer = subject.call(
                f"reading the log {log_group}",
                subject.clients.logs.filter_log_events,
                logGroupName=log_group,
                startTime=since_ms,
                filterPattern=pattern,
                **token,
            )
        except AwsMissingError:  # nothing was ever logged
            break
        lines = [(each.get("timestamp", 0), each.get("message", "")) for each in answer["events"]]
        found += [line for line in lines if any(words in line[1] for words in ERROR_WORDS)]
        if not answer.get("nextToken"):
            break
        token = {"nextToken": answer["nextToken"]}
    return max(found, default=None)


def _dead_letters(subject: Subject) -> Sequence[Verdict]:
    queues = [each.physical_id for each in subject.resources_anywhere("AWS::SQS::Queue")]
    verdicts = [verdict for url in queues for verdict in _queue(subject, url)]
    return verdicts or [ok(f"{len(queues)} queues, all empty")]


def _queue(subject: Subject, url: str) -> Iterator[Verdict]:
    name = url.rpartition("/")[2]
    try:
        answer = subject.call(
            f"counting the messages of {name}",
            subject.clients.sqs.get_queue_attributes,
            QueueUrl=url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )
    except ClientError as error:
        if error_code(error) not in _GONE:
            raise
        yield fail(f"the queue {name} is gone: events that are given up are lost", fix=DEPLOY)
        return
    messages = sum(int(number) for number in answer.get("Attributes", {}).values())
    if messages:
        look = f"aws sqs receive-message --queue-url {url} --message-attribute-names All"
        text = f"{messages} events were given up ({name})"
        yield fail(text, fix=f"read one ({look}), mend the cause, then purge the queue: {RUNBOOK}")


_EVENTS: Final = (contract.STACK_EVENTS,)
CHECKS: Final = (
    Check(
        name="rules",
        claim="every rule is enabled and has a target, and a queue for what it can't deliver",
        examine=_rules,
        actions=("events:DescribeRule", "events:ListTargetsByRule"),
        needs=_EVENTS,
    ),
    Check(
        name="functions",
        claim="every function is there and may run",
        examine=_functions,
        actions=("lambda:GetFunction",),
        needs=_EVENTS,
    ),
    Check(
        name="function-errors",
        claim="no function logged an error within the last hour",
        examine=_function_errors,
        actions=("logs:FilterLogEvents", "lambda:GetFunctionConfiguration"),
        needs=_EVENTS,
    ),
    Check(
        name="dead-letters",
        claim="no event was given up",
        examine=_dead_letters,
        actions=("sqs:GetQueueAttributes",),
        needs=_EVENTS,
    ),
)

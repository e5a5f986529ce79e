"""Rules for events on their way: rules, targets, and the queues for what could not be delivered."""

from collections.abc import Iterator
from typing import Any, Final

from tools.guard.assembly import Assembly, Json, Resource, as_list
from tools.guard.rule import Rule

RULES: Final = ("AWS::Events::Rule",)
QUEUES: Final = ("AWS::SQS::Queue",)
POLICY: Final = "AWS::SQS::QueuePolicy"
EVENTS: Final = "events.amazonaws.com"
EVERYBODY: Final = ("*", {"AWS": "*"})
RETENTION_S_MIN: Final = 7 * 86_400  # long enough for a week's holiday


def filters_its_source(rule: Resource, _assembly: Assembly) -> Iterator[str]:
    pattern = rule.get("EventPattern")
    if pattern is None:
        if rule.get("ScheduleExpression") is None:
            yield "neither a pattern nor a schedule"
        return
    for field in ("source", "detail-type"):
        values = as_list(pattern.get(field))
        if not values or not all(isinstance(value, str) and "*" not in value for value in values):
            yield f"its pattern does not say which {field}: other people's events would be acted on"
    if "aws.batch" in as_list(pattern.get("source")) and not (pattern.get("detail") or {}).get("jobQueue"):
        yield "its pattern names no jobQueue: jobs of other people's queues would be acted on"


def gives_up_in_time(rule: Resource, _assembly: Assembly) -> Iterator[str]:
    targets = as_list(rule.get("Targets"))
    if not targets:
        yield "no target"
    for target in targets:
        policy = target.get("RetryPolicy") or {}
        for field in ("MaximumEventAgeInSeconds", "MaximumRetryAttempts"):
            if not isinstance(policy.get(field), int):
                yield f"target {target.get('Id')} has no {field}: a notice would be retried for a day"


def keeps_what_it_cannot_deliver(rule: Resource, assembly: Assembly) -> Iterator[str]:
    for target in as_list(rule.get("Targets")):
        queues = _queues_of(target, rule, assembly)
        if not queues:
            yield f"target {target.get('Id')} has no dead-letter queue: what can't be delivered is lost"
        for queue in queues:
            if not any(_lets_in(statement, rule, policy, assembly) for policy, statement in _allows(queue, assembly)):
                yield f"{queue.logical_id} does not let this rule send: what can't be delivered is lost silently"


def may_invoke(rule: Resource, assembly: Assembly) -> Iterator[str]:
    for target in as_list(rule.get("Targets")):
        for function in assembly.referred(target.get("Arn"), by=rule):
            if function.kind == "AWS::Lambda::Function" and not _permitted(function, rule, assembly):
                yield f"{function.logical_id} does not let this rule invoke it"


def _permitted(function: Resource, rule: Resource, assembly: Assembly) -> bool:
    return any(
        permission.get("Principal") == EVENTS
        and assembly.refers_to(permission.get("FunctionName"), function, by=permission)
        and assembly.refers_to(permission.get("SourceArn"), rule, by=permission)
        for permission in assembly.of_kind("AWS::Lambda::Permission")
    )


def _queues_of(target: Json, rule: Resource, assembly: Assembly) -> list[Resource]:
    arn = (target.get("DeadLetterConfig") or {}).get("Arn")
    return [each for each in assembly.referred(arn, by=rule) if each.kind in QUEUES]


def _statements(queue: Resource, assembly: Assembly) -> Iterator[tuple[Resource, Json]]:
    for policy in assembly.of_kind(POLICY):
        if assembly.refers_to(policy.get("Queues"), queue, by=policy):
            for statement in as_list(policy.get("PolicyDocument.Statement")):
                yield policy, statement


def _allows(queue: Resource, assembly: Assembly) -> Iterator[tuple[Resource, Json]]:
    return (pair for pair in _statements(queue, assembly) if pair[1].get("Effect") == "Allow")


def _lets_in(statement: Json, rule: Resource, policy: Resource, assembly: Assembly) -> bool:
    principal: Any = statement.get("Principal")
    services = as_list(principal.get("Service")) if isinstance(principal, dict) else []
    sources = [block.get("aws:SourceArn") for block in (statement.get("Condition") or {}).values()]
    return (
        EVENTS in services
        and "sqs:SendMessage" in as_list(statement.get("Action"))
        and (not sources or assembly.refers_to(sources, rule, by=policy))
    )


def refuses_plain_http(queue: Resource, assembly: Assembly) -> Iterator[str]:
    for _, statement in _statements(queue, assembly):
        plain = ((statement.get("Condition") or {}).get("Bool") or {}).get("aws:SecureTransport")
        whole = statement.get("Principal") in EVERYBODY and "sqs:*" in as_list(statement.get("Action"))
        if statement.get("Effect") == "Deny" and whole and str(plain).lower() == "false":
            return
    yield "its policy does not deny everybody every request without TLS"


def keeps_long_enough(queue: Resource, _assembly: Assembly) -> Iterator[str]:
    seconds = queue.get("MessageRetentionPeriod")
    if not isinstance(seconds, int) or seconds < RETENTION_S_MIN:
        yield f"MessageRetentionPeriod is {seconds}, needs {RETENTION_S_MIN} or more: SQS would drop it after days"


DELIVERY_RULES: Final = (
    Rule(
        name="rule-pattern",
        kinds=RULES,
        demand="a rule says which source and kind of events it means, and of Batch which queues",
        check=filters_its_source,
    ),
    Rule(
        name="target-limits",
        kinds=RULES,
        demand="every target says how old an event may get and how often it is tried",
        check=gives_up_in_time,
    ),
    Rule(
        name="target-dead-letters",
        kinds=RULES,
        demand="every target has a queue for what can't be delivered, and that queue lets the rule in",
        check=keeps_what_it_cannot_deliver,
    ),
    Rule(name="target-permission", kinds=RULES, demand="every target's function lets the rule in", check=may_invoke),
    Rule(name="queue-tls", kinds=QUEUES, demand="no queue answers without TLS", check=refuses_plain_http),
    Rule(
        name="queue-retention",
        kinds=QUEUES,
        demand="what could not be delivered or handled stays at least a week",
        check=keeps_long_enough,
    ),
)

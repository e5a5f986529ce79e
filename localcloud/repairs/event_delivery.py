"""EventBridge as AWS delivers: resource policies, retries, dead letters, and mischief on request."""

import contextvars
import fnmatch
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from localcloud.chaos import ChaosPlan, Mischief
from localcloud.clock import Clock
from localcloud.journal import Journal
from localcloud.reactor import Reactor
from localcloud.seams import Seams

THROTTLE_WAIT_S = 1.0
THROTTLE_WAIT_MAX_S = 300.0
THROTTLED_MAX_S = 6 * 3600.0
THROTTLE_WAIT_FLOOR_REAL_S = 0.1

Dispatch = Callable[..., None]
SendMessage = Callable[[str, str, dict[str, str]], None]  # queue ARN, body, attributes

_delivery: contextvars.ContextVar[tuple[dict[str, Any], dict[str, Any], dict[str, Any]] | None] = (
    contextvars.ContextVar("localcloud_delivery", default=None)
)
# Whether the invocation comes from the function's asynchronous queue; its thread inherits the value.
_queued: contextvars.ContextVar[bool] = contextvars.ContextVar("localcloud_queued", default=False)


class EventDelivery:
    """Stands between the emulator's rules and their Lambda targets."""

    def __init__(
        self,
        *,
        seams: Seams,
        clock: Clock,
        journal: Journal,
        reactor: Reactor,
        chaos: ChaosPlan,
        send_message: SendMessage,
    ) -> None:
        self._clock = clock
        self._seams = seams
        self._journal = journal
        self._reactor = reactor
        self._chaos = chaos
        self._send_message = send_message
        self._dispatch_event: Dispatch = seams.eventbridge._dispatch_event
        self._invoke_target: Dispatch = seams.eventbridge._invoke_target
        self._execute: Callable[..., dict[str, Any]] = seams.lambda_svc._execute_function

    def install(self) -> None:
        """Replace the emulator's delivery."""
        self._seams.eventbridge._dispatch_event = self.dispatch_event
        self._seams.eventbridge._invoke_target = self.invoke_target
        self._seams.eventbridge._dispatch_to_lambda = self.deliver_to_lambda
        self._seams.lambda_svc._execute_function = self.execute

    def dispatch_event(self, event: dict[str, Any], view: Any = None) -> None:
        """Match an event against the rules, after the chaos plan had its say."""
        rule = self._chaos.decide(event)
        note = partial(self._journal.note, event=event["EventId"], detail_type=event["DetailType"])
        if rule is None:
            self._dispatch_event(event, view)
            return
        note("chaos." + str(rule.action), delay_s=rule.delay_real_s, detail=_excerpt(event))
        match rule.action:
            case Mischief.DROP:
                return
            case Mischief.DUPLICATE:
                self._dispatch_event(event, view)
                self._dispatch_event(event, view)
            case Mischief.DELAY:
                late = partial(self._dispatch_later, event, contextvars.copy_context())
                self._reactor.after(rule.delay_real_s, late)

    def _dispatch_later(self, event: dict[str, Any], context: contextvars.Context) -> None:
        threading.Thread(target=context.run, args=(self._dispatch_event, event), name="late-event", daemon=True).start()

    def invoke_target(
        self, target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None
    ) -> None:
        """Deliver to one target, remembering which rule and event it is for."""
        token = _delivery.set((target, event, rule))
        dimensions = {"RuleName": rule.get("Name", "")}
        self._seams.cloudwatch.record_metric("AWS/Events", "MatchedEvents", 1, "Count", dimensions)
        try:
            self._invoke_target(target, event, rule, view)
        finally:
            _delivery.reset(token)

    def deliver_to_lambda(self, arn: str, payload: str) -> None:
        """Hand the event to the function's asynchronous queue, or to the target's dead-letter queue."""
        target, event, rule = _delivery.get() or ({}, {}, {})
        function, config, name = self._seams.lambda_svc._get_func_record_for_ref(arn)
        refused = self._refusal(function, config, rule.get("Arn", ""))
        metric = "FailedInvocations" if refused else "Invocations"
        dimensions = {"RuleName": rule.get("Name", "")}
        self._seams.cloudwatch.record_metric("AWS/Events", metric, 1, "Count", dimensions)
        self._journal.note(
            "delivery.refused" if refused else "delivery.lambda",
            event=event.get("EventId"),
            detail_type=event.get("DetailType"),
            rule=rule.get("Name"),
            function=name,
            error=refused,
        )
        if refused is None:
            record = self._seams.lambda_svc._execution_record_for_config(function, config)
            token = _queued.set(True)
            try:
                self._seams.lambda_svc.invoke_async_with_retry(record, json.loads(payload))
            finally:
                _queued.reset(token)
            return
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if queue:
            attributes = {"ERROR_CODE": refused, "RULE_ARN": rule.get("Arn", ""), "TARGET_ARN": arn}
            self._send_message(queue, payload, attributes)

    def _refusal(self, function: Any, config: Any, rule_arn: str) -> str | None:
        if not function or not config:
            return "RESOURCE_NOT_FOUND"
        found = self._seams.lambda_svc.function_policy_for_arn(config["FunctionArn"])
        policy = found[0] if found else {}
        document = json.loads(policy) if isinstance(policy, str) else policy
        return None if allows_events(document or {}, rule_arn) else "NO_PERMISSIONS"

    def execute(self, record: dict[str, Any], event: Any) -> dict[str, Any]:
        """Run a function once, and note how it went. An event that is throttled waits and uses up no retry."""
        config = record.get("config") or record
        started = self._journal.now()
        result = self._execute(record, event)
        for wait_s in self._throttle_waits(record):
            if not (_queued.get() and isinstance(result, dict) and result.get("throttle")):
                break
            time.sleep(wait_s)
            started = self._journal.now()
            result = self._execute(record, event)
        failed = bool(result.get("error")) if isinstance(result, dict) else False
        if _queued.get():  # the emulator measures those only that somebody waits for
            took_ms = (self._journal.now() - started) * 1000
            throttled = isinstance(result, dict) and bool(result.get("throttle"))
            self._seams.lambda_svc._emit_lambda_metrics(config.get("FunctionName", ""), took_ms, failed, throttled)
        self._journal.note(
            "lambda.failed" if failed else "lambda.succeeded",
            function=config.get("FunctionName"),
            event=event.get("id") if isinstance(event, dict) else None,
            detail_type=event.get("detail-type") if isinstance(event, dict) else None,
            took_ms=round((self._journal.now() - started) * 1000),
            error=_error_of(result) if failed else None,
        )
        return result

    def _throttle_waits(self, record: Mapping[str, Any]) -> Iterator[float]:
        """Real seconds between tries of a throttled event: 1 s, doubling to 5 minutes, for 6 hours (Lambda guide,
        "Asynchronous invocation"), on the accelerated clock. A function reserved no concurrency is not tried again."""
        wait_s, waited_s = THROTTLE_WAIT_S, 0.0
        while record.get("concurrency") != 0 and waited_s < THROTTLED_MAX_S:
            yield max(self._clock.real(wait_s), THROTTLE_WAIT_FLOOR_REAL_S)
            waited_s += wait_s
            wait_s = min(wait_s * 2, THROTTLE_WAIT_MAX_S)


def allows_events(policy: Mapping[str, Any], rule_arn: str) -> bool:
    """Whether a function's resource policy lets EventBridge invoke it for this rule."""
    return any(
        statement.get("Effect") == "Allow"
        and "events.amazonaws.com" in json.dumps(statement.get("Principal", ""))
        and _source_fits(statement.get("Condition") or {}, rule_arn)
        for statement in policy.get("Statement", [])
    )


def _source_fits(condition: Mapping[str, Any], rule_arn: str) -> bool:
    wanted = [value for test in condition.values() for key, value in test.items() if key.lower() == "aws:sourcearn"]
    patterns = [one for value in wanted for one in (value if isinstance(value, list) else [value])]
    return not patterns or any(fnmatch.fnmatchcase(rule_arn, pattern) for pattern in patterns)


def _excerpt(event: Mapping[str, Any]) -> str:
    return str(event.get("Detail", ""))[:200]


def _error_of(result: Mapping[str, Any]) -> str:
    body = result.get("body")
    return str(body.get("errorMessage", body) if isinstance(body, dict) else body)[:300]

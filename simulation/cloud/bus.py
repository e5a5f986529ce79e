"""The account's default event bus: deployed rules, the schedule, and every way an event goes astray."""

import json
import random
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from simulation.cloud.aws_event import ACCOUNT, REGION, service_event
from simulation.cloud.deliveries import Deliveries, FunctionService, Target
from simulation.cloud.forgeries import broken, enriched, strange
from simulation.cloud.own_events import entry_error, event_of
from simulation.faults.book import FaultBook
from simulation.kernel.scheduler import MICROSECONDS, Scheduler
from simulation.kernel.trace import Trace
from spotproof import contract
from stacks.routes import EVENT_ROUTES, EventRoute

FORGED: Final = "E5"
STRANGE: Final = "E6"
ENRICHED: Final = "E7"
BURST: Final = "E11"
ENTRY_REFUSED: Final = "A2 entry refused"  # put_events answers, but an entry failed
FORGED_S_MAX: Final = 60.0
BURST_SIZE: Final = 1_000
SCHEDULED: Final = "Scheduled Event"


class Rule:
    """A deployed rule: a pattern or a schedule, and its target."""

    def __init__(self, route: EventRoute, queue_arns: Sequence[str]) -> None:
        self.name = route.name
        self.every_s = 60 * route.every_minutes
        self.target = Target(
            service=route.handler.split(".")[1],
            age_us_max=route.age_s_max * MICROSECONDS,
            deliveries_max=route.deliveries,
        )
        self._route = route
        self._detail = {name: frozenset(values) for name, values in route.detail(queue_arns).items()}

    def matches(self, event: dict[str, Any]) -> bool:
        if self.every_s or event["source"] != self._route.source or event["detail-type"] != self._route.detail_type:
            return False
        detail = event["detail"]
        return all(detail.get(name) in values for name, values in self._detail.items())


class EventBus:
    """Publishing never fails; delivery is at least once. Also the client surface of EventBridge.

    Faults per matching rule, the function's name being the site: E1 to E4 (see Deliveries), E5 a broken copy besides,
    E6 a stranger's besides, E7 unknown fields, E11 a burst of strangers' spot warnings.
    """

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        trace: Trace,
        rng: random.Random,
        faults: FaultBook,
        functions: FunctionService,
        queue_arns: Sequence[str],
        burst_size: int = BURST_SIZE,
        name: str = "default",
        routes: Sequence[EventRoute] = EVENT_ROUTES,
    ) -> None:
        """`queue_arns`: of the job queues whose events the rules let through."""
        self.rules = tuple(Rule(route, queue_arns) for route in routes)
        self.deliveries = Deliveries(scheduler=scheduler, trace=trace, rng=rng, faults=faults, functions=functions)
        self.published = 0
        self._name = name
        self._scheduler = scheduler
        self._rng = rng
        self._faults = faults
        self._burst_size = burst_size

    def start_schedules(self) -> None:
        """From now on scheduled rules fire, each at its own second of the minute."""
        for rule in self.rules:
            if rule.every_s:
                self._scheduler.after(rule.every_s * self._rng.random(), partial(self._tick, rule))

    def publish(self, event: dict[str, Any]) -> None:
        """An AWS service, or we, put an event on the bus."""
        self.published += 1
        for rule in self.rules:
            if rule.matches(event):
                self._route(rule, event)

    def put_events(self, **request: Any) -> dict[str, Any]:
        """PutEvents of the EventBridge API: entries succeed or fail one by one."""
        answers: list[dict[str, Any]] = []
        for entry in request["Entries"]:
            error = entry_error(entry, self._name)
            if error is None and self._faults.strikes(ENTRY_REFUSED, "events.put_events"):
                error = {"ErrorCode": "InternalFailure", "ErrorMessage": "Internal failure"}
            if error is None:
                event = event_of(entry, self._rng, self._scheduler.now)
                self.publish(event)
                answers.append({"EventId": event["id"]})
            else:
                answers.append(error)
        return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}

    def _route(self, rule: Rule, event: dict[str, Any]) -> None:
        site = rule.target.service
        content = enriched(event, self._rng) if self._faults.strikes(ENRICHED, site) else event
        self._send(rule, content)
        if self._faults.strikes(FORGED, site):
            self._send_besides(rule, broken(event, self._rng), "forged")
        if self._faults.strikes(STRANGE, site):
            self._send_strange(rule, event, "of strangers")
        if rule.target.service == "spot_interruption" and self._faults.strikes(BURST, site):
            for _ in range(self._burst_size):
                self._send_strange(rule, event, "of the burst")

    def _send(self, rule: Rule, event: dict[str, Any]) -> None:
        self.deliveries.send(rule.target, json.dumps(event), subject_of(event))

    def _send_strange(self, rule: Rule, event: dict[str, Any], what: str) -> None:
        stranger = strange(event, self._rng)
        if rule.matches(stranger):
            self._send_besides(rule, stranger, what)

    def _send_besides(self, rule: Rule, content: Any, what: str) -> None:
        delay_s = FORGED_S_MAX * self._rng.random() if what == "forged" else self._rng.random()
        self.deliveries.plan(rule.target, json.dumps(content), what, delay_s)

    def _tick(self, rule: Rule) -> None:
        event = service_event(
            self._rng,
            self._scheduler.now,
            source="aws.events",
            detail_type=SCHEDULED,
            detail={},
            resources=(f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{contract.DEFAULT_STACK_PREFIX}-{rule.name}",),
        )
        self._send(rule, event)
        self._scheduler.after(rule.every_s, partial(self._tick, rule))


def subject_of(event: dict[str, Any]) -> str:
    """What the event is about, in words."""
    detail = event["detail"]
    about = detail.get("instance-id") or detail.get("jobId") or detail.get("run_id") or ""
    state = detail.get("state") or detail.get("status") or ""
    return f"{event['detail-type']} {about} {state}".rstrip()

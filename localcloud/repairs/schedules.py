"""Scheduled rules on the accelerated clock."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from localcloud.clock import Clock
from localcloud.errors import UsageError
from localcloud.seams import Seams

TICK_REAL_S = 0.5


class Schedules:
    """Replaces the emulator's scheduler tick: rates and crons run on simulated time."""

    def __init__(self, *, seams: Seams, clock: Clock) -> None:
        self._seams = seams
        self._clock = clock
        self._fired: dict[tuple[str, str, str], float] = {}  # simulated s since 1970
        self._paused = False

    def install(self) -> None:
        self._seams.eventbridge._tick_scheduled_rules = self.tick
        self._seams.eventbridge._SCHEDULER_TICK_INTERVAL = TICK_REAL_S

    def pause(self, paused: bool) -> None:
        """Stop or go on firing schedules by themselves; `fire` works either way."""
        self._paused = paused

    def tick(self) -> None:
        """Fire every rule that is due."""
        now = self._clock.simulated_now()
        for key, rule in self._scheduled():
            last = self._fired.setdefault(key, now)
            if self._paused or rule.get("State") != "ENABLED":
                self._fired[key] = now
            elif self._is_due(rule["ScheduleExpression"], last, now):
                self._fired[key] = now
                self._fire(key, rule)

    def fire(self, name: str) -> list[str]:
        """Fire now every scheduled rule whose name contains `name`.

        Raises:
            UsageError: if no rule fits.
        """
        matching = [(key, rule) for key, rule in self._scheduled() if name in rule.get("Name", "")]
        if not matching:
            raise UsageError(f"no scheduled rule has {name!r} in its name")
        for key, rule in matching:
            self._fire(key, rule)
        return [rule["Name"] for _, rule in matching]

    def _scheduled(self) -> Iterator[tuple[tuple[str, str, str], dict[str, Any]]]:
        for key, rule in list(self._seams.eventbridge._rules._data.items()):
            if rule.get("ScheduleExpression"):
                yield key, rule

    def _is_due(self, expression: str, last: float, now: float) -> bool:
        every = self._seams.eventbridge._parse_rate_seconds(expression)
        if every is not None:
            return now - last >= float(every)
        fields = self._seams.eventbridge._parse_cron_fields(expression)
        if fields is None:
            return False
        following = self._seams.eventbridge._cron_next_fire(fields, datetime.fromtimestamp(last, UTC))
        return following is not None and datetime.fromtimestamp(now, UTC) >= following

    def _fire(self, key: tuple[str, str, str], rule: dict[str, Any]) -> None:
        account, region, _ = key
        eventbridge = self._seams.eventbridge
        now = int(self._clock.now())
        event = {
            "EventId": str(uuid.uuid4()),
            "Source": "aws.events",
            "DetailType": "Scheduled Event",
            "Detail": "{}",
            "EventBusName": rule.get("EventBusName", "default"),
            "Time": now,
            "Resources": [rule.get("Arn", "")],
            "Account": account,
            "Region": region,
        }
        with self._seams.scope(account, region):
            view = eventbridge._pattern_event_view(event)
            for target in eventbridge._targets._data.get(key, []):
                eventbridge._invoke_target(target, event, rule, view)

"""The chaos plan for event delivery: duplicate, drop or delay the next events of a detail-type."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from localcloud.errors import UsageError

COUNT_MAX = 10_000


class Mischief(StrEnum):
    """What is done to an event on the bus."""

    DUPLICATE = "duplicate"
    DROP = "drop"
    DELAY = "delay"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosRule:
    """Do `action` to the next `count` events of `detail_type` whose detail contains `matching`."""

    detail_type: str
    action: Mischief
    count: int = 1
    delay_real_s: float = 0.0
    matching: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.count <= COUNT_MAX:
            raise UsageError(f"count must be 1 to {COUNT_MAX}, got {self.count}")
        if (self.action is Mischief.DELAY) != (self.delay_real_s > 0):
            raise UsageError("delay_s must be positive with action delay, and absent otherwise")


@dataclass(slots=True)
class _Active:
    rule: ChaosRule
    left: int


class ChaosPlan:
    """The rules that still have events to spoil. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[_Active] = []

    def add(self, rule: ChaosRule) -> None:
        with self._lock:
            self._active.append(_Active(rule, rule.count))

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    def pending(self) -> list[dict[str, Any]]:
        """Rules with events left."""
        with self._lock:
            return [
                {
                    "detail_type": one.rule.detail_type,
                    "action": str(one.rule.action),
                    "left": one.left,
                    "delay_s": one.rule.delay_real_s,
                    "matching": one.rule.matching,
                }
                for one in self._active
            ]

    def decide(self, event: Mapping[str, Any]) -> ChaosRule | None:
        """The rule that applies to this event of the bus, which uses up one of its count."""
        with self._lock:
            for one in self._active:
                rule = one.rule
                if event.get("DetailType") == rule.detail_type and rule.matching in str(event.get("Detail", "")):
                    one.left -= 1
                    if one.left == 0:
                        self._active.remove(one)
                    return rule
        return None

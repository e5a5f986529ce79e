"""Events as AWS services put them on the default bus of the simulated account."""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from simulation.kernel.process import EPOCH
from spotproof.clock import to_epoch_ms

ACCOUNT: Final = "123456789012"
REGION: Final = "us-east-1"
_EPOCH_MS: Final = to_epoch_ms(EPOCH)


class EventSink(Protocol):
    """Where events go: the bus, which decides when and how often they arrive."""

    def publish(self, event: dict[str, Any]) -> None: ...


def moment_of(now_us: int) -> datetime:
    """AWS's own time at a virtual moment: no process's clock counts."""
    return EPOCH + timedelta(microseconds=now_us)


def iso(now_us: int) -> str:
    """As EventBridge and instance metadata write it: whole seconds."""
    return f"{moment_of(now_us).isoformat()[:19]}Z"


def epoch_ms(now_us: int) -> int:
    """As Batch writes it."""
    return _EPOCH_MS + now_us // 1000


def new_uuid(rng: random.Random) -> str:
    """32 hexadecimal digits in five groups, from the seed."""
    digits = f"{rng.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def service_event(
    rng: random.Random,
    now_us: int,
    *,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    resources: Sequence[str],
) -> dict[str, Any]:
    """The envelope of EventBridge around `detail` (EventBridge user guide, "Events reference")."""
    return {
        "version": "0",
        "id": new_uuid(rng),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": iso(now_us),
        "region": REGION,
        "resources": list(resources),
        "detail": dict(detail),
    }

"""The accelerated clock: simulated seconds pass `scale` times faster than real ones."""

import time
from datetime import UTC, datetime

NOTICE_S = 120.0  # from the interruption notice to the reclaim
STOP_GRACE_S = 30.0  # from SIGTERM to SIGKILL


class Clock:
    """Real time, and the translation of simulated durations into it.

    Two windows have a floor in real seconds, because programs inside them don't run faster: the notice window and
    the grace after SIGTERM.
    """

    def __init__(self, *, scale: float, warning_floor_s: float, stop_grace_floor_s: float) -> None:
        self.scale = scale
        self._warning_floor_s = warning_floor_s
        self._stop_grace_floor_s = stop_grace_floor_s
        self._started = time.time()

    def now(self) -> float:
        """Seconds since 1970, real."""
        return time.time()

    def now_ms(self) -> int:
        """Milliseconds since 1970, real."""
        return round(time.time() * 1000)

    def real(self, simulated_s: float) -> float:
        """Real seconds that `simulated_s` takes."""
        return simulated_s / self.scale

    def warning_window(self, lead_s: float) -> float:
        """Real seconds between a notice given `lead_s` simulated seconds ahead (120 at most) and the reclaim."""
        return max(self.real(min(lead_s, NOTICE_S)), self._warning_floor_s)

    def stop_grace(self) -> float:
        """Real seconds between SIGTERM and SIGKILL."""
        return max(self.real(STOP_GRACE_S), self._stop_grace_floor_s)

    def windows(self) -> dict[str, str]:
        """Variables that tell programs how long the accelerated windows really are; on AWS they are not set."""
        return {
            "SPOTPROOF_NOTICE_LEAD_S": f"{self.warning_window(NOTICE_S):g}",
            "SPOTPROOF_STOP_GRACE_S": f"{self.stop_grace():g}",
        }

    def simulated_now(self) -> float:
        """Seconds since 1970 on the accelerated clock, which schedules run by."""
        return self._started + (time.time() - self._started) * self.scale


def iso(moment_s: float) -> str:
    """`2026-01-15T10:20:30Z`, as events and instance metadata write it."""
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

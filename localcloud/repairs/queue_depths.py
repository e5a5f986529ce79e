"""How many messages wait in each queue, measured oftener than by SQS: here, the minutes that alarms look at end now."""

import time
from typing import Final

from localcloud.clock import Clock
from localcloud.seams import Seams

QUEUES: Final = "AWS/SQS"  # the namespace
EVERY_S: Final = 20.0  # so that no minute is without a value, whenever it ends
EVERY_FLOOR_REAL_S: Final = 0.5


class QueueDepths:
    """Gives CloudWatch the one metric of AWS/SQS that alarms over queues look at."""

    def __init__(self, *, seams: Seams, clock: Clock) -> None:
        self._seams = seams
        self._every_s = max(clock.real(EVERY_S), EVERY_FLOOR_REAL_S)
        self._measured_at = float("-inf")

    def measure(self) -> None:
        """A value for each queue, if it is time for one on the accelerated clock."""
        if time.monotonic() - self._measured_at < self._every_s:
            return
        self._measured_at = time.monotonic()
        now = time.time()
        for (account, region, _), queue in list(self._seams.sqs._queues._data.items()):
            visible = sum(1 for message in list(queue["messages"]) if message["visible_at"] <= now)
            with self._seams.scope(account, region):
                self._seams.cloudwatch.record_metric(
                    QUEUES, "ApproximateNumberOfMessagesVisible", visible, "Count", {"QueueName": queue["name"]}
                )

"""What became of each attempt to launch an instance: the activities of the Auto Scaling groups that Batch runs."""

import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from localcloud.batch.store import ComputeEnvironment
from localcloud.clock import Clock

GROUP_TAG = "aws:autoscaling:groupName"  # Auto Scaling puts it on every instance of a group
KEPT = 1000
RETRY_S = 60.0  # a group that fails tries again about so often, simulated seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One activity."""

    id: str
    account: str
    region: str
    group: str
    at: float  # s since 1970, real
    message: str  # why it failed; empty: it did not

    @property
    def status(self) -> str:
        return "Failed" if self.message else "Successful"


class Launches:
    """Remembers the newest activities."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._kept: deque[Launch] = deque(maxlen=KEPT)

    def note(self, *, account: str, region: str, group: str, message: str = "") -> None:
        """Remember an attempt; the same failure again counts once a retry interval."""
        launch = Launch(
            id=str(uuid.uuid4()), account=account, region=region, group=group, at=self._clock.now(), message=message
        )
        last = next((one for one in self.of(account, region) if one.group == group), None)
        again = last is not None and bool(message) and last.message == message
        if again and last is not None and launch.at - last.at < self._clock.real(RETRY_S):
            return
        self._kept.append(launch)

    def of(self, account: str, region: str) -> Iterator[Launch]:
        """Those of an account and region, newest first."""
        return (one for one in reversed(self._kept) if (one.account, one.region) == (account, region))


def group_of(environment: ComputeEnvironment) -> str:
    """The name of the group that Batch makes for a compute environment."""
    return f"{environment.name}-asg-{environment.document['uuid']}"

"""The account's troubles: a function that fails for a while, a server that stands still, a server that is killed."""

import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from spotproof import contract
from tests.local.storm.backup import (
    ObjectCopy,
    TableCopy,
    copy_bucket,
    copy_table,
    restore_objects,
    restore_table,
)
from tests.local.storm.ledger import TroubleSeen
from tests.local.storm.plan import StormPlan, Trouble
from tests.local.storm.stage import TTL_S

if TYPE_CHECKING:
    from demo.snapshot import Snapshot
    from tests.local.storm.stage import Stage

FAILURES_WANTED: Final = 2  # of the function, before it is healed
OUTAGE_S: Final = TTL_S + 1.5  # every session expires meanwhile
LOST_STEPS: Final = 3  # saves and commits between the table's copy and the kill
EXIT_LIMIT_S: Final = 10.0


class AccountTrouble(Protocol):
    """One trouble from its beginning to its end."""

    def look(self, snapshot: "Snapshot") -> bool:
        """Go on with it; True once it is over."""
        ...

    def seen(self) -> TroubleSeen:
        """What took place so far."""
        ...

    def finish(self) -> None:
        """End it now, because the run needs it to end."""
        ...


def begin(stage: "Stage", plan: StormPlan, snapshot: "Snapshot") -> AccountTrouble:
    """Let the plan's trouble begin.

    Raises:
        ValueError: the plan has none.
    """
    match plan.trouble:
        case Trouble.THROTTLED | Trouble.RAISING:
            return FailingFunction(stage=stage, trouble=plan.trouble, route=plan.function)
        case Trouble.OUTAGE:
            return Outage(stage=stage, alive=len(snapshot.working))
        case Trouble.RESTART:
            return Restart(stage=stage, copied_at=snapshot.progress, alive=len(snapshot.working))
    raise ValueError("this plan has no trouble")


@dataclass(kw_only=True)
class FailingFunction:
    """A function that is throttled (no concurrency) or raises (its table's name is gone) until it has failed twice."""

    stage: "Stage"
    trouble: Trouble
    route: str
    name: str = field(init=False)
    at: float = field(init=False)
    since: int = field(init=False)
    effects: int = 0
    over_at: float | None = None
    _environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        listed = self.stage.client("lambda").list_functions()["Functions"]
        found = next(one for one in listed if f"Events-{self.route}" in one["FunctionName"])
        self.name, self._environment = found["FunctionName"], found["Environment"]["Variables"]
        entries = self.stage.cloud.events(limit=1_000_000)
        self.since = entries[-1]["seq"] if entries else 0
        self.at = self.stage.clock.now().timestamp()
        self._break()

    def look(self, snapshot: "Snapshot") -> bool:
        self.effects = sum(
            entry["function"] == self.name for entry in self.stage.cloud.events(since=self.since, kind="lambda.failed")
        )
        # All but the finalizer have nothing to do any more once every shard is committed.
        idle = snapshot.open == 0 and self.route != "RunFinished"
        if self.effects >= FAILURES_WANTED or idle:
            self.finish()
        return self.over_at is not None

    def finish(self) -> None:
        if self.over_at is None:
            self._heal()
            self.over_at = self.stage.clock.now().timestamp()

    def seen(self) -> TroubleSeen:
        return TroubleSeen(
            trouble=self.trouble, at=self.at, what=self.route, effects=self.effects, over_at=self.over_at
        )

    def _break(self) -> None:
        functions = self.stage.client("lambda")
        if self.trouble is Trouble.THROTTLED:
            functions.put_function_concurrency(FunctionName=self.name, ReservedConcurrentExecutions=0)
            return
        broken = {name: value for name, value in self._environment.items() if name != contract.ENV_TABLE}
        functions.update_function_configuration(FunctionName=self.name, Environment={"Variables": broken})

    def _heal(self) -> None:
        functions = self.stage.client("lambda")
        if self.trouble is Trouble.THROTTLED:
            functions.delete_function_concurrency(FunctionName=self.name)
            return
        functions.update_function_configuration(FunctionName=self.name, Environment={"Variables": self._environment})


@dataclass(kw_only=True)
class Outage:
    """The account's server stands still for longer than any session lives; then it goes on as if nothing was."""

    stage: "Stage"
    alive: int
    at: float = field(init=False)
    over_at: float | None = None

    def __post_init__(self) -> None:
        self.at = self.stage.clock.now().timestamp()

    def look(self, snapshot: "Snapshot") -> bool:
        server = self.stage.running.pid
        os.kill(server, signal.SIGSTOP)
        try:
            self.stage.clock.sleep(OUTAGE_S)
        finally:
            os.kill(server, signal.SIGCONT)
        self.over_at = self.stage.clock.now().timestamp()
        return True

    def finish(self) -> None:
        return None

    def seen(self) -> TroubleSeen:
        return TroubleSeen(trouble=Trouble.OUTAGE, at=self.at, what="server", effects=self.alive, over_at=self.over_at)


@dataclass(kw_only=True)
class Restart:
    """The account's server is killed, and with it every host. A new one gets the objects as they were at the end, and
    the table as it was a few saves earlier: what an operator has after a disaster, backups of the table being older."""

    stage: "Stage"
    copied_at: int  # progress
    alive: int
    at: float | None = None
    over_at: float | None = None
    on_kill: list[float] = field(default_factory=list)
    _table: TableCopy = field(init=False)

    def __post_init__(self) -> None:
        self._table = copy_table(self.stage.deployment.clients.dynamodb, self.stage.deployment.names.table)

    def look(self, snapshot: "Snapshot") -> bool:
        if snapshot.progress < self.copied_at + LOST_STEPS:
            return False
        clients, names = self.stage.deployment.clients, self.stage.deployment.names
        self.alive = len(snapshot.working)
        objects = [
            *copy_bucket(clients.s3, names.data_bucket),
            *copy_bucket(clients.s3, names.work_bucket),
        ]
        self._kill_server()
        self._restore(objects)
        return True

    def finish(self) -> None:
        return None

    def seen(self) -> TroubleSeen:
        at = self.stage.clock.now().timestamp() if self.at is None else self.at
        return TroubleSeen(trouble=Trouble.RESTART, at=at, what="server", effects=self.alive, over_at=self.over_at)

    def _kill_server(self) -> None:
        server = self.stage.running.pid
        os.kill(server, signal.SIGKILL)
        self.at = self.stage.clock.now().timestamp()
        deadline = self.stage.clock.monotonic() + EXIT_LIMIT_S
        # Its lock outlives its main thread by a moment.
        while self.stage.state.is_locked() and self.stage.clock.monotonic() < deadline:
            self.stage.clock.sleep(0.02)

    def _restore(self, objects: list[ObjectCopy]) -> None:
        self.stage.start_again()
        self.stage.cloud.pause_schedules()  # a half restored table is nobody's business
        clients = self.stage.deployment.clients
        restore_objects(clients.s3, objects)
        restore_table(clients.dynamodb, self._table)
        self.stage.cloud.pause_schedules(False)
        self.over_at = self.stage.clock.now().timestamp()

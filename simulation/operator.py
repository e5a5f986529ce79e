"""What people do to a run from outside: submit it, cancel it, restore the table, roll a version out and back."""

import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from simulation.checks.parsed import CURRENT
from simulation.cloud.batch_job import SimJobDefinition, SimQueue
from simulation.cloud.table import Snapshot
from simulation.gate import GatedClients
from simulation.kernel.process import Process
from simulation.worker import TABLE
from simulation.workload import DATA_BUCKET, INPUT_PREFIX, OUTPUT_PREFIX
from spotproof.errors import SpotproofError
from spotproof.leases.attribute_values import Item
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.expressions import SCHEMA
from spotproof.leases.model import RunState
from spotproof.leases.requeue import Requeuer
from spotproof.retries import Retrier

KIND: Final = "operator"
WATCH_S: Final = 900.0  # between two looks at Batch's console
SNAPSHOTS: Final = 5  # kept to go back to
RESUBMIT_S: Final = 300.0  # after a restore
RAISED: Final = 2.0  # times the budget of a paused run
AMPLE_USD: Final = 1e6


class Operator:
    """One person with the console, the command line and too many rights."""

    def __init__(self, world: Any, *, queue: SimQueue, definition: SimJobDefinition, options: str) -> None:
        self.cancelled = False
        self._world = world
        self._queue = queue
        self._definition = definition
        self._options = options
        self._snapshots: deque[Snapshot] = deque(maxlen=SNAPSHOTS)

    def submit(self) -> None:
        """The array job, with the same parameters every time."""
        parameters = {
            "run": self._world.run_id,
            "input": f"s3://{DATA_BUCKET}/{INPUT_PREFIX}",
            "output": f"s3://{DATA_BUCKET}/{OUTPUT_PREFIX}",
            "shard_by": self._world.workload.shard_by,
            "options": self._options,
        }
        workers = self._world.scenario.workers
        array = {"arrayProperties": {"size": workers}} if workers > 1 else {}
        self._world.batch.api.submit_job(
            jobName="job",
            jobQueue=self._queue.name,
            jobDefinition=self._definition.name,
            parameters=parameters,
            **array,
        )

    def watch(self) -> None:
        """Submit again what ended before there was a run: nobody else knows of it then."""
        world = self._world
        if world.run is None and all(job.ended for job in world.batch.jobs.values()):
            world.trace.note(world.scheduler.now, KIND, "submits the job again", "it ended without a run")
            self.submit()
        world.scheduler.after(WATCH_S, self.watch)

    def cancel(self) -> None:
        """As the command line does it."""
        self.cancelled = True
        self._act(lambda store: Requeuer(store).cancel_run(self._world.run_id, reason="enough"))

    def _act(self, act: Callable[[DynamoDBLeaseStore], object]) -> None:
        """A request after the other, each of which may fail."""
        world = self._world
        rng = random.Random(world.rng.getrandbits(64))
        process = Process(world.scheduler, name=KIND, kind=KIND, rng=rng, on_exit=lambda _: None)

        def main() -> int:
            clients = GatedClients(world.gate, process, world.services)
            retrier = Retrier(clock=process.clock, rng=rng)
            store = DynamoDBLeaseStore(client=clients.dynamodb, table_name=TABLE, clock=process.clock, retrier=retrier)
            try:
                act(store)
            except SpotproofError:
                return 1
            return 0

        process.start(main)

    def watch_budget(self) -> None:
        """Raise the budget of a paused run; in peace so high that it is none."""
        world = self._world
        run = world.run
        if run is not None and run.state is RunState.PAUSED:
            budget = AMPLE_USD if world.book.at_peace or run.budget_usd is None else RAISED * run.budget_usd
            world.trace.note(world.scheduler.now, KIND, "raises the budget", f"${budget:g}")
            self._resume(budget)
        world.scheduler.after(world.scenario.resumes_after_s, self.watch_budget)

    def _resume(self, usd_max: float) -> None:
        """As the command line does it: first the run, then workers."""

        def act(store: DynamoDBLeaseStore) -> None:
            if store.resume_run(self._world.run_id, usd_max=usd_max) is not None:
                self.submit()

        self._act(act)

    def keep_snapshot(self) -> None:
        """A moment that the table can be restored to; none in which a newer version's row would come back for good."""
        snapshot = self._world.table.snapshot()
        if all(int(item.get("schema", CURRENT)["N"]) <= SCHEMA for item in snapshot):
            self._snapshots.append(snapshot)

    def restore_table(self, rng: random.Random) -> bool:
        """Point-in-time recovery while everybody works on; then the job is submitted again, as the docs tell people to.

        False if there is no moment to go back to.
        """
        if not self._snapshots:
            return False
        self._world.table.restore(rng.choice(self._snapshots))
        for check in self._world.checks.values():
            check.restored()
        self._world.scheduler.after(RESUBMIT_S, self.submit)  # the run may be gone, with nobody left who knows of it
        return True

    def overwrite(self, key: tuple[str, str], item: Item) -> None:
        """Put an item past all conditions."""
        self._world.table.overwrite(key, item)

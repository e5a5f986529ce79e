"""Runs whose Spot workers wait for hosts, and rounds of the controller over them."""

from collections.abc import Callable
from typing import Any

from lambdas import controller, wiring
from spotproof.capacity.queue_blocks import QueueBlock, QueueBlocks
from spotproof.capacity.records import Records
from spotproof.clock import to_epoch_ms
from spotproof.leases.model import HistoryEntry, Ledger, Run, RunId, RunOptions, Session
from tests.fakes.leases import HOUR, a_run
from tests.lambdas.batch_world import CAPACITY, BatchWorld
from tests.lambdas.conftest import Account

Metrics = Callable[[], dict[str, float]]  # what the fixture of that name is


def tick(account: Account) -> Any:
    return controller.handler({}, account.context)


def waiting_run(account: Account, batch: BatchWorld, *, workers: int = 4, **options: Any) -> tuple[Run, str]:
    """A run of six shards whose first worker planned it and vanished; its Spot workers wait for hosts."""
    job_id = batch.add("starved", workers={"RUNNABLE": workers})
    account.store.cancel_run(account.run.run_id, reason="another test's")
    run = a_run(
        run_id=RunId("starved"), stripes=2, batch_job_id=f"{job_id}:0", batch_queue="spot-queue",
        options=RunOptions(**options), created_at=to_epoch_ms(account.clock.now()),
    )  # fmt: skip
    return account.store.create_run(run), job_id


def on_demand_worker(account: Account, run: Run, job_id: str, name: str = "rescuer") -> Session:
    return account.worker(name, run=run, lifecycle="on-demand", batch_job_id=job_id, instance_id=f"i-0{len(name):016}")


def beat(account: Account, *sessions: Session) -> None:
    """The workers go on living."""
    for session in sessions:
        stored = account.session(session)
        until = to_epoch_ms(account.clock.now()) + HOUR
        account.store.heartbeat(stored, seq=stored.seq + 1, until=until, ledger=Ledger())


def history(account: Account, run: Run) -> list[HistoryEntry]:
    """What was decided about the run, without why its workers wait."""
    return [entry for entry in account.store.history(run.run_id) if not entry.kind.startswith("waiting")]


def block_queue(account: Account, job_id: str) -> None:
    shared = wiring.wire()
    records = Records(dynamodb=account.dynamodb, table_name="table", retrier=shared.retrier)
    since = to_epoch_ms(account.clock.now())
    QueueBlocks(records).note(QueueBlock(queue="spot-queue", since=since, job_id=job_id, reason=CAPACITY))

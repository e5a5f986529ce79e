"""Whoever can forge every event of every kind can at worst cause a requeue: nothing is lost, ended, or wrongly done.

AWS refuses PutEvents with a source of `aws.…`, and the rules filter by source; this is about what would remain if somebody
could call the functions with anything at all, such as a stolen role that may invoke them.
"""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from lambdas import (
    controller,
    finalizer,
    instance_state_change,
    job_state_change,
    queue_blocked,
    rebalance_recommendation,
    spot_interruption,
)
from spotproof import contract
from spotproof.errors import AwsUnavailableError, LeaseLostError
from spotproof.interruptions.eventbridge import InstanceState, InterruptionAction, JobStatus
from spotproof.leases.model import CapacityClass, Lease, RunState, Session, Shard, ShardState
from tests.fakes.leases import a_checkpoint, an_output
from tests.lambdas.batch_world import ARN, CAPACITY, BatchWorld, RecordingBus
from tests.lambdas.conftest import INSTANCE, OTHER_INSTANCE, Account
from tests.lambdas.ec2_world import Ec2World
from tests.lambdas.test_finalizer_handler import finished_event

FORGED = 40  # events of one history
Handler = Callable[[dict[str, Any], Any], Any]
Forge = Callable[[Account, random.Random], tuple[Handler, dict[str, Any]]]
OTHER_RUN = "somebody-elses"
ENDED_BY_A_PERSON, RECLAIMED = "job-3", "job-4"
KNOWN_JOBS = ("job-1", "job-2", ENDED_BY_A_PERSON, RECLAIMED)
RECLAIM = "Host EC2 (instance i-00000000000000ccc) terminated."


def warning(account: Account, rng: random.Random) -> tuple[Handler, dict[str, Any]]:
    detail = {"instance-id": _instance(rng), "instance-action": rng.choice(list(InterruptionAction))}
    return spot_interruption.handler, _event(account, rng, "ec2_spot_interruption_warning.docs", detail)


def rebalance(account: Account, rng: random.Random) -> tuple[Handler, dict[str, Any]]:
    detail = {"instance-id": _instance(rng)}
    return rebalance_recommendation.handler, _event(account, rng, "ec2_rebalance_recommendation.docs", detail)


def host_ended(account: Account, rng: random.Random) -> tuple[Handler, dict[str, Any]]:
    detail = {"instance-id": _instance(rng), "state": rng.choice(list(InstanceState))}
    return instance_state_change.handler, _event(account, rng, "ec2_instance_state_change.terminated.docs", detail)


def worker_ended(account: Account, rng: random.Random) -> tuple[Handler, dict[str, Any]]:
    run = rng.choice([account.run.run_id, account.run.run_id, OTHER_RUN])
    job_id = rng.choice([*KNOWN_JOBS, f"{rng.getrandbits(32):08x}-0a82-49aa-ba5a-4727fcce14a8:{rng.randrange(8)}"])
    reason = rng.choice(
        ["Host EC2 (instance i-1) terminated.", "Essential container in task exited", "OutOfMemoryError: x", ""]
    )
    attempt = {"container": {"exitCode": rng.choice([0, 1, 3, 75, 137]), "reason": reason}, "statusReason": reason}
    detail = {
        "jobId": job_id,
        "jobQueue": _queue(rng),
        "status": rng.choice([*JobStatus, JobStatus.FAILED, JobStatus.FAILED]),
        "statusReason": reason,
        "parameters": {"run": run, "input": "s3://evil/in/", "output": "s3://evil/out/"},
        "attempts": [attempt] * rng.choice([0, 1, 5]),
        "isCancelled": rng.random() < 0.2,
        "isTerminated": rng.random() < 0.2,
        "stoppedAt": round(account.clock.now().timestamp() * 1000),
    }
    name = "batch_job_state_change.array_child_failed_attempts_exhausted.synth"
    return job_state_change.handler, _event(account, rng, name, detail)


def blocked(account: Account, rng: random.Random) -> tuple[Handler, dict[str, Any]]:
    job_id = rng.choice([*KNOWN_JOBS, f"{rng.getrandbits(32):08x}"])
    detail = {"jobQueue": _queue(rng), "jobId": job_id, "statusReason": CAPACITY}
    return queue_blocked.handler, _event(account, rng, "batch_job_queue_blocked.docs", detail)


def run_finished(account: Account, rng: random.Random) -> tuple[Handler, dict[str, Any]]:
    return finalizer.handler, finished_event(account, rng.choice([account.run.run_id, OTHER_RUN]))


FORGERIES: tuple[Forge, ...] = (warning, rebalance, host_ended, worker_ended, blocked, run_finished)


def _queue(rng: random.Random) -> str:
    return f"{ARN}:job-queue/{rng.choice(['spot-queue', 'spot-queue', 'on-demand-queue'])}"


def _instance(rng: random.Random) -> str:
    return rng.choice([INSTANCE, OTHER_INSTANCE, "i-0000000000000dead"])


def _event(account: Account, rng: random.Random, name: str, detail: dict[str, Any]) -> dict[str, Any]:
    """A recorded event whose every field that matters is as the forger wants it; some are late, some of tomorrow."""
    time = account.clock.now() + timedelta(seconds=rng.choice([0, 0, 0, -5, -1000, 20 * 3600]))
    event = account.event(name, id=f"forged-{rng.getrandbits(32):08x}", resources=[], time=time.isoformat())
    event["detail"] = {**event["detail"], **detail}
    return event


def deliver(account: Account, handler: Handler, event: dict[str, Any]) -> Any:
    """As Lambda does: what fails comes again after one and two more minutes, and then to the queue of failed events."""
    for wait_s in (60, 120, 0):
        try:
            return handler(event, account.context)
        except AwsUnavailableError:
            account.clock.advance(wait_s)
    return None


class Scene:
    """A run at work: a leased shard with a checkpoint on each of two hosts, one that is done, one that waits.

    Of its workers in Batch one waits, one runs, and two have failed long since, as honest events told: one that a person
    ended, and one whose host was taken.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        sessions = [account.worker("a"), account.worker("b", instance_id=OTHER_INSTANCE)]
        self.leases: list[Lease] = [account.lease(session, index) for index, session in enumerate(sessions)]
        for lease in self.leases:
            account.store.record_checkpoint(lease, a_checkpoint(lease))
        left = account.worker("c", instance_id="i-00000000000000ccc")
        committed = account.lease(left, 2)
        account.store.commit(committed, an_output(committed))
        account.store.release(account.lease(left, 3, seq=2), interrupted=False)
        for bucket, key in (("work", "checkpoints/2026-11-22/00000000/x"), ("work", "staging/x"), ("data", "output/x")):
            account.s3.put_object(Bucket=bucket, Key=key, Body=b"precious")
        self.done = account.items()[contract.stripe_pk(account.run.run_id, 0), contract.shard_sk(2)]

    def honest_ends(self, batch: BatchWorld) -> None:
        """The failed workers' events, from which the forger has learnt their names."""
        for job_id in (ENDED_BY_A_PERSON, RECLAIMED):
            event = self.account.event("batch_job_state_change.failed_app_error.synth")
            event["detail"] = batch.jobs[job_id]
            job_state_change.handler(event, self.account.context)
            self.account.clock.advance(60)

    def shard(self, index: int) -> Shard:
        found = self.account.store.get_shard(self.account.run, index)
        assert found is not None
        return found

    def shards(self) -> list[Shard]:
        return [self.shard(index) for index in range(4)]

    def objects(self) -> dict[str, bytes]:
        """Everything in both buckets but the stop files."""
        return {
            f"{bucket}/{entry['Key']}": self.account.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            for bucket in ("work", "data")
            for entry in self.account.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
            if not entry["Key"].startswith(contract.CONTROL_PREFIX)
        }

    def finish(self) -> None:
        """Honest workers on new hosts take what is left and do it."""
        self.account.clock.advance(600)
        newcomer = self.account.worker("newcomer", instance_id="i-0000000000000beef")
        for seq, index in enumerate(index for index in range(4) if not self.shard(index).state.final):
            lease = self._lease_of(index) or self._claimed(newcomer, index, seq=seq + 1)
            self.account.store.commit(lease, an_output(lease))

    def _lease_of(self, index: int) -> Lease | None:
        """The lease that its first owner still has."""
        kept = [lease for lease in self.leases if lease.index == index]
        if kept and self.shard(index).fencing_token == kept[0].fencing_token and self.shard(index).reclaim_at is None:
            return kept[0] if self.shard(index).owner == kept[0].owner else None
        return None

    def _claimed(self, session: Session, index: int, *, seq: int) -> Lease:
        store, run = self.account.store, self.account.run
        candidates = [each for kind in CapacityClass for each in store.candidates(run, kind, limit=9)]
        [candidate] = [each for each in candidates if each.index == index]
        assert store.hold(session, index, seq=seq, until=session.until) is not None
        lease = store.claim_requeued(run, candidate, session)
        assert lease is not None
        return lease


@pytest.fixture
def scene(account: Account, batch: BatchWorld, ec2: Ec2World, bus: RecordingBus) -> Scene:
    run_id, now_ms = account.run.run_id, round(account.clock.now().timestamp() * 1000)
    batch.add(run_id, job_id="job-1")
    batch.add(run_id, job_id="job-2", status="RUNNING")
    batch.add(run_id, job_id=ENDED_BY_A_PERSON, status="FAILED", isTerminated=True, stoppedAt=now_ms)
    batch.add(run_id, job_id=RECLAIMED, status="FAILED", statusReason=RECLAIM, stoppedAt=now_ms)
    for instance_id in (INSTANCE, OTHER_INSTANCE):
        ec2.run(instance_id)
    made = Scene(account)
    made.honest_ends(batch)
    assert len(batch.submitted) == 1, "in place of the one whose host was taken"
    assert steered(account)[0] is not None, "a person ended the other one"
    return made


def steered(account: Account) -> tuple[object, ...]:
    """What the functions know that decides about workers: holds, pools, blocked queues."""
    flow, blocks = job_state_change.warm(), queue_blocked.warm().blocks
    pools = instance_state_change.warm().pool_notes.pools.all()
    held = [flow.replacements.topup.held(run_id) for run_id in (account.run.run_id, OTHER_RUN)]
    return *held, pools, *(blocks.read(queue) for queue in ("spot-queue", "on-demand-queue"))


@pytest.mark.parametrize("seed", range(6))
def test_a_history_of_forged_events_costs_requeues_at_worst(scene: Scene, batch: BatchWorld, seed: int) -> None:
    account, rng = scene.account, random.Random(seed)
    run, before, objects = account.stored_run(), scene.shards(), scene.objects()
    submitted, known = list(batch.submitted), steered(account)

    for _ in range(FORGED):
        handler, event = rng.choice(FORGERIES)(account, rng)
        deliver(account, handler, event)
    account.context.remaining_s = 300

    assert steered(account) == known, "nobody is kept from working, no pool is left alone, no queue is called blocked"
    after, still = scene.shards(), account.stored_run()
    assert (still.state, still.closed, still.shards, still.options) == (
        RunState.RUNNING,
        run.closed,
        run.shards,
        run.options,
    )
    assert scene.objects() == objects, "nothing was deleted or published"
    assert account.items()[contract.stripe_pk(run.run_id, 0), contract.shard_sk(2)] == scene.done, (
        "what is done stays done"
    )
    for old, new in zip(before, after, strict=True):
        assert (new.failures, new.losses, new.checkpoint) == (old.failures, old.losses, old.checkpoint), (
            "no work is lost"
        )
        assert new.state is not ShardState.QUARANTINED
        assert new.fencing_token >= old.fencing_token
    assert batch.cancelled == [], "no worker is stopped through Batch"
    assert batch.submitted == submitted, "nobody is submitted"

    scene.finish()
    assert {shard.state for shard in scene.shards()} == {ShardState.DONE}


@pytest.mark.parametrize("seed", range(6))
def test_after_a_history_of_forged_events_the_controller_buys_nothing(
    scene: Scene, batch: BatchWorld, seed: int
) -> None:
    """Within the time that shards may wait for Spot: after it the run goes on demand without any event."""
    account, rng = scene.account, random.Random(seed)
    submitted = list(batch.submitted)

    for _ in range(FORGED):
        handler, event = rng.choice(FORGERIES)(account, rng)
        with suppress(AwsUnavailableError):
            handler(event, account.context)
        account.clock.advance(rng.choice([0, 0, 1, 5]))
    account.context.remaining_s = 300
    controller.handler({}, account.context)

    assert batch.submitted == submitted
    assert batch.cancelled == []


def test_who_was_told_to_be_gone_is_refused_and_its_work_goes_on_from_its_checkpoint(scene: Scene) -> None:
    """The worst: a forged end of a host whose worker lives."""
    account = scene.account
    event = _event(account, random.Random(1), "ec2_instance_state_change.terminated.docs", {"instance-id": INSTANCE})

    assert instance_state_change.handler(event, account.context) == {"sessions": 1, "requeued": 1}

    with pytest.raises(LeaseLostError):
        account.store.commit(scene.leases[0], an_output(scene.leases[0]))
    shard = scene.shard(0)
    assert (shard.state, shard.interruptions, shard.failures) == (ShardState.READY, 1, 0)
    scene.finish()
    assert scene.shard(0).checkpoint == a_checkpoint(scene.leases[0])


def test_a_run_that_is_not_done_is_not_finalized_by_being_called_finished(scene: Scene) -> None:
    account = scene.account
    objects = scene.objects()
    account.context.remaining_s = 900

    finalizer.handler(finished_event(account), account.context)

    assert account.stored_run().state is RunState.RUNNING
    assert scene.objects() == objects


@pytest.mark.parametrize("forge", FORGERIES)
def test_no_kind_of_event_alone_submits_holds_or_blames(scene: Scene, batch: BatchWorld, forge: Forge) -> None:
    account, rng = scene.account, random.Random(7)
    submitted, known = list(batch.submitted), steered(account)

    for _ in range(FORGED):
        deliver(account, *forge(account, rng))

    assert batch.submitted == submitted
    assert steered(account) == known

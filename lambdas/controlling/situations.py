"""Puts a run's situation together from its sessions, its jobs and what is left of its work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lambdas.controlling.crew import Crew
from lambdas.controlling.gauges import Gauges
from lambdas.controlling.limits import limits_of
from lambdas.controlling.look import Look
from lambdas.controlling.money import Till
from lambdas.controlling.work import WorkLeft, WorkReader
from lambdas.queue_pairs import QueuePairs
from spotproof.capacity.deadline import DeadlineFacts
from spotproof.capacity.live_jobs import LiveJob, Submission
from spotproof.capacity.queue_blocks import QueueBlock
from spotproof.capacity.situation import CapacitySituation, QueueBlocked
from spotproof.leases.model import Run, Session

# From the decision to a worker that makes progress: Batch sees the job, EC2 launches and boots a host, the image and
# the worker's code are pulled, the checkpoint is restored. Two to four minutes for on-demand hosts of usual types.
RESTART_S: Final = 240.0
ROUND_S: Final = 60.0  # the controller's schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Situations:
    """Reads a run's situation; see WorkReader and Till for what that costs."""

    reader: WorkReader
    till: Till
    queues: QueuePairs

    def of(
        self, run: Run, sessions: Sequence[Session], submission: Submission, look: Look, *, last_cause_ms: int | None
    ) -> CapacitySituation:
        """The run as it is now.

        Raises:
            AwsError: the table refused or stayed unavailable.
        """
        crew = Crew(sessions=sessions, now_ms=look.now_ms)
        jobs = look.live.of_run(run.run_id)
        spot_jobs = [job for job in jobs if self.queues.is_spot(job.queue)]
        spot = crew.workforce(spot_jobs, on_demand=False)
        on_demand = crew.workforce((job for job in jobs if self.queues.is_on_demand(job.queue)), on_demand=True)
        work = self.reader.read(run, held=crew.held, now_ms=look.now_ms)
        money = self.till.count(run, sessions, vcpus=submission.vcpus)
        width = max(submission.workers, run.workers, sum(job.live for job in spot_jobs))
        waits = any(job.waiting for job in spot_jobs)
        block = look.block_of(submission.job_queue)
        facts = _DeadlineParts(run=run, crew=crew, work=work, look=look, block=block, width=width, spot_jobs=spot_jobs)
        return CapacitySituation(
            now_s=look.now_ms / 1000,
            limits=limits_of(run),
            workers_wanted=width,
            shards_open=work.open,
            claimable_spot=work.claimable,
            claimable_on_demand=work.left_to_on_demand,
            waited_s=_waited_s(run, crew, work, look.now_ms),
            spot=spot,
            on_demand=on_demand,
            blocked=_blocked(block) if waits else None,
            open_pools=tuple(pool for pool in crew.spot_pools() if pool in look.open_pools),
            last_cause_s=None if last_cause_ms is None else last_cause_ms / 1000,
            spent_usd=money.spent_usd,
            usd_per_hour=money.usd_per_hour,
            on_demand_usd_per_hour=money.on_demand_usd_per_hour,
            deadline=self._deadline(facts, spot_alive=spot.alive, on_demand=on_demand.total),
        )

    def count_unsteered(self, run: Run, sessions: Sequence[Session], look: Look, gauges: Gauges) -> None:
        """Count a run whose workers are not ours to add or retire.

        Raises:
            AwsError: the table refused or stayed unavailable.
        """
        crew = Crew(sessions=sessions, now_ms=look.now_ms)
        work = self.reader.read(run, held=crew.held, now_ms=look.now_ms)
        gauges.add_unsteered(
            run,
            work,
            waited_s=_waited_s(run, crew, work, look.now_ms),
            spot=len(crew.alive(on_demand=False)),
            on_demand=len(crew.alive(on_demand=True)),
        )

    def _deadline(self, parts: "_DeadlineParts", *, spot_alive: int, on_demand: int) -> DeadlineFacts | None:
        run, now_ms = parts.run, parts.look.now_ms
        if run.options.deadline_s is None:
            return None
        estimate = self.reader.estimate(run, parts.work, now_ms=now_ms)
        return DeadlineFacts(
            now_s=now_ms / 1000,
            deadline_s=run.created_at / 1000 + run.options.deadline_s,
            work_left_s=None if estimate is None else estimate.high_s,
            shards_left=parts.work.open,
            shard_s=0.0 if estimate is None else estimate.shard_s,
            workers=parts.width,
            restart_s=RESTART_S,
            step_s=ROUND_S,
            spot_running=spot_alive,
            spot_starting=0 if parts.block else _starting(parts.spot_jobs, now_ms),
            on_demand_running=on_demand,
            market=parts.crew.market(width=min(parts.width, run.shards), since_ms=run.created_at),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _DeadlineParts:
    """What the deadline's facts are made from."""

    run: Run
    crew: Crew
    work: WorkLeft
    look: Look
    block: QueueBlock | None  # of the queue that its Spot workers wait in
    width: int
    spot_jobs: Sequence[LiveJob]


def _waited_s(run: Run, crew: Crew, work: WorkLeft, now_ms: int) -> float:
    """Of the shard that waits longest: a requeued one since then, a fresh one since nobody takes any."""
    since = [] if work.oldest_requeued_at is None else [work.oldest_requeued_at]
    nobody = crew.nobody_since(run)
    if work.fresh and nobody is not None:
        since.append(nobody)
    return max(0, now_ms - min(since)) / 1000 if since else 0.0


def _blocked(block: QueueBlock | None) -> QueueBlocked | None:
    return None if block is None else QueueBlocked(since_s=block.since / 1000, reason=block.reason)


def _starting(jobs: Sequence[LiveJob], now_ms: int) -> int:
    """Spot workers that have a host, or were asked for so lately that they may well get one."""
    fresh = sum(job.waiting for job in jobs if now_ms - job.created_at < RESTART_S * 1000)
    return fresh + sum(job.starting for job in jobs)

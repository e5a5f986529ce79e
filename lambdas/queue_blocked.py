"""A job queue is blocked: remember it for the controller, begin runs that nobody could plan, explain the rest.

Capacity is never a reason to cancel: Spot workers stay queued, and on-demand ones join the run. A misconfiguration is
cancelled by the queue itself after its time limit (stacks/queues.py); on-demand workers would share it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from lambdas.controlling.beginnings import Beginnings
from lambdas.controlling.parts import Parts
from lambdas.controlling.waits import Waits
from lambdas.queue_pairs import QueuePairs
from lambdas.telemetry import Context, PowertoolsTelemetry, Telemetry, accept
from lambdas.wiring import Wiring, wire
from spotproof import events
from spotproof.capacity.live_jobs import RunJobs
from spotproof.capacity.queue_blocks import QueueBlock, QueueBlocks, judge_block
from spotproof.clock import Clock, to_epoch_ms
from spotproof.errors import AwsUnavailableError
from spotproof.interruptions.eventbridge import RUN_ID, JobQueueBlocked, parse_queue_blocked
from spotproof.leases.model import RunId

SERVICE = "queue_blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """What the event led to. `noted` is None if it was none of our business."""

    noted: bool | None  # False: known before, or the job has started meanwhile
    for_capacity: bool
    begun: bool  # an on-demand worker was submitted for a run without a row
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedFlow:
    """At most a dozen requests: the job, the item, its run, one submission, and what explains it.

    The event only says where to look. What is acted upon is what Batch says of the job, which nobody can forge.
    """

    blocks: QueueBlocks
    jobs: RunJobs
    beginnings: Beginnings
    waits: Waits
    queues: QueuePairs
    clock: Clock

    def take(self, event: JobQueueBlocked, telemetry: Telemetry) -> Blocked:
        """Handle one event. Repeating it, late or out of order, adds nothing.

        Raises:
            AwsUnavailableError: Batch does not give the job a reason to wait yet.
            AwsError: table or Batch refused or stayed unavailable; doing it again is safe.
        """
        if event.queue_name not in self.queues.names:
            return Blocked(noted=None, for_capacity=False, begun=False, reason="another queue")
        judged = judge_block(event, self.jobs.held_up(event.job_id), now_ms=to_epoch_ms(self.clock.now()))
        if judged.too_early:
            raise AwsUnavailableError(f"job {event.job_id} holds up {event.queue_name}, says an event: {judged.reason}")
        block = judged.block
        if block is None:
            return Blocked(noted=False, for_capacity=False, begun=False, reason=judged.reason)
        noted = self.blocks.note(block)
        begun = self._begin(block, telemetry)
        self.waits.explain_job(
            event.job_id.partition(":")[0], now_ms=to_epoch_ms(self.clock.now()), telemetry=telemetry
        )
        return Blocked(noted=noted, for_capacity=block.for_capacity, begun=begun, reason=block.reason)

    def _begin(self, block: QueueBlock, telemetry: Telemetry) -> bool:
        """The controller does the same for others in the queue, and for runs that have begun."""
        if not block.for_capacity or not self.queues.is_spot(block.queue):
            return False
        job = self.jobs.live_job(block.job_id)
        if job is None or not RUN_ID.fullmatch(job.run_id):
            return False
        now_ms = to_epoch_ms(self.clock.now())
        return self.beginnings.begin(
            RunId(job.run_id), job, [job], now_ms=now_ms, blocked=block.reason, telemetry=telemetry
        )


def build(wiring: Wiring) -> BlockedFlow:
    parts = Parts(wiring)
    return BlockedFlow(
        blocks=parts.blocks,
        jobs=parts.jobs,
        beginnings=parts.beginnings,
        waits=parts.waits,
        queues=parts.queues,
        clock=wiring.clock,
    )


def handle(
    wiring: Wiring, flow: BlockedFlow, telemetry: Telemetry, event: dict[str, Any], context: Context
) -> dict[str, Any]:
    blocked = accept(parse_queue_blocked, event, context, now=wiring.clock.now(), telemetry=telemetry)
    if blocked is None:
        return {"rejected": 1}
    wiring.begin()
    done = flow.take(blocked, telemetry)
    telemetry.count(events.METRIC_QUEUES_BLOCKED, 1 if done.noted else 0)
    telemetry.count(events.METRIC_ON_DEMAND_ADDED, 1 if done.begun else 0)
    if done.noted is None:
        telemetry.info(events.EVENT_IGNORED, batch_job_id=blocked.job_id, reason=done.reason)
        return {"ignored": 1}
    telemetry.info(
        events.QUEUE_BLOCKED,
        queue=blocked.queue_name,
        batch_job_id=blocked.job_id,
        reason=done.reason,
        noted=done.noted,
        for_capacity=done.for_capacity,
    )
    return {"noted": int(done.noted), "begun": int(done.begun)}


powertools = PowertoolsTelemetry.of(SERVICE)


@cache
def warm() -> BlockedFlow:
    """The flow of this execution environment."""
    powertools.adopt_library_logs()
    return build(wire())


@powertools.metrics.log_metrics
@powertools.logger.inject_lambda_context
def handler(event: dict[str, Any], context: Context) -> dict[str, Any]:
    return handle(wire(), warm(), powertools, event, context)

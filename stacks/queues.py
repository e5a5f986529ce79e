"""Job queues, a pair for each family, and the policy by which shares divide them."""

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_batch as batch
from constructs import Construct

from stacks.environments import Environment
from stacks.families import FamilyName
from stacks.settings import DeploySettings

STUCK_AFTER = Duration.minutes(10)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePair:
    """The queues of one family: who falls back from Spot goes to the other one."""

    family: FamilyName
    spot: batch.JobQueue
    on_demand: batch.JobQueue


def job_queue(
    scope: Construct, environment: Environment, *, policy: batch.FairshareSchedulingPolicy | None
) -> batch.JobQueue:
    """The environment's own queue.

    One that began without a policy can't get one later, so with a policy it is another queue: it has another id.
    """
    reasons = batch.JobStateTimeLimitActionsReason
    return batch.JobQueue(
        scope,
        f"{environment.node.id}{'Shared' if policy else ''}Queue",
        priority=10,
        compute_environments=[batch.OrderedComputeEnvironment(compute_environment=environment, order=1)],
        scheduling_policy=policy,
        # A job that can never fit is cancelled. One that waits for capacity is not: the controller helps it out.
        job_state_time_limit_actions=[
            batch.JobStateTimeLimitAction(max_time=STUCK_AFTER, reason=reason)
            for reason in (reasons.JOB_RESOURCE_REQUIREMENT, reasons.COMPUTE_ENVIRONMENT_MAX_RESOURCE)
        ],
    )


def share_policy(scope: Construct, settings: DeploySettings) -> batch.FairshareSchedulingPolicy | None:
    """The policy of every queue; None if those who come first are served first."""
    if not settings.fair_shares:
        return None
    return batch.FairshareSchedulingPolicy(
        scope,
        "Shares",
        compute_reservation=settings.fair_share_reserve,
        share_decay=Duration.seconds(settings.fair_share_decay_s),
        shares=[
            batch.Share(share_identifier=name, weight_factor=float(weight)) for name, weight in settings.fair_shares
        ],
    )

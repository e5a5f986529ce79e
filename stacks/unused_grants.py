"""What roles may do and did not do in the tests on the local account: each with the reason why it stays granted."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

FUNCTIONS: Final = ("Events-*",)
AGENTS: Final = ("Compute-*HostRole*", "Compute-*ExecutionRole*")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnusedGrant:
    """Grants that no test makes use of. `*` stands for any text."""

    roles: tuple[str, ...]  # stack's suffix and logical id: `Events-Controller*`
    actions: tuple[str, ...]
    resource: str = "*"  # of the granted ARN, as far as it matters
    reason: str

    def covers(self, *, role: str, action: str, resource: str) -> bool:
        """Whether it is about this grant; `role`: without the deployment's prefix."""
        return (
            _any_matches(role, self.roles)
            and _any_matches(action, self.actions)
            and fnmatchcase(resource, self.resource)
        )


def _any_matches(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


UNUSED_GRANTS: Final = (
    UnusedGrant(
        roles=FUNCTIONS,
        actions=("logs:CreateLogStream", "logs:PutLogEvents"),
        reason="Lambda writes a function's log with the function's role; the local account keeps the output by itself.",
    ),
    UnusedGrant(
        roles=FUNCTIONS,
        actions=("sqs:SendMessage",),
        resource="*FailedEvents*",
        reason="Lambda sends what a function failed on to the queue with the function's role; the local account sends "
        "it by itself, and its tests see the message arrive.",
    ),
    UnusedGrant(
        roles=FUNCTIONS,
        actions=("xray:PutTraceSegments", "xray:PutTelemetryRecords"),
        reason="Lambda's own daemon sends the traces of a traced function with its role; there is no X-Ray locally.",
    ),
    UnusedGrant(
        roles=AGENTS,
        actions=("ecs:*", "ec2:DescribeTags", "ecr:*", "logs:*"),
        reason="The container agent and Docker on a real host call these; local hosts are processes without an agent. "
        "The list is that of AWS's own policy for such hosts, on fewer resources.",
    ),
    UnusedGrant(
        roles=("Compute-*FlowLogRole*",),
        actions=("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
        reason="VPC writes the flow logs with this role, by the list in its guide; the local network carries no traffic.",
    ),
    UnusedGrant(
        roles=("Compute-JobRole*", "Events-RunFinished*"),
        actions=("s3:AbortMultipartUpload",),
        reason="Asked only when writing an object of more than 16 MiB in parts fails half-way; the tests that do so use "
        "moto, where the local account's runs write small objects.",
    ),
    UnusedGrant(
        roles=("Events-RunFinished*",),
        actions=("s3:PutObjectTagging",),
        reason="The finalizer marks for the lifecycle what S3 refuses to delete; the emulator refuses nothing, the "
        "tests with a refusing bucket run on moto.",
    ),
    UnusedGrant(
        roles=("Events-RunFinished*",),
        actions=("s3:DeleteObject",),
        resource="*/checkpoints/*",
        reason="Workers delete a shard's checkpoints when they commit it; the finalizer those of a worker that died "
        "between the two, which no test on the local account hits by design.",
    ),
    UnusedGrant(
        roles=("Events-RunFinished*",),
        actions=("s3:GetObject",),
        resource="*/staging/*",
        reason="Workers publish what they commit; the finalizer copies the output of one that died between the two, "
        "which the tests of the function do on moto.",
    ),
    UnusedGrant(
        roles=("Events-Controller*",),
        actions=("s3:GetObject", "s3:DeleteObject"),
        resource="*/checkpoints/*",
        reason="The sweep deletes what dead epochs of long runs left of their checkpoints, long after the tests' runs of "
        "half a minute have ended; the tests of the controller do it on moto.",
    ),
    UnusedGrant(
        roles=("Events-Controller*",),
        actions=("batch:SubmitJob",),
        resource="*SpotQueue*",
        reason="The controller submits Spot workers only for a run whose workers are all gone and whose events were lost; "
        "the tests of the controller and the simulation lose them.",
    ),
    UnusedGrant(
        roles=("Events-JobStateChange*", "Events-QueueBlocked*"),
        actions=("batch:ListJobs",),
        reason="Asked only after a submission whose reply was lost: whether it gave a job all the same. The local account "
        "loses no replies; the tests of the functions and the simulation do.",
    ),
    UnusedGrant(
        roles=("Events-JobStateChange*",),
        actions=("ec2:DescribeSpotPriceHistory",),
        reason="A reclaimed worker of a run with a budget is replaced by what the run's money allows, which takes prices; "
        "the local runs that lose their last attempt have no budget.",
    ),
    UnusedGrant(
        roles=("Events-JobStateChange*",),
        actions=("batch:SubmitJob",),
        resource="*OnDemandQueue*",
        reason="A replacement goes on demand only while the breaker of its Spot pool is open, which takes three reclaims "
        "of one pool; the tests of the function open it.",
    ),
    UnusedGrant(
        roles=("Events-QueueBlocked*",),
        actions=("batch:GetJobQueueSnapshot",),
        resource="*OnDemandQueue*",
        reason="Looks at the front of the queue that the event is about; in the tests only Spot queues are blocked.",
    ),
    UnusedGrant(
        roles=("GameDays-ExperimentRole*",),
        actions=("ec2:DescribeInstances",),
        reason="FIS finds the instances of a target by their tags with the experiment's role; the local account knows "
        "them without asking.",
    ),
    UnusedGrant(
        roles=("Events-Controller*",),
        actions=("batch:CancelJob",),
        reason="Workers that still wait for a host are cancelled when their run is paused, or Spot is back; no local run "
        "is paused while workers wait, the tests of the controller do that on moto.",
    ),
    UnusedGrant(
        roles=("Events-SpotInterruption*", "Events-RebalanceRecommendation*"),
        actions=("s3:GetObject",),
        resource="*/control/*",
        reason="A stop file is read only where one lies already, so that a hint never replaces a notice; the tests of stop "
        "files let both come.",
    ),
    UnusedGrant(
        roles=("Events-Controller*", "Events-SpotInterruption*", "Events-RebalanceRecommendation*"),
        actions=("s3:ListBucket",),
        reason="The sweep lists the checkpoints of a run that it sweeps. And to a role that may not list, S3 answers 403 "
        "instead of 404 for a stop file that has just expired.",
    ),
)

"""Rules for Batch job definitions, about which no general tool knows anything."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final

from tools.guard.assembly import SUBSTITUTE, Assembly, Json, Resource, as_list
from tools.guard.rule import Rule

KINDS: Final = ("AWS::Batch::JobDefinition",)
TIMEOUT_S_MIN: Final = 60  # AWS Batch takes no less
CONDITIONS_MAX: Final = 5  # AWS Batch takes no more
FARGATE: Final = "FARGATE"
# statusReason of an attempt whose host was taken away: on an instance, and on Fargate Spot.
RECLAIMED: Final = ("Host EC2 (instance i-0123456789abcdef0) terminated.", "Your Spot Task was interrupted.")
SCRATCH: Final = "/tmp"
DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")


def _on_fargate(job: Resource) -> bool:
    return FARGATE in as_list(job.get("PlatformCapabilities"))


def has_timeout(job: Resource, _assembly: Assembly) -> Iterator[str]:
    seconds = job.get("Timeout.AttemptDurationSeconds")
    if not isinstance(seconds, int) or seconds < TIMEOUT_S_MIN:
        yield f"Timeout.AttemptDurationSeconds is {seconds}, needs {TIMEOUT_S_MIN} or more"


def has_own_log_group(job: Resource, assembly: Assembly) -> Iterator[str]:
    logging = job.get("ContainerProperties.LogConfiguration", {})
    options = logging.get("Options", {})
    group = options.get("awslogs-group")
    if logging.get("LogDriver") != "awslogs":
        yield "LogConfiguration is not awslogs: the output ends with the host"
    elif not any(each.kind == "AWS::Logs::LogGroup" for each in assembly.referred(group, by=job)):
        yield f"awslogs-group is {group!r}, needs a log group of the deployment"
    elif "awslogs-create-group" in options:
        yield "awslogs-create-group lets many hosts race to make one group"


def has_two_roles(job: Resource, _assembly: Assembly) -> Iterator[str]:
    role, execution = job.get("ContainerProperties.JobRoleArn"), job.get("ContainerProperties.ExecutionRoleArn")
    if not role:
        yield "no JobRoleArn: the program would act as the host"
    if not execution:
        yield "no ExecutionRoleArn: logs and images would be fetched as the host"
    if role and role == execution:
        yield "JobRoleArn and ExecutionRoleArn are one role: the program could do what only the agent must"


def runs_as_nobody(job: Resource, _assembly: Assembly) -> Iterator[str]:
    user = str(job.get("ContainerProperties.User", ""))
    if user.partition(":")[0] in ("", "0", "root"):
        yield f"User is {user!r}, needs a user that is not root"


def keeps_root_read_only(job: Resource, _assembly: Assembly) -> Iterator[str]:
    """On Fargate the root may be written: a host path for scratch does not exist there, and the disk ends with the task."""
    if _on_fargate(job):
        return
    if job.get("ContainerProperties.ReadonlyRootFilesystem") is not True:
        yield "ReadonlyRootFilesystem is not true"
    mounts = as_list(job.get("ContainerProperties.MountPoints"))
    if not any(mount.get("ContainerPath") == SCRATCH and mount.get("ReadOnly") is not True for mount in mounts):
        yield f"no writable mount on {SCRATCH}: with a read-only root a worker has no scratch"


def has_no_privileges(job: Resource, _assembly: Assembly) -> Iterator[str]:
    if job.get("ContainerProperties.Privileged") is True:
        yield "Privileged is true: the container would own the host"
    for device in as_list(job.get("ContainerProperties.LinuxParameters.Devices")):
        yield f"the host's device {device.get('HostPath')} is given to the container"
    for volume in as_list(job.get("ContainerProperties.Volumes")):
        path = (volume.get("Host") or {}).get("SourcePath")
        if path is not None:
            yield f"the host's {path} is given to the container: a volume without a path goes with its task"


def passes_signals(job: Resource, _assembly: Assembly) -> Iterator[str]:
    if job.get("ContainerProperties.LinuxParameters.InitProcessEnabled") is not True:
        yield "InitProcessEnabled is not true: process 1 ignores SIGTERM that it does not handle"


def ends_retries(job: Resource, _assembly: Assembly) -> Iterator[str]:
    attempts = job.get("RetryStrategy.Attempts", 1)
    conditions = as_list(job.get("RetryStrategy.EvaluateOnExit"))
    if not isinstance(attempts, int) or not 2 <= attempts <= 10:
        yield f"RetryStrategy.Attempts is {attempts}, needs 2 to 10"
    if len(conditions) > CONDITIONS_MAX:
        yield f"EvaluateOnExit has {len(conditions)} conditions, Batch takes {CONDITIONS_MAX}"
    reclaimed = RECLAIMED[_on_fargate(job)]
    first: Json = next((each for each in conditions if _matches(each, status_reason=reclaimed)), {})
    if first.get("Action") != "RETRY" or first.get("OnStatusReason", "*") == "*":
        yield f"no RETRY that is about {reclaimed!r} comes first: a reclaimed host would end the worker, or all is retried"
    if not conditions or conditions[-1] != {"Action": "EXIT", "OnReason": "*"}:
        yield 'EvaluateOnExit does not end with EXIT OnReason "*": what matches nothing is retried'


def _matches(condition: Json, *, status_reason: str) -> bool:
    """Whether it takes an attempt of which nothing but this is known, as of one whose host is gone."""
    others = ("OnReason", "OnExitCode")
    return all(condition.get(name, "*") == "*" for name in others) and fnmatchcase(
        status_reason, condition.get("OnStatusReason", "*")
    )


def names_image_by_digest(job: Resource, assembly: Assembly) -> Iterator[str]:
    image = assembly.text(job.get("ContainerProperties.Image", SUBSTITUTE), by=job)
    if not DIGEST.search(image):
        yield f"image {image} is not named by digest: set the context value worker_image to name@sha256:…"


JOB_RULES: Final = (
    Rule(
        name="job-timeout",
        kinds=KINDS,
        demand="every attempt has a time limit: a worker that hangs is paid for until somebody looks",
        check=has_timeout,
    ),
    Rule(
        name="job-logs",
        kinds=KINDS,
        demand="workers log to a group of the deployment: the default group is shared and kept for ever",
        check=has_own_log_group,
    ),
    Rule(
        name="job-roles",
        kinds=KINDS,
        demand="the program has a role of its own, apart from the role that fetches its image and ships its logs",
        check=has_two_roles,
    ),
    Rule(name="job-user", kinds=KINDS, demand="no worker runs as root", check=runs_as_nobody),
    Rule(
        name="job-read-only-root",
        kinds=KINDS,
        demand="on EC2 a worker writes only to its scratch: the root file system is read-only, /tmp is a mount",
        check=keeps_root_read_only,
    ),
    Rule(
        name="job-privileges",
        kinds=KINDS,
        demand="no container is privileged, has devices of the host, or sees a path of its disk",
        check=has_no_privileges,
    ),
    Rule(
        name="job-init",
        kinds=KINDS,
        demand="an init process passes SIGTERM on: otherwise a stopped worker is killed before it has saved",
        check=passes_signals,
    ),
    Rule(
        name="job-retries",
        kinds=KINDS,
        demand='a reclaimed worker is retried, and the last condition is EXIT on "*": Batch retries what nothing matches',
        check=ends_retries,
    ),
    Rule(
        name="job-image-digest",
        kinds=KINDS,
        demand="the worker's image is named by digest: a tag can be moved to other code",
        check=names_image_by_digest,
        strict=True,
    ),
)

"""What a request to AWS Batch is about, so that policies that name queues and jobs are enforced."""

import json
from collections.abc import Callable
from typing import Any, Final

from localcloud.batch.store import name_of
from localcloud.seams import Seams

# By operation: the parameter that names the resource, and the kind in its ARN (service authorization reference, AWS
# Batch). SubmitJob is about a job definition too; one resource is checked, and the queue says more. Every other
# operation is about all resources.
_SUBJECTS: Final = {
    "submitjob": ("jobQueue", "job-queue"),
    "getjobqueuesnapshot": ("jobQueue", "job-queue"),
    "updatejobqueue": ("jobQueue", "job-queue"),
    "deletejobqueue": ("jobQueue", "job-queue"),
    "updatecomputeenvironment": ("computeEnvironment", "compute-environment"),
    "deletecomputeenvironment": ("computeEnvironment", "compute-environment"),
    "canceljob": ("jobId", "job"),
    "terminatejob": ("jobId", "job"),
    "canceljobs": ("jobs", "job"),
    "terminatejobs": ("jobs", "job"),
}


def install_batch_authorization(seams: Seams) -> None:
    """Let the emulator ask us for the resource of a request to Batch; it knows none."""
    before: Callable[..., str] = seams.iam_actions.extract_resource_arn

    def resource_of(
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: dict[str, Any],
        region: str,
        account: str,
    ) -> str:
        if service != "batch":
            return before(service, method, path, headers, body, query, region, account)
        return subject_of(path, body, place=f"{region}:{account}")

    seams.iam_actions.extract_resource_arn = resource_of


def subject_of(path: str, body: bytes, *, place: str) -> str:
    """The ARN of what the request is about, `*` if it is about no single resource; `place`: region:account."""
    subject = _SUBJECTS.get(path.rstrip("/").rpartition("/")[2].lower())
    if subject is None:
        return "*"
    parameter, kind = subject
    try:
        given = json.loads(body or b"{}")[parameter]
        name = given[0] if isinstance(given, list) else given  # of many jobs the first
    except (ValueError, LookupError, TypeError):
        return "*"  # Batch refuses such a request
    return f"arn:aws:batch:{place}:{kind}/{name_of(str(name))}"

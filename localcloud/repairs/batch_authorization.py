"""What a request to AWS Batch is about, so that policies that name queues, definitions and jobs are enforced."""

import json
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from localcloud.batch.store import name_of
from localcloud.seams import Seams

# By operation: the parameter that names the resource, and the kind in its ARN (service authorization reference, AWS
# Batch). Every other operation is about all resources.
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
SUBMIT: Final = "batch:SubmitJob"

Check = tuple[str, str]  # action and resource


def install_batch_authorization(seams: Seams) -> None:
    """Let the emulator ask us what a request to Batch is about; it knows nothing of it.

    It asks for one resource, and checks one action on it. What SubmitJob needs besides is checked right after.
    """
    resource_before: Callable[..., str] = seams.iam_actions.extract_resource_arn
    enforce: Callable[..., Any] = seams.iam_evaluator.enforce
    besides: ContextVar[tuple[Check, ...]] = ContextVar("besides", default=())  # of the request being served

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
            return resource_before(service, method, path, headers, body, query, region, account)
        besides.set(tuple(also_needed(path, body, place=f"{region}:{account}")))
        return subject_of(path, body, place=f"{region}:{account}")

    def enforced(key: str, action: str, service: str, region: str, resource_arn: str = "*", **more: Any) -> Any:
        refusal = enforce(key, action, service, region, resource_arn=resource_arn, **more)
        checks = besides.get() if action == SUBMIT else ()
        for other_action, other_resource in checks:
            refusal = refusal or enforce(key, other_action, service, region, resource_arn=other_resource, **more)
        return refusal

    seams.iam_actions.extract_resource_arn = resource_of
    seams.iam_evaluator.enforce = enforced


def subject_of(path: str, body: bytes, *, place: str) -> str:
    """The ARN of what the request is about, `*` if it is about no single resource; `place`: region:account."""
    subject = _SUBJECTS.get(_operation(path))
    if subject is None:
        return "*"
    parameter, kind = subject
    try:
        given = _parameters(body)[parameter]
        name = given[0] if isinstance(given, list) else given  # of many jobs the first
    except (LookupError, TypeError):
        return "*"  # Batch refuses such a request
    return f"arn:aws:batch:{place}:{kind}/{name_of(str(name))}"


def also_needed(path: str, body: bytes, *, place: str) -> list[Check]:
    """What submitting needs besides the queue: the job definition, and to tag the job if it gets tags."""
    if _operation(path) != "submitjob":
        return []
    parameters = _parameters(body)
    definition = str(parameters.get("jobDefinition", "")).rpartition("/")[
        2
    ]  # a name, or an ARN, with revision or without
    checks = [(SUBMIT, f"arn:aws:batch:{place}:job-definition/{definition}")]
    if parameters.get("tags"):
        checks.append(("batch:TagResource", f"arn:aws:batch:{place}:job/new"))
    return checks


def _operation(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2].lower()


def _parameters(body: bytes) -> dict[str, Any]:
    try:
        parameters = json.loads(body or b"{}")
    except ValueError:
        return {}
    return parameters if isinstance(parameters, dict) else {}

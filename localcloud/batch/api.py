"""The REST face of AWS Batch: one handler that the emulator routes to."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from localcloud.batch.operations import JobOperations
from localcloud.batch.parameters import ClientException, checked, operations_by_path
from localcloud.batch.resources import Resources
from localcloud.batch.store import BatchStore, name_of
from localcloud.reactor import Reactor
from localcloud.seams import Response, Seams

Operation = Callable[[BatchStore, dict[str, Any]], dict[str, Any]]

SUBMIT_BYTES_MAX = 30 * 1024
_TAGS = "/v1/tags/"
_JSON = {"Content-Type": "application/json"}


class BatchApi:
    """Finds the operation in botocore's model, checks its parameters and runs it while the state is held."""

    def __init__(
        self,
        *,
        seams: Seams,
        reactor: Reactor,
        store_for: Callable[[str, str], BatchStore],
        resources: Resources,
        jobs: JobOperations,
    ) -> None:
        self._seams = seams
        self._reactor = reactor
        self._store_for = store_for
        self._operations: dict[str, Operation] = {
            **_public_methods(resources),
            **_public_methods(jobs, without=("stop_everything", "stop_queue")),
        }

    def call(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """Run an operation for the account and region of the current request.

        Raises:
            ClientException: what Batch answers with 400.
        """
        run = self._operations.get(operation)
        if run is None:
            raise ClientException(f"the local account doesn't implement Batch's {operation}")
        parameters = checked(operation, given)
        with self._reactor.changing():
            return run(self._store_for(*self._seams.current()), parameters)

    def wait_until_deleted(self, queue_arn: str, *, timeout_s: float) -> bool:
        """Wait for the jobs of a queue that is being deleted; must not run on the event loop. False: time is over."""
        with self._reactor.reading():
            queue = self._store_for(*self._seams.current()).queues.get(name_of(queue_arn))
        return queue is None or queue.gone.wait(timeout_s)

    async def handle(
        self, method: str, path: str, _headers: dict[str, str], body: bytes, query: dict[str, Any]
    ) -> Response:
        """Answer one HTTP request."""
        try:
            if path.startswith(_TAGS):
                answer = self._tags(method, unquote(path.removeprefix(_TAGS)), body, query)
            else:
                answer = self._dispatch(method, path.rstrip("/").lower(), body)
        except ClientException as error:
            headers = {**_JSON, "x-amzn-ErrorType": "ClientException"}
            return 400, headers, json.dumps({"message": str(error)}).encode()
        return 200, dict(_JSON), json.dumps(answer).encode()

    def _dispatch(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        operation = operations_by_path().get((method, path))
        if operation is None:
            raise ClientException(f"AWS Batch has no operation {method} {path}")
        if operation == "SubmitJob" and len(body) > SUBMIT_BYTES_MAX:
            raise ClientException(f"SubmitJob takes at most {SUBMIT_BYTES_MAX} bytes, got {len(body)}")
        return self.call(operation, _object(body))

    def _tags(self, method: str, arn: str, body: bytes, query: dict[str, Any]) -> dict[str, Any]:
        with self._reactor.changing():
            tags = _tags_of(self._store_for(*self._seams.current()), arn)
            match method:
                case "GET":
                    return {"tags": dict(tags)}
                case "POST":
                    tags.update(checked("TagResource", {**_object(body), "resourceArn": arn})["tags"])
                case "DELETE":
                    for key in query.get("tagKeys", []):
                        tags.pop(key, None)
            return {}


def _public_methods(owner: object, without: tuple[str, ...] = ()) -> dict[str, Operation]:
    """`submit_job` of the owner as the operation SubmitJob, and so on."""
    names = [name for name in vars(type(owner)) if not name.startswith("_") and name not in without]
    return {"".join(word.capitalize() for word in name.split("_")): getattr(owner, name) for name in names}


def _object(body: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError as error:
        raise ClientException(f"the request body is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ClientException("the request body must be a JSON object")
    return parsed


def _tags_of(store: BatchStore, arn: str) -> dict[str, str]:
    kind, _, name = arn.rpartition(":batch:")[2].partition(":")[2].partition(":")[2].partition("/")
    try:
        match kind:
            case "job":
                return store.jobs[name].tags
            case "job-definition":
                tags: dict[str, str] = store.definition(name).setdefault("tags", {})
                return tags
            case "job-queue":
                return _tags_in(store.queues[name].document)
            case "compute-environment":
                return _tags_in(store.environments[name].document)
            case "scheduling-policy":
                return _tags_in(store.policies[name])
    except KeyError:
        pass
    raise ClientException(f"Object does not exist: {arn}")


def _tags_in(document: dict[str, Any]) -> dict[str, str]:
    """The document's tags, which the caller may change."""
    tags: dict[str, str] = document.setdefault("tags", {})
    return tags

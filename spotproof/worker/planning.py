"""Planning or joining a run: whichever worker comes first plans, all others find its plan."""

import hashlib
import json
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spotproof import contract, events
from spotproof.clock import Clock, to_epoch_ms
from spotproof.errors import InputError, RunConflictError
from spotproof.leases.model import Run, RunId, RunOptions, RunState
from spotproof.leases.sizing import choose_partitions
from spotproof.leases.store import LeaseStore
from spotproof.retries import Retrier
from spotproof.shards.plan_file import StoredPlan, write_plan
from spotproof.shards.planner import plan_run
from spotproof.worker.options import options_to_json

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)
RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
WORKERS_MAX_EXPECTED: Final = (
    10_000  # the most children an array of Batch has; partitions are laid out for so many at a time
)
PLANNER_POLL_S: Final = 0.5
PLANNER_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What one worker was asked to work on; all workers of a run are asked the same."""

    run_id: RunId
    job: str
    input_uri: str
    output_uri: str  # ends with /
    shard_by: str
    options: RunOptions
    queue: str
    job_definition: str
    batch_job_id: str = ""  # of the worker that asks; empty outside Batch
    workers: int = 1  # how many were submitted with it
    planner_patience_s: float = 0.0  # how long to wait for another worker's plan before making one

    @property
    def parameters_sha256(self) -> str:
        """What must be equal for two submissions to be the same run; the queue may differ."""
        parameters = {
            "job": self.job,
            "input": self.input_uri,
            "output": self.output_uri,
            "shard_by": self.shard_by,
            "options": options_to_json(self.options),
        }
        return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()


def choose_run_id(given: str, *, parent_job_id: str) -> RunId:
    """The run's id: as given, or for "auto" the id of the Batch job, which all children of an array share.

    Raises:
        InputError: outside Batch with "auto", or an id of other characters than A-Z a-z 0-9 . _ -, or over 64.
    """
    run_id = parent_job_id if given == contract.AUTO else given
    if not run_id:
        raise InputError("run=auto needs a Batch job id: give a run id, e.g. --run 2026-11-22")
    if not RUN_ID.fullmatch(run_id):
        raise InputError(
            f"run id {run_id[:80]!r} must be 1 to 64 of A-Z a-z 0-9 . _ - and start with a letter or digit"
        )
    return RunId(run_id)


def choose_patience_s(array_index: int) -> float:
    """Seconds to wait for somebody else's plan: the array's first worker plans at once, the others give it time."""
    return 0.0 if array_index == 0 else PLANNER_PATIENCE_S


def choose_output_uri(given: str, *, data_bucket: str, run_id: RunId) -> str:
    """Where the output goes, with a closing slash; "auto" is output/<run>/ in the data bucket.

    Raises:
        InputError: not s3://bucket/prefix.
    """
    uri = f"s3://{data_bucket}/output/{run_id}/" if given == contract.AUTO else given
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket or not prefix.strip("/"):
        raise InputError(f"output {uri!r} must be s3://bucket/prefix/")
    return uri if uri.endswith("/") else uri + "/"


class RunJoiner:
    """Finds the run in the table, or plans it."""

    def __init__(self, *, store: LeaseStore, s3: "S3Client", retrier: Retrier, clock: Clock, work_bucket: str) -> None:
        self._store = store
        self._s3 = s3
        self._retrier = retrier
        self._clock = clock
        self._work_bucket = work_bucket

    def join(self, request: RunRequest) -> Run:
        """The run, planned by us if nobody did.

        Raises:
            RunConflictError: a run of this id has other parameters.
            InputError: the input can't be planned; the text says why.
            AwsError: table or buckets can't be reached.
        """
        run = self._store.get_run(request.run_id) or self._await_planner(request) or self._plan(request)
        if run.parameters_sha256 != request.parameters_sha256:
            raise RunConflictError(
                f"run {request.run_id!r} exists with other parameters (job {run.job}, input {run.input_uri}); "
                "choose another run id, or submit exactly the same again to join it"
            )
        logger.info(events.RUN_JOINED, extra={"shards": run.shards, "stripes": run.stripes, "state": run.state})
        return run

    def _await_planner(self, request: RunRequest) -> Run | None:
        """The run, once the array's first worker has planned it; None if it does not within our patience.

        A thousand workers listing the same input at once would cost time and money; only patience waits for a planner
        that never started, correctness does not depend on it.
        """
        waited_s = 0.0
        while waited_s < request.planner_patience_s:
            self._clock.sleep(PLANNER_POLL_S)
            waited_s += PLANNER_POLL_S
            run = self._store.get_run(request.run_id)
            if run is not None:
                return run
        return None

    def _plan(self, request: RunRequest) -> Run:
        plan = plan_run(s3=self._s3, retrier=self._retrier, input_uri=request.input_uri, shard_by=request.shard_by)
        key = contract.plan_key(request.run_id, request.parameters_sha256)
        stored = write_plan(plan, s3=self._s3, retrier=self._retrier, bucket=self._work_bucket, key=key)
        run = self._store.create_run(self._new_run(request, stored))
        logger.info(events.RUN_PLANNED, extra=_planned_fields(stored))
        return run

    def _new_run(self, request: RunRequest, stored: StoredPlan) -> Run:
        shards = stored.header.shards
        partitions = choose_partitions(shards=shards, workers=min(WORKERS_MAX_EXPECTED, shards))
        return Run(
            run_id=request.run_id,
            state=RunState.RUNNING,
            job=request.job,
            plan_key=stored.key,
            plan_sha256=stored.sha256,
            parameters_sha256=request.parameters_sha256,
            input_uri=request.input_uri,
            output_uri=request.output_uri,
            shards=shards,
            stripes=partitions.stripes,
            session_buckets=partitions.session_buckets,
            options=request.options,
            closed=frozenset(),
            created_at=to_epoch_ms(self._clock.now()),
            batch_queue=request.queue or None,
            batch_job_definition=request.job_definition or None,
            batch_job_id=request.batch_job_id or None,
            workers=request.workers,
        )


def _planned_fields(stored: StoredPlan) -> dict[str, Any]:
    header = stored.header
    return {"shards": header.shards, "plan_is_new": stored.created, "plan": stored.key, "skew": str(header.skew)}

"""Topping up a run's workers: each reason submits one Batch job, once, however often it is reported."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from spotproof import contract
from spotproof.capacity.memory import memory_override
from spotproof.capacity.submitted_workers import KEY_PREFIX, SubmittedWorkers, submitted_from_item
from spotproof.capacity.topup_items import Hold, claim_from_item, count_from_item, hold_from_item, job_id_from_item
from spotproof.clock import Clock, to_epoch_ms
from spotproof.errors import AwsUnavailableError
from spotproof.ids import IdSource
from spotproof.retries import Retrier, as_aws_error, error_code, is_transient

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_dynamodb import DynamoDBClient

SCHEMA: Final = 1
IN_FLIGHT: Final = timedelta(seconds=45)  # longer than a handler lives, shorter than Lambda's first retry after a crash
SUBMIT_TRIES_MAX: Final = 3
JOB_NAME_MAX: Final = 128  # SubmitJob of the Batch API: letters, digits, hyphens, underscores
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")
_OURS: Final = re.compile(r"-[a-z][0-9a-f]{12}")  # how TopUpRequest.job_name ends
_CANCELLED: Final = "TransactionCanceledException"


class TopUpKind(StrEnum):
    """Why; each kind has its own counter and cap per run."""

    REPLACEMENT = "replacement"  # a worker used up its Batch attempts through no fault of its own
    STUCK = "stuck"  # work is left and nobody works on it
    FALLBACK = "fallback"  # on-demand workers, because Spot leaves work waiting


CAPS: Final[Mapping[TopUpKind, int]] = {  # jobs per run
    TopUpKind.REPLACEMENT: 500,
    TopUpKind.STUCK: 20,
    TopUpKind.FALLBACK: 1000,
}
ARRAY_MAX: Final = 10_000  # children of one array job (Batch service quotas)


class TopUpResult(StrEnum):
    SUBMITTED = "submitted"
    ALREADY = "already"  # an earlier delivery did it
    IN_FLIGHT = "in-flight"  # another delivery is at it right now
    CAPPED = "capped"  # the run had as many as it may have
    TOO_SOON = "too-soon"  # others of the kind came just before; Batch may not list them yet


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpRequest:
    """Workers to submit as one job. `key` names the reason: the same key never gives two jobs."""

    run_id: str
    key: str
    kind: TopUpKind
    job_queue: str
    job_definition: str  # with its revision: a run must not change code half-way
    parameters: Mapping[str, str]
    base_name: str
    workers: int = 1  # more than one make an array, of ARRAY_MAX at most
    tags: Mapping[str, str] = field(default_factory=dict)
    memory_mib: int | None = None  # None: as the job definition says
    share: str = ""  # of those who share the queue; empty: nobody does
    spacing_s: float = 0.0  # nothing if the run's last job of the kind was submitted less than this before

    @property
    def job_name(self) -> str:
        """Derived from run and key, so that a submission whose record was lost can be found again."""
        digest = hashlib.sha256(f"{self.run_id}\n{self.key}".encode()).hexdigest()[:12]
        return f"{_NOT_IN_NAMES.sub('-', self.base_name)[: JOB_NAME_MAX - 14]}-{self.kind[:1]}{digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpOutcome:
    result: TopUpResult
    job_id: str | None
    reason: str


def is_top_up(job_name: str) -> bool:
    """Whether a function submitted the job, by its name: known also where the record of it was lost."""
    return _OURS.fullmatch(job_name[-14:]) is not None


def worker_parameters(parameters: Mapping[str, str], *, run_id: str) -> dict[str, str]:
    """Parameters of another worker of the run: `run` is spelled out, because "auto" means the worker's own job id."""
    return {**parameters, "run": run_id}


class WorkerTopUp:
    """Submits workers with a marker item per key: claimed, submitted, recorded."""

    def __init__(
        self,
        *,
        dynamodb: "DynamoDBClient",
        batch: "BatchClient",
        table_name: str,
        clock: Clock,
        ids: IdSource,
        retrier: Retrier,
    ) -> None:
        self._dynamodb = dynamodb
        self._batch = batch
        self._table_name = table_name
        self._clock = clock
        self._ids = ids
        self._retrier = retrier

    def submit_once(self, request: TopUpRequest) -> TopUpOutcome:
        """Submit the worker unless the key was served before.

        Claim (with the run's counter, in one transaction), submit, record. Whoever finds a claim that was never
        recorded looks for the job by its name, in the queue that was chosen then, before submitting it there.

        Raises:
            AwsAccessError, AwsMissingError, AwsUnavailableError: table or Batch refused; calling again is safe.
            ItemError: the key's marker is damaged; nothing is submitted.
        """
        claimant = self._ids.nonce()
        if self._claim(request, claimant):
            return self._submit(request, search=False)
        marker = self._marker(request.run_id, request.key)
        if marker is None:
            return self._refusal(request)
        job_id = job_id_from_item(marker)
        if job_id is not None:
            return TopUpOutcome(result=TopUpResult.ALREADY, job_id=job_id, reason="served before")
        claim = claim_from_item(marker)
        mine = claim.claimant == claimant  # our own claim, its reply lost
        if not mine and not self._take_over(request, claim.until, claimant):
            return TopUpOutcome(result=TopUpResult.IN_FLIGHT, job_id=None, reason="another delivery is at it")
        return self._submit(replace(request, job_queue=claim.job_queue), search=not mine)

    def job_of(self, run_id: str, key: str) -> str | None:
        """The job that the key gave; None if it gave none that is known. Errors as of `submitted`."""
        marker = self._marker(run_id, key)
        return None if marker is None else job_id_from_item(marker)

    def submitted(self, run_id: str) -> Iterator[SubmittedWorkers]:
        """What was submitted for the run or is about to be, whatever became of it.

        Workers that were cancelled before they came are left out. As many reads as markers fill pages of 1 MB. Markers
        of versions that noted no time say 1970.

        Raises:
            AwsError: the table refused or stayed unavailable.
            ItemError: a marker can't be what this program wrote.
        """
        start: dict[str, Any] = {}
        while True:
            page = self._call(
                "reading top-ups",
                self._dynamodb.query,
                KeyConditionExpression="#pk = :pk",
                ExpressionAttributeNames={"#pk": contract.PARTITION_KEY},
                ExpressionAttributeValues={":pk": {"S": contract.topups_pk(run_id)}},
                ConsistentRead=True,
                **start,
            )
            for item in page["Items"]:
                if "job_queue" in item:
                    yield submitted_from_item(item)
            if "LastEvaluatedKey" not in page:
                return
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def keep_only(self, run_id: str, key: str, *, workers: int) -> None:
        """Note that of the workers that the key gave only so many come: the others were cancelled."""
        self._call(
            f"taking back top-up {key} of run {run_id}",
            self._dynamodb.update_item,
            Key=self._key(run_id, f"{KEY_PREFIX}{key}"),
            UpdateExpression="SET #workers = :workers",
            ExpressionAttributeNames={"#workers": "workers"},
            ExpressionAttributeValues={":workers": {"N": str(workers)}},
        )

    def hold(self, run_id: str, *, reason: str) -> None:
        """Note that the run should get no workers from us; the newest note counts."""
        self._call(
            "noting a hold",
            self._dynamodb.put_item,
            Item={
                **self._key(run_id, "HOLD"),
                "schema": {"N": str(SCHEMA)},
                "since": {"N": str(to_epoch_ms(self._clock.now()))},
                "reason": {"S": reason[:1000]},
            },
        )

    def held(self, run_id: str) -> Hold | None:
        """The newest note, if there is one.

        Raises:
            AwsError: the table refused or stayed unavailable.
            ItemError: the note is damaged.
        """
        answer = self._call("reading a hold", self._dynamodb.get_item, Key=self._key(run_id, "HOLD"))
        item = answer.get("Item")
        return None if item is None else hold_from_item(item)

    def _claim(self, request: TopUpRequest, claimant: str) -> bool:
        assert 1 <= request.workers <= ARRAY_MAX, f"a job has 1 to {ARRAY_MAX} workers, not {request.workers}"
        now = to_epoch_ms(self._clock.now())
        marker = {
            **self._key(request.run_id, f"{KEY_PREFIX}{request.key}"),
            "schema": {"N": str(SCHEMA)},
            "claimant": {"S": claimant},
            "until": {"N": self._until()},
            "job_name": {"S": request.job_name},
            "job_queue": {"S": request.job_queue},
            "workers": {"N": str(request.workers)},
            "claimed_at": {"N": str(now)},
        }
        put = {
            "TableName": self._table_name,
            "Item": marker,
            "ConditionExpression": "attribute_not_exists(#pk)",
            "ExpressionAttributeNames": {"#pk": contract.PARTITION_KEY},
        }
        count: dict[str, Any] = {
            "TableName": self._table_name,
            "Key": self._key(request.run_id, f"COUNT#{request.kind}"),
            "UpdateExpression": "SET #schema = :schema, #last_at = :now ADD #count :one",
            "ConditionExpression": "attribute_not_exists(#count) OR #count < :cap",
            "ExpressionAttributeNames": {"#count": "count", "#schema": "schema", "#last_at": "last_at"},
            "ExpressionAttributeValues": {
                ":one": {"N": "1"},
                ":cap": {"N": str(CAPS[request.kind])},
                ":now": {"N": str(now)},
                ":schema": {"N": str(SCHEMA)},
            },
        }
        if request.spacing_s > 0:
            count["ConditionExpression"] = "attribute_not_exists(#count) OR (#count < :cap AND #last_at <= :before)"
            count["ExpressionAttributeValues"][":before"] = {"N": str(now - round(request.spacing_s * 1000))}
        doing = f"claiming top-up {request.key} of run {request.run_id}"
        try:
            self._retrier.call(
                doing, self._dynamodb.transact_write_items, TransactItems=[{"Put": put}, {"Update": count}]
            )
        except ClientError as error:
            if error_code(error) != _CANCELLED:
                raise as_aws_error(error, doing=doing) from error
            reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
            if "ConditionalCheckFailed" not in reasons:
                raise AwsUnavailableError(f"{doing}: DynamoDB cancelled it for {reasons}; try again") from error
            return False
        return True

    def _refusal(self, request: TopUpRequest) -> TopUpOutcome:
        """Why the counter let nothing be claimed."""
        cap, kind = CAPS[request.kind], request.kind
        answer = self._call(
            f"reading the number of {kind}s",
            self._dynamodb.get_item,
            Key=self._key(request.run_id, f"COUNT#{kind}"),
            ConsistentRead=True,
        )
        count = count_from_item(answer.get("Item", {}))
        if count >= cap:
            reason = f"{cap} {kind}s per run at most"
            return TopUpOutcome(result=TopUpResult.CAPPED, job_id=None, reason=reason)
        reason = f"another {kind} was submitted within {request.spacing_s:g} s"
        return TopUpOutcome(result=TopUpResult.TOO_SOON, job_id=None, reason=reason)

    def _take_over(self, request: TopUpRequest, seen_until: int, claimant: str) -> bool:
        """Become the claimant of a claim that ran out; False if it has not, or somebody else was faster."""
        if seen_until > to_epoch_ms(self._clock.now()):
            return False
        doing = f"taking over top-up {request.key} of run {request.run_id}"
        try:
            self._retrier.call(
                doing,
                self._dynamodb.update_item,
                TableName=self._table_name,
                Key=self._key(request.run_id, f"{KEY_PREFIX}{request.key}"),
                UpdateExpression="SET #claimant = :claimant, #until = :until",
                ConditionExpression="(#until = :seen OR #claimant = :claimant) AND attribute_not_exists(#job_id)",
                ExpressionAttributeNames={"#claimant": "claimant", "#until": "until", "#job_id": "job_id"},
                ExpressionAttributeValues={
                    ":claimant": {"S": claimant},
                    ":until": {"N": self._until()},
                    ":seen": {"N": str(seen_until)},
                },
            )
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return False
            raise as_aws_error(error, doing=doing) from error
        return True

    def _submit(self, request: TopUpRequest, *, search: bool) -> TopUpOutcome:
        found = self._find(request) if search else None
        job_id = found or self._submit_job(request)
        self._call(
            "recording a top-up",
            self._dynamodb.update_item,
            Key=self._key(request.run_id, f"{KEY_PREFIX}{request.key}"),
            UpdateExpression="SET #job_id = :job_id",
            ExpressionAttributeNames={"#job_id": "job_id"},
            ExpressionAttributeValues={":job_id": {"S": job_id}},
        )
        reason = "found the job of an earlier try" if found else f"{request.kind} {request.key}"
        return TopUpOutcome(result=TopUpResult.SUBMITTED, job_id=job_id, reason=reason)

    def _submit_job(self, request: TopUpRequest) -> str:
        """SubmitJob has no idempotency token: after a failure of unknown effect the job is looked for by name."""
        doing = f"submitting worker {request.job_name} to {request.job_queue}"
        for attempt in range(1, SUBMIT_TRIES_MAX + 1):
            try:
                answer = self._batch.submit_job(
                    jobName=request.job_name,
                    jobQueue=request.job_queue,
                    jobDefinition=request.job_definition,
                    parameters=dict(request.parameters),
                    **_optional_parameters(request),
                )
            except (ClientError, BotoCoreError) as error:
                if not is_transient(error) or attempt == SUBMIT_TRIES_MAX:
                    raise as_aws_error(error, doing=doing) from error
                self._clock.sleep(self._retrier.policy.delay_s(attempt, self._retrier.rng))
                found = self._find(request)
                if found:
                    return found
            else:
                return answer["jobId"]
        raise AssertionError("the last try returns or raises")

    def _find(self, request: TopUpRequest) -> str | None:
        answer = self._call_batch(
            f"looking for worker {request.job_name}",
            self._batch.list_jobs,
            jobQueue=request.job_queue,
            filters=[{"name": "JOB_NAME", "values": [request.job_name]}],
        )
        jobs = [job["jobId"] for job in answer["jobSummaryList"] if job["jobName"] == request.job_name]
        return min(jobs, default=None)

    def _marker(self, run_id: str, key: str) -> Any:
        answer = self._call(
            f"reading top-up {key} of run {run_id}",
            self._dynamodb.get_item,
            Key=self._key(run_id, f"{KEY_PREFIX}{key}"),
            ConsistentRead=True,
        )
        return answer.get("Item")

    def _key(self, run_id: str, name: str) -> dict[str, dict[str, str]]:
        return {contract.PARTITION_KEY: {"S": contract.topups_pk(run_id)}, contract.SORT_KEY: {"S": name}}

    def _until(self) -> str:
        return str(to_epoch_ms(self._clock.now() + IN_FLIGHT))

    def _call(self, doing: str, request: Any, **parameters: Any) -> Any:
        return self._call_batch(doing, request, TableName=self._table_name, **parameters)

    def _call_batch(self, doing: str, request: Any, **parameters: Any) -> Any:
        try:
            return self._retrier.call(doing, request, **parameters)
        except ClientError as error:
            raise as_aws_error(error, doing=doing) from error


def _optional_parameters(request: TopUpRequest) -> dict[str, Any]:
    """What SubmitJob is told only where it differs from a plain worker of the job definition."""
    given: dict[str, Any] = {}
    if request.workers > 1:
        given["arrayProperties"] = {"size": request.workers}
    if request.tags:
        given["tags"] = dict(request.tags)
    if request.share:
        given["shareIdentifier"] = request.share
    if request.memory_mib is not None:
        told = {"name": contract.ENV_MEMORY, "value": str(request.memory_mib)}
        given["containerOverrides"] = {**memory_override(request.memory_mib), "environment": [told]}
    return given

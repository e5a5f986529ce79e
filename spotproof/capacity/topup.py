"""Topping up a run's workers: each reason submits one Batch job, once, however often it is reported."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from spotproof import contract
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
_CANCELLED: Final = "TransactionCanceledException"


class TopUpKind(StrEnum):
    """Why; each kind has its own counter and cap per run."""

    REPLACEMENT = "replacement"  # a worker used up its Batch attempts through no fault of its own
    STUCK = "stuck"  # work is left and nobody works on it


CAPS: Final[Mapping[TopUpKind, int]] = {TopUpKind.REPLACEMENT: 500, TopUpKind.STUCK: 20}


class TopUpResult(StrEnum):
    SUBMITTED = "submitted"
    ALREADY = "already"  # an earlier delivery did it
    IN_FLIGHT = "in-flight"  # another delivery is at it right now
    CAPPED = "capped"  # the run had as many as it may have


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpRequest:
    """One worker to submit. `key` names the reason: the same key never gives two workers."""

    run_id: str
    key: str
    kind: TopUpKind
    job_queue: str
    job_definition: str  # with its revision: a run must not change code half-way
    parameters: Mapping[str, str]
    base_name: str

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Somebody or something wants no new workers for the run until it is submitted again."""

    since: int  # epoch ms
    reason: str


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
        recorded looks for the job by its name before submitting.

        Raises:
            AwsAccessError, AwsMissingError, AwsUnavailableError: table or Batch refused; calling again is safe.
        """
        claimant = self._ids.nonce()
        if self._claim(request, claimant):
            return self._submit(request, search=False)
        marker = self._marker(request.run_id, request.key)
        if marker is None:
            cap = CAPS[request.kind]
            return TopUpOutcome(result=TopUpResult.CAPPED, job_id=None, reason=f"{cap} {request.kind}s per run at most")
        if "job_id" in marker:
            return TopUpOutcome(result=TopUpResult.ALREADY, job_id=marker["job_id"]["S"], reason="served before")
        mine = marker["claimant"]["S"] == claimant  # our own claim, its reply lost
        if not mine and not self._take_over(request, marker["until"]["N"], claimant):
            return TopUpOutcome(result=TopUpResult.IN_FLIGHT, job_id=None, reason="another delivery is at it")
        return self._submit(request, search=not mine)

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
        """The newest note, if there is one."""
        answer = self._call("reading a hold", self._dynamodb.get_item, Key=self._key(run_id, "HOLD"))
        item = answer.get("Item")
        return None if item is None else Hold(since=int(item["since"]["N"]), reason=item["reason"]["S"])

    def _claim(self, request: TopUpRequest, claimant: str) -> bool:
        marker = {
            **self._key(request.run_id, f"KEY#{request.key}"),
            "schema": {"N": str(SCHEMA)},
            "claimant": {"S": claimant},
            "until": {"N": self._until()},
            "job_name": {"S": request.job_name},
        }
        put = {
            "TableName": self._table_name,
            "Item": marker,
            "ConditionExpression": "attribute_not_exists(#pk)",
            "ExpressionAttributeNames": {"#pk": contract.PARTITION_KEY},
        }
        count = {
            "TableName": self._table_name,
            "Key": self._key(request.run_id, f"COUNT#{request.kind}"),
            "UpdateExpression": "SET #schema = :schema ADD #count :one",
            "ConditionExpression": "attribute_not_exists(#count) OR #count < :cap",
            "ExpressionAttributeNames": {"#count": "count", "#schema": "schema"},
            "ExpressionAttributeValues": {
                ":one": {"N": "1"},
                ":cap": {"N": str(CAPS[request.kind])},
                ":schema": {"N": str(SCHEMA)},
            },
        }
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

    def _take_over(self, request: TopUpRequest, seen_until: str, claimant: str) -> bool:
        """Become the claimant of a claim that ran out; False if it has not, or somebody else was faster."""
        if int(seen_until) > to_epoch_ms(self._clock.now()):
            return False
        doing = f"taking over top-up {request.key} of run {request.run_id}"
        try:
            self._retrier.call(
                doing,
                self._dynamodb.update_item,
                TableName=self._table_name,
                Key=self._key(request.run_id, f"KEY#{request.key}"),
                UpdateExpression="SET #claimant = :claimant, #until = :until",
                ConditionExpression="(#until = :seen OR #claimant = :claimant) AND attribute_not_exists(#job_id)",
                ExpressionAttributeNames={"#claimant": "claimant", "#until": "until", "#job_id": "job_id"},
                ExpressionAttributeValues={
                    ":claimant": {"S": claimant},
                    ":until": {"N": self._until()},
                    ":seen": {"N": seen_until},
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
            Key=self._key(request.run_id, f"KEY#{request.key}"),
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
            Key=self._key(run_id, f"KEY#{key}"),
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

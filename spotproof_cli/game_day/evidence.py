"""Everything that was seen of a game day, and who reads it together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from spotproof import contract, events
from spotproof.clock import Clock
from spotproof.commits.publish import output_folder
from spotproof.errors import RunNotFoundError
from spotproof.interruptions.stop_file import StopFile, StopFileError, stop_file_of
from spotproof.leases.model import Run, RunId, RunState, Session, Shard, ShardState
from spotproof.retries import as_aws_error, error_code
from spotproof_cli.game_day.experiments import ExperimentView
from spotproof_cli.game_day.log_entries import LogEntry, entry_of, in_order
from spotproof_cli.game_day.plans import Aim, Plan
from spotproof_cli.success_manifest import SuccessManifest, read_manifest
from spotproof_cli.worker_logs import LogFilter, WorkerLogs

if TYPE_CHECKING:
    from spotproof_cli.deployment import Deployment

SETTLE_S: Final = 60.0  # log lines and `_SUCCESS` come a little after the run's end
SETTLE_EVERY_S: Final = 1.0
_EARLIER_MS: Final = 60_000  # lines are asked for from before the run's creation: clocks differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was seen. Times: seconds since 1970."""

    plan: Plan
    aim: Aim
    groups: tuple[str, ...]
    experiment: ExperimentView
    run: Run
    shards: Mapping[int, Shard]
    sessions: Sequence[Session]
    entries: Sequence[LogEntry]
    stop_files: Mapping[str, StopFile]
    manifest: SuccessManifest | None
    published: Mapping[str, int]  # size by key of every object below the output prefix
    started_at: float
    ended_at: float


class EvidenceReader:
    """Reads the table, the workers' log, the stop files and the output of one run."""

    def __init__(self, *, deployment: "Deployment", clock: Clock) -> None:
        self._deployment = deployment
        self._clock = clock
        self._s3 = deployment.clients.s3

    def run(self, run_id: RunId) -> Run:
        """The run's row.

        Raises:
            RunNotFoundError: there is none.
        """
        run = self._deployment.store.get_run(run_id)
        if run is None:
            raise RunNotFoundError(f"no run {run_id}: list the runs with `spotproof status`")
        return run

    def shards(self, run: Run) -> dict[int, Shard]:
        """Rows by index; a shard that was never leased has none."""
        return {row.index: row for row in self._deployment.store.shards(run)}

    def sessions(self, run: Run) -> list[Session]:
        return list(self._deployment.store.sessions(run))

    def settled(self, run: Run) -> tuple[list[LogEntry], SuccessManifest | None]:
        """Log and manifest, once they tell as much as the table does, or after SETTLE_S."""
        done = {index for index, row in self.shards(run).items() if row.state is ShardState.DONE}
        deadline = self._clock.monotonic() + SETTLE_S
        while True:
            entries, manifest = self._entries(run), self._manifest(run)
            missing = done - {entry.fields.get("shard") for entry in entries if entry.event == events.SHARD_COMMITTED}
            settled = not missing and (manifest is not None or run.state is not RunState.COMPLETE)
            if settled or self._clock.monotonic() >= deadline:
                return entries, manifest
            self._clock.sleep(SETTLE_EVERY_S)

    def stop_files(self, sessions: Sequence[Session]) -> dict[str, StopFile]:
        """Those that stand, by instance."""
        instances = {session.host.instance_id for session in sessions if session.host.instance_id}
        found = {instance: self._stop_file(instance) for instance in sorted(instances)}
        return {instance: stop for instance, stop in found.items() if stop is not None}

    def published(self, run: Run) -> dict[str, int]:
        """Sizes of the objects below the run's output, by key."""
        folder = output_folder(run)
        token: dict[str, str] = {}
        sizes: dict[str, int] = {}
        while True:
            answer = self._deployment.retrier.call(
                f"listing {run.output_uri}",
                self._s3.list_objects_v2,
                Bucket=folder.bucket,
                Prefix=folder.key,
                **token,
            )
            sizes |= {item["Key"]: item["Size"] for item in answer.get("Contents", [])}
            if not answer.get("NextContinuationToken"):
                return sizes
            token = {"ContinuationToken": answer["NextContinuationToken"]}

    def _entries(self, run: Run) -> list[LogEntry]:
        deployment = self._deployment
        logs = WorkerLogs(
            logs=deployment.clients.logs,
            retrier=deployment.retrier,
            clock=self._clock,
            group=deployment.names.log_group,
            server_side=not deployment.aws.is_local,
        )
        lines = logs.lines(LogFilter(run_id=run.run_id), since_ms=max(0, run.created_at - _EARLIER_MS))
        found = (entry_of(line.fields) for line in lines)
        return in_order(entry for entry in found if entry is not None)

    def _manifest(self, run: Run) -> SuccessManifest | None:
        return read_manifest(run, s3=self._s3, retrier=self._deployment.retrier)

    def _stop_file(self, instance_id: str) -> StopFile | None:
        doing = f"reading the stop file of {instance_id}"
        bucket, key = self._deployment.names.work_bucket, contract.stop_file_key(instance_id)
        try:
            return self._deployment.retrier.call(
                doing, lambda: stop_file_of(self._s3.get_object(Bucket=bucket, Key=key))
            )
        except StopFileError:
            return None  # damaged: as good as none
        except ClientError as error:
            if error_code(error) in ("NoSuchKey", "404"):
                return None
            raise as_aws_error(error, doing=doing) from error
        except BotoCoreError as error:
            raise as_aws_error(error, doing=doing) from error

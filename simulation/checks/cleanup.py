"""The clean-up: a run that is marked clean left nothing behind, and what S3 refused to delete is marked for it."""

from simulation.checks.base import Check, ObjectChange, TableWrite
from simulation.checks.parsed import run_from_item
from simulation.faults.calls import Call
from simulation.workload import WORK_BUCKET
from spotproof import contract
from spotproof.leases.model import Run, RunState


class CleanupCheck(Check):
    """Compares what was there when the cleaning pass began to look with what is there when it calls the run clean."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._written: dict[str, int] = {}  # key -> when it was written last, microseconds
        self._looked: dict[tuple[str, str], int] = {}  # (process, folder) -> when it began to list it last

    def changed(self, change: ObjectChange) -> None:
        if change.bucket == WORK_BUCKET and change.new is not None:
            self._written[change.key] = self.report.now

    def calling(self, call: Call) -> None:
        if call.operation == "list_objects_v2" and "ContinuationToken" not in call.parameters:
            self._looked[call.process.name, call.parameters["Prefix"]] = self.world.scheduler.now

    def wrote(self, write: TableWrite) -> None:
        if write.call is None or write.new is None or write.call.intent != "mark cleaned":
            return
        for folder in self._folders(run_from_item(write.new)):
            looked = self._looked.get((write.call.process.name, folder), -1)
            self.report.require(looked >= 0, "cleanup", f"the run is called clean, but nobody looked into {folder}")
            left = [key for key in self.world.s3.objects(WORK_BUCKET, folder) if self._was_left(key, looked)]
            self.report.require(not left, "cleanup", f"the run is called clean, but {left[:3]} lie there unmarked")

    def _folders(self, run: Run) -> list[str]:
        staging = [contract.staging_prefix(run.run_id)] if run.state is RunState.COMPLETE else []
        return [contract.checkpoints_prefix(run.run_id), *staging]

    def _was_left(self, key: str, looked: int) -> bool:
        """What came after the look is the next pass's, or the lifecycle's."""
        if self._written.get(key, 0) >= looked:
            return False
        tags = self.world.s3.get_object_tagging(Bucket=WORK_BUCKET, Key=key)["TagSet"]
        name, value = contract.CHECKPOINT_DONE_TAG
        return {"Key": name, "Value": value} not in tags

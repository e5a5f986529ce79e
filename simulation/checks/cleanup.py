"""The clean-up: a run that is marked clean left nothing behind, and what S3 refused to delete is marked for it."""

from simulation.checks.base import Check, TableWrite
from simulation.checks.parsed import run_from_item
from simulation.workload import WORK_BUCKET
from spotproof import contract
from spotproof.leases.model import Run, RunState


class CleanupCheck(Check):
    """Compares what was there when the run ended with what is there when it is called clean."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._left: set[str] = set()  # keys of the work bucket at the run's end that have to go

    def wrote(self, write: TableWrite) -> None:
        if write.sort != contract.RUN_SK or write.new is None or write.call is None:
            return
        if write.call.intent in ("end run", "cancel run"):
            self._left = self._to_go(run_from_item(write.new))
        elif write.call.intent == "mark cleaned":
            left = sorted(key for key in self._left if self._lies_unmarked(key))
            self.report.require(not left, "cleanup", f"the run is called clean, but {left[:3]} lie there unmarked")

    def _to_go(self, run: Run) -> set[str]:
        prefixes = [contract.checkpoints_prefix(run.run_id)]
        if run.state is RunState.COMPLETE:
            prefixes.append(contract.staging_prefix(run.run_id))
        return {key for prefix in prefixes for key in self.world.s3.objects(WORK_BUCKET, prefix)}

    def _lies_unmarked(self, key: str) -> bool:
        if key not in self.world.s3.objects(WORK_BUCKET, key):
            return False
        tags = self.world.s3.get_object_tagging(Bucket=WORK_BUCKET, Key=key)["TagSet"]
        name, value = contract.CHECKPOINT_DONE_TAG
        return {"Key": name, "Value": value} not in tags

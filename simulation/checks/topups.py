"""Top-ups: a reason for a new worker gives one worker, however often it is reported."""

from simulation.checks.base import Check, TableWrite
from spotproof import contract


class TopUpCheck(Check):
    """Reads the markers."""

    def wrote(self, write: TableWrite) -> None:
        if write.partition != contract.topups_pk(self.world.run_id) or write.old is None or write.new is None:
            return
        before, after = write.old.get("job_id"), write.new.get("job_id")
        same = before is None or before == after
        self.report.require(same, "top-up", f"{write.sort} gave {before} and then {after}")

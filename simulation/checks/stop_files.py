"""I8 on stop files: an announced end stays announced."""

from datetime import timedelta

from simulation.checks.base import Check, ObjectChange
from simulation.cloud.aws_event import moment_of
from simulation.workload import WORK_BUCKET
from spotproof import contract
from spotproof.interruptions.stop_file import StopFileKind, parse_stop_file


class StopFileCheck(Check):
    """Looks at every stop file that is overwritten."""

    def changed(self, change: ObjectChange) -> None:
        if change.bucket != WORK_BUCKET or not change.key.startswith(contract.CONTROL_PREFIX):
            return
        if change.old is None or change.new is None or change.new == change.old:
            return
        stood = parse_stop_file(change.old)
        latest = moment_of(self.world.scheduler.now) + timedelta(milliseconds=self.world.skew_max_ms)
        if stood.kind is StopFileKind.NOTICE and stood.live(latest):
            brought = parse_stop_file(change.new)
            self.report.broken("I8", f"a {brought.kind} overwrote the live notice of {stood.instance_id}")

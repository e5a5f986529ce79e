"""Top-ups: a reason for a new worker gives one worker, however often it is reported."""

from typing import Final

from simulation.checks.base import Check, TableWrite
from simulation.kernel.scheduler import MICROSECONDS
from spotproof import contract
from spotproof.capacity.topup import IN_FLIGHT

CLAIM_US: Final = round(IN_FLIGHT.total_seconds() * MICROSECONDS)


class TopUpCheck(Check):
    """Reads the markers.

    SubmitJob has no idempotency token: an invocation that was given up (L2) and submits after its claim has run out
    adds a worker that nobody needs. That is allowed, because a worker too many does no harm.
    """

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._claimed: dict[tuple[str, str], int] = {}  # (marker, process) -> when the process claimed it

    def wrote(self, write: TableWrite) -> None:
        if write.partition != contract.topups_pk(self.world.run_id) or write.new is None:
            return
        claim = (write.sort, "" if write.call is None else write.call.process.name)
        if write.old is None or write.old.get("claimant") != write.new.get("claimant"):
            self._claimed[claim] = self.report.now
        before, after = (write.old or {}).get("job_id"), write.new.get("job_id")
        if before is None or before == after:
            return
        late = self.report.now - self._claimed.get(claim, self.report.now) > CLAIM_US
        self.report.require(late, "top-up", f"{write.sort} gave {before} and then {after}")

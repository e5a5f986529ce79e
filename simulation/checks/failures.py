"""I8 on recorded failures: an interruption is none, and a failed shard is not tried again at once."""

from simulation.checks.base import Check
from simulation.faults.calls import Call
from spotproof.clock import to_epoch_ms
from spotproof.worker.user_errors import RETRY_FIRST_S

BLAMELESS = ("LetGoError", "SessionLostError", "LeaseLostError", "AwsUnavailableError")
SLACK_MS = 1_000


class FailureCheck(Check):
    """Reads what a worker is about to record."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._asked: set[tuple[str, str]] = set()  # (owner, token): repeated requests are older than they look

    def calling(self, call: Call) -> None:
        if call.intent not in ("fail", "fail for good"):
            return
        values = call.parameters["ExpressionAttributeValues"]
        error = values[":error"]["S"]
        named = [name for name in BLAMELESS if f": {name}: " in error]
        self.report.require(not named, "I8", f"{call.process.name} records {error!r} as the shard's failure")
        lease = (str(values.get(":owner")), str(values.get(":token")))
        if call.intent == "fail" and lease not in self._asked:
            self._asked.add(lease)
            waits_ms = int(values[":claimable_at"]["N"]) - to_epoch_ms(call.process.clock.now())
            long_enough = waits_ms >= RETRY_FIRST_S * 1000 - SLACK_MS
            self.report.require(long_enough, "I8", f"{call.process.name} lets a failed shard wait {waits_ms} ms only")

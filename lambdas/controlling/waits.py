"""Says why workers wait that have not started, once a minute, in words a person can act on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from lambdas.controlling.notes import Notes
from lambdas.controlling.round import Round
from lambdas.telemetry import Telemetry
from spotproof import events
from spotproof.capacity.waiting import Explanation, WaitingKind, explain_waiting
from spotproof.capacity.waiting_facts import WaitingFacts
from spotproof.errors import AwsError
from spotproof.interruptions.eventbridge import RUN_ID
from spotproof.leases.model import RunId

TOLD_MAX: Final = 1000  # runs of which is remembered what was told


class WaitingSource(Protocol):
    """spotproof.capacity.waiting_reader.WaitingReader."""

    def in_queue(self, queue: str) -> tuple[WaitingFacts, ...]: ...

    def of_jobs(self, job_ids: Sequence[str]) -> tuple[WaitingFacts, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """One request a queue if nobody waits there, six otherwise. Histories get an entry when the explanation changes."""

    source: WaitingSource | None  # None: nothing can be read, as in an account that only imitates Batch
    queues: Sequence[str]
    notes: Notes
    told: dict[str, WaitingKind] = field(default_factory=dict)

    def explain_queues(self, done: Round, *, now_ms: int, telemetry: Telemetry) -> None:
        """Every job with waiting workers at the front of our queues."""
        if self.source is None:
            return
        waiting: set[str] = set()
        for queue in self.queues:
            try:
                facts = self.source.in_queue(queue)
            except AwsError as error:  # what is not explained waits all the same
                done.failures.append(f"queue {queue}: {error}")
                continue
            waiting |= {each.run_id for each in facts}
            done.stuck += self._explain(facts, now_ms, telemetry)
        for started in self.told.keys() - waiting:
            del self.told[started]

    def explain_job(self, job_id: str, *, now_ms: int, telemetry: Telemetry) -> None:
        """One job of which Batch just said that it waits.

        Raises:
            AwsError: Batch refused or stayed unavailable.
        """
        if self.source is not None:
            self._explain(self.source.of_jobs([job_id]), now_ms, telemetry)

    def _explain(self, waiting: Iterable[WaitingFacts], now_ms: int, telemetry: Telemetry) -> int:
        """How many of the workers only a person can help."""
        stuck = 0
        for facts in waiting:
            explanation = explain_waiting(facts)
            if explanation.kind is WaitingKind.STARTING:
                continue
            stuck += facts.workers if explanation.needs_person else 0
            _log(facts, explanation, telemetry)
            if self.told.get(facts.run_id) is not explanation.kind and RUN_ID.fullmatch(facts.run_id):
                if len(self.told) < TOLD_MAX:
                    self.told[facts.run_id] = explanation.kind
                self._note(facts, explanation, now_ms, telemetry)
        return stuck

    def _note(self, facts: WaitingFacts, explanation: Explanation, now_ms: int, telemetry: Telemetry) -> None:
        # Of one minute and kind only once, whoever explains: the event of a blocked queue, or the schedule.
        self.notes.note(
            RunId(facts.run_id),
            at=now_ms,
            slot=now_ms // 60_000 * 60_000,
            name=f"waiting-{explanation.kind}",
            kind=f"waiting: {explanation.kind}",
            reason=explanation.text,
            facts={"advice": explanation.advice, "workers": facts.workers, "queue": facts.queue.name},
            telemetry=telemetry,
        )


def _log(facts: WaitingFacts, explanation: Explanation, telemetry: Telemetry) -> None:
    say = telemetry.warning if explanation.needs_person else telemetry.info
    say(
        events.WORKERS_WAITING,
        run_id=facts.run_id,
        batch_job_id=facts.job_id,
        queue=facts.queue.name,
        workers=facts.workers,
        waited_s=round(facts.waited_s),
        kind=explanation.kind,
        reason=explanation.text,
        advice=explanation.advice,
    )

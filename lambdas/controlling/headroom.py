"""Whether the caps leave a run room for one on-demand worker more than there are and are coming."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from lambdas.controlling.crew import Crew, unheard_of
from lambdas.controlling.limits import limits_of
from lambdas.controlling.money import Till
from lambdas.queue_pairs import QueuePairs
from spotproof.capacity.caps import CapsDecision, cap_on_demand
from spotproof.capacity.situation import CapFacts, Workforce
from spotproof.capacity.topup import WorkerTopUp
from spotproof.clock import Clock, to_epoch_ms
from spotproof.leases.model import Run, Session, SessionState

# How long a worker that was submitted on demand and never heard of counts as one that comes. On-demand hosts take two
# to four minutes; where the account's quota or the region has none left, they take as long as that lasts.
COMES_FOR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """`there`: on-demand workers that live or are coming; `caps`: for one more."""

    there: int
    caps: CapsDecision

    @property
    def one_more(self) -> bool:
        return self.caps.allowed > self.there


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """For functions that submit single workers between the rounds of the controller. One query."""

    topup: WorkerTopUp
    queues: QueuePairs
    till: Till
    clock: Clock

    def of(self, run: Run, sessions: Sequence[Session], *, ended: str, vcpus: float, workers: int) -> Room:
        """The room of a run as it is now.

        Args:
            ended: the Batch job of a worker that ended, with its index in an array: its session may not know yet.
            vcpus: of one worker.
            workers: the run's width.

        Raises:
            AwsError: the table refused or stayed unavailable.
        """
        now_ms = to_epoch_ms(self.clock.now())
        known = [_ended(each, now_ms) if each.host.batch_job_id == ended else each for each in sessions]
        lately = [
            each
            for each in self.topup.submitted(run.run_id)
            if each.key != ended  # its own replacement, begun and not finished
            and each.claimed_at >= now_ms - COMES_FOR_MS
            and self.queues.is_on_demand(each.job_queue)
        ]
        workforce = Workforce(
            alive=len(Crew(sessions=known, now_ms=now_ms).alive(on_demand=True)),
            coming=unheard_of(lately, heard={ended, *(each.host.batch_job_id for each in known)}),
        )
        money = self.till.count(run, known, vcpus=vcpus)
        caps = cap_on_demand(
            workforce.total + 1,
            CapFacts(
                limits=limits_of(run),
                workers_wanted=workers,
                on_demand=workforce,
                usd_per_hour=money.usd_per_hour,
                on_demand_usd_per_hour=money.on_demand_usd_per_hour,
            ),
        )
        return Room(there=workforce.total, caps=caps)


def _ended(session: Session, now_ms: int) -> Session:
    """As it will be once the table knows: nobody's worker, and no cost any more."""
    if session.state is not SessionState.ALIVE:
        return session
    return replace(session, state=SessionState.ENDED, ended_at=min(session.until, now_ms))

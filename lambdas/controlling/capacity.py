"""The capacity of each run: look at it, decide, act, and leave a trace.

What it asks of AWS besides what is said at each part: a round for all runs, the Lookout's look; per running run and
round, two queries of the claimable index, up to 50 reads of ticket counters, with a deadline up to 1,000 rows, with a
limit in dollars the spot prices of its pools every ten minutes. Acting is rare and costs a transaction, a job and a
history entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lambdas.controlling.additions import Addition, Additions
from lambdas.controlling.look import Look
from lambdas.controlling.notes import Notes
from lambdas.controlling.pausing import Pausing
from lambdas.controlling.retirement import Retirement
from lambdas.controlling.round import Round
from lambdas.controlling.situations import Situations
from lambdas.controlling.submissions import Submissions
from lambdas.telemetry import Telemetry
from spotproof import events
from spotproof.capacity.fallback import FallbackAction, FallbackDecision, decide_fallback
from spotproof.capacity.live_jobs import Submission
from spotproof.capacity.pause import decide_pause
from spotproof.capacity.situation import CapacitySituation
from spotproof.capacity.topup import TopUpResult
from spotproof.leases.model import Run, RunId, RunState, Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Decides for one run after the other."""

    situations: Situations
    submissions: Submissions
    additions: Additions
    retirement: Retirement
    pausing: Pausing
    notes: Notes
    # When a cause for on-demand workers last held, epoch ms. Lost with the execution environment: then it is as if one
    # had held just now, so that nobody is given back too soon.
    last_cause: dict[RunId, int] = field(default_factory=dict)
    unnoted: dict[RunId, "_Unnoted"] = field(default_factory=dict)  # additions of which no answer came
    told: dict[RunId, tuple[str, ...]] = field(default_factory=dict)  # what keeps runs from workers, as last noted
    pauses_told: dict[RunId, int] = field(default_factory=dict)  # when they were paused, epoch ms

    def tend(self, run: Run, sessions: Sequence[Session], look: Look, done: Round, telemetry: Telemetry) -> None:
        """Decide about the run and act.

        Raises:
            AwsError: a part of AWS refused or stayed unavailable; the next round starts over.
        """
        self._note_late(run.run_id, telemetry)
        if run.state is RunState.PAUSED:
            self.pausing.keep(run, look)
            self._tell_pause(run, telemetry)
            return
        submission = self.submissions.of(run, look)
        case = _Case(run=run, sessions=sessions, look=look, done=done, telemetry=telemetry)
        if submission is None or not self.submissions.is_spot(submission):
            # Started by hand, forgotten by Batch, or meant for on-demand: no Spot to fall back from. Budgets still hold.
            self.situations.count_unsteered(run, sessions, look, done.gauges)
            self._pause_at_budget(case)
            return
        last = self.last_cause.setdefault(run.run_id, look.now_ms)
        situation = self.situations.of(run, sessions, submission, look, last_cause_ms=last)
        done.gauges.add(run, situation)
        decision = decide_fallback(situation)
        if decision.needed:
            self.last_cause[run.run_id] = look.now_ms
        self._log(case, situation, decision)
        match decision.action:
            case FallbackAction.PAUSE:
                self._pause(case, decision.reason)
            case FallbackAction.ADD:
                self._add(case, submission, decision)
            case FallbackAction.RETIRE:
                self._retire(case, decision)
            case FallbackAction.NONE:
                self._tell_what_keeps(case, decision)

    def forget_all_but(self, run_ids: set[RunId]) -> None:
        """Runs that have ended need no memory."""
        self.submissions.forget_all_but(run_ids)
        for memory in (self.last_cause, self.told, self.unnoted, self.pauses_told):
            for gone in memory.keys() - run_ids:
                del memory[gone]

    def _pause_at_budget(self, case: "_Case") -> None:
        money = self.situations.till.count(case.run, case.sessions, vcpus=1.0)
        decision = decide_pause(spent_usd=money.spent_usd, budget_usd=case.run.budget_usd)
        if decision.due:
            self._pause(case, decision.reason)

    def _pause(self, case: "_Case", reason: str) -> None:
        paused = self.pausing.pause(case.run, case.look, reason=reason)
        if paused is None:
            return
        case.done.paused += 1
        case.telemetry.warning(events.RUN_PAUSED, run_id=paused.run_id, reason=reason)
        self._tell_pause(paused, case.telemetry)

    def _tell_pause(self, paused: Run, telemetry: Telemetry) -> None:
        """Announce a pause, then note it: so whoever dies in between is made up for by a later round, and hardly ever
        is a pause announced twice."""
        at = paused.paused_at or 0
        if self.pauses_told.get(paused.run_id) == at:
            return
        if not self.notes.holds(paused.run_id, at=at, name="paused"):
            self.pausing.announce(paused)
            reason = paused.reason or ""
            self.notes.note(
                paused.run_id, at=at, name="paused", kind="paused", reason=reason, facts={}, telemetry=telemetry
            )
        self.pauses_told[paused.run_id] = at

    def _add(self, case: "_Case", like: Submission, decision: FallbackDecision) -> None:
        if self.situations.queues.on_demand_for(like.job_queue) in case.look.live.truncated:
            case.done.failures.append(f"{case.run.run_id}: too many on-demand jobs to tell whether it needs more")
            return
        run = case.run
        addition = self.additions.plan(
            run.run_id, like, workers=decision.count, fallback_after_s=run.options.fallback_after_s, look=case.look
        )
        self.unnoted[run.run_id] = _Unnoted(addition=addition, decision=decision, at=case.look.now_ms)
        outcome = self.additions.add(addition)
        del self.unnoted[run.run_id]
        if outcome.result in (TopUpResult.SUBMITTED, TopUpResult.ALREADY):
            done = outcome.result is TopUpResult.SUBMITTED
            case.done.on_demand_added += decision.count if done else 0
            self._note_addition(addition, decision, case.look.now_ms, outcome.job_id, case.telemetry)
            self.told[run.run_id] = decision.capped
        elif outcome.result is TopUpResult.CAPPED:
            self._tell_once(case, "on-demand not added", outcome.reason, told=("top-ups",))

    def _note_late(self, run_id: RunId, telemetry: Telemetry) -> None:
        """An addition whose answer was lost in an earlier round: it is in the history if it gave a job."""
        late = self.unnoted.get(run_id)
        if late is None:
            return
        job_id = self.additions.job_of(late.addition)
        if job_id is not None:
            self._note_addition(late.addition, late.decision, late.at, job_id, telemetry)
        del self.unnoted[run_id]

    def _note_addition(
        self, addition: Addition, decision: FallbackDecision, at: int, job_id: str | None, telemetry: Telemetry
    ) -> None:
        request = addition.request
        facts = {"workers": request.workers, "batch_job_id": job_id, "cause": decision.cause.value}
        self.notes.note(
            RunId(request.run_id), at=at, slot=addition.slot, name=request.key, kind="on-demand added",
            reason=decision.reason, facts=facts, telemetry=telemetry,
        )  # fmt: skip

    def _retire(self, case: "_Case", decision: FallbackDecision) -> None:
        given_back = self.retirement.retire(
            case.run, case.sessions, case.look, count=decision.count, reason=decision.reason
        )
        if given_back:
            case.done.on_demand_retired += given_back
            self._note(case, "on-demand retired", decision.reason, workers=given_back, cause=decision.cause)

    def _tell_what_keeps(self, case: "_Case", decision: FallbackDecision) -> None:
        """Workers are needed and may not be had: said once, until that changes."""
        if decision.capped:
            self._tell_once(case, "on-demand capped", decision.reason, told=decision.capped)
        elif not decision.needed:
            self.told.pop(case.run.run_id, None)

    def _tell_once(self, case: "_Case", kind: str, reason: str, *, told: tuple[str, ...]) -> None:
        if self.told.get(case.run.run_id) != told:
            self.told[case.run.run_id] = told
            self._note(case, kind, reason)

    def _note(self, case: "_Case", kind: str, reason: str, **facts: object) -> None:
        self.notes.note(
            case.run.run_id, at=case.look.now_ms, name=kind.replace(" ", "-"), kind=kind, reason=reason, facts=facts,
            telemetry=case.telemetry,
        )  # fmt: skip

    def _log(self, case: "_Case", situation: CapacitySituation, decision: FallbackDecision) -> None:
        case.telemetry.info(
            events.CAPACITY_DECIDED,
            run_id=case.run.run_id,
            action=decision.action,
            count=decision.count,
            cause=decision.cause,
            reason=decision.reason,
            on_demand_wanted=decision.on_demand_wanted,
            on_demand=situation.on_demand.total,
            spot=situation.spot.alive,
            places=situation.places,
            deadline_state=decision.deadline.state if decision.deadline else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One run in one round."""

    run: Run
    sessions: Sequence[Session]
    look: Look
    done: Round
    telemetry: Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unnoted:
    """An addition under way."""

    addition: Addition
    decision: FallbackDecision
    at: int  # epoch ms

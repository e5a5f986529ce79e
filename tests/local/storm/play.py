"""Plays a plan against one run: looks, strikes when it is due, lets go, keeps enough workers, until the run is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from demo.outputs import RunOutput
from demo.snapshot import Snapshot
from demo.zombie import is_commit_refused
from localcloud.client import JobView
from localcloud.clock import NOTICE_S
from localcloud.errors import UsageError
from spotproof.leases.model import Run, RunId, SessionState
from spotproof_cli.game_day.log_entries import LogEntry
from tests.local.storm import troubles
from tests.local.storm.hands import Hands, is_alive, wake
from tests.local.storm.ledger import HOLDING, TOLD, Dealt, Ledger, TroubleSeen
from tests.local.storm.plan import Blow, StormPlan, Trouble, choose_victim, is_due
from tests.local.storm.stage import SCALE, WORKERS, Stage

LOOK_S: Final = 0.4
LIMIT_S: Final = 240.0  # of one run
WORKERS_MIN: Final = 2  # with fewer left, more are submitted: the same run is joined again
LEAVE_LIMIT_S: Final = 20.0
SPEAK_S: Final = 5.0  # in which a worker that goes on says what it noticed, and the account has its log
# The run nears its end when so few shards are left for each blow that is still to come.
SHARDS_PER_BLOW: Final = 0.3


class StormError(Exception):
    """A run did not end, or can't end well any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What is known of one run after its end. Times: seconds since 1970."""

    ledger: Ledger
    run: Run
    snapshot: Snapshot
    entries: Sequence[LogEntry]
    output: RunOutput
    began_at: float
    took_s: float
    restored_at: float | None  # when the table was put back to an earlier moment


@dataclass(kw_only=True)
class Player:
    """One run in one storm; used once."""

    stage: Stage
    plan: StormPlan
    run_id: RunId
    ledger: Ledger = field(init=False)
    _progress: int = 0
    _trouble: troubles.AccountTrouble | None = None
    _trouble_over: bool = False
    _spared: set[str] = field(default_factory=set)
    _saved_entries: list[LogEntry] = field(default_factory=list)
    _log_kept_at: float = 0.0
    _restored_at: float | None = None

    def __post_init__(self) -> None:
        self.ledger = Ledger(run_id=self.run_id, seed=self.plan.seed)
        self.hands = Hands(stage=self.stage)

    def play(self) -> Played:
        """The run from its submission to its manifest.

        Raises:
            StormError: it did not end in time, or the table accepted a zombie's commit.
        """
        clock = self.stage.clock
        began_at, began = clock.now().timestamp(), clock.monotonic()
        self._submit(WORKERS)
        try:
            while (run := self.stage.run(self.run_id)) is None or not self.stage.is_over(run):
                if clock.monotonic() > began + LIMIT_S:
                    raise StormError(self._state_of_affairs(run))
                workers = self.stage.workers(self.run_id)
                if run is not None:
                    self._look(run, workers, began_at)
                self._keep_workers(run, workers)
                clock.sleep(LOOK_S)
        finally:
            self._wake_all()
        took_s = clock.monotonic() - began
        entries = self._log_to_the_end(began_at)
        if self._trouble is not None:
            self.ledger.troubles.append(self._trouble.seen())
        return Played(
            ledger=self.ledger,
            run=run,
            snapshot=self.stage.snapshot(run),
            entries=entries,
            output=self.stage.output(self.run_id),
            began_at=began_at,
            took_s=took_s,
            restored_at=self._restored_at,
        )

    def _submit(self, workers: int) -> None:
        self.stage.submit(self.run_id, workers=workers)
        self.ledger.submissions += 1

    def _look(self, run: Run, workers: Mapping[str, JobView], began_at: float) -> None:
        snapshot = self.stage.snapshot(run)
        self._follow_up(run, snapshot)
        if not self._trouble_over and self._is_time_for_trouble(snapshot):
            self._go_on_with_trouble(snapshot, workers, began_at)
            return
        self._strike(snapshot, workers)

    # Blows.

    def _strike(self, snapshot: Snapshot, workers: Mapping[str, JobView]) -> None:
        left = len(self.plan.steps) - len(self.ledger.blows)
        if left == 0:
            return
        step = self.plan.steps[len(self.ledger.blows)]
        urgent = snapshot.open <= SHARDS_PER_BLOW * left
        if not urgent and not is_due(step, snapshot, progress_before=self._progress):
            return
        victim = choose_victim(step, snapshot, spared=self._spared, urgent=urgent)
        job = None if victim is None else workers.get(victim.batch_job_id)
        if victim is None or job is None or job.pid is None or job.instance != victim.instance_id:
            return
        began_at = self.stage.clock.now().timestamp()
        try:
            due = self.hands.deal(step, victim, job.pid)
        except (ProcessLookupError, FileNotFoundError, UsageError):
            return  # it has just ended by itself: the next look finds another victim
        # Always to our disadvantage: a worker is told when we begin to tell, and works on until we have struck.
        at = began_at if step.blow in TOLD else self.stage.clock.now().timestamp()
        window_s = None if due is None else due - at
        self.ledger.blows.append(Dealt(step=step, at=at, victim=victim, pid=job.pid, window_s=window_s))
        self._progress = snapshot.progress
        if step.blow is Blow.KILL or step.blow in TOLD:
            self._spared.add(victim.instance_id)
        else:
            self._spared.add(victim.batch_job_id)

    def _follow_up(self, run: Run, snapshot: Snapshot) -> None:
        """Wake up those who are fenced, and take note of those who left."""
        for dealt in self.ledger.blows:
            if not dealt.under_way:
                continue
            if dealt.step.blow is not Blow.FREEZE:
                if not is_alive(dealt.pid):
                    self._is_over(dealt)
            elif is_fenced(dealt, snapshot):
                dealt.commit_refused = is_commit_refused(self.stage.deployment.store, run, dealt.victim)
                wake(dealt.pid)
                self._is_over(dealt)
                if not dealt.commit_refused:
                    raise StormError(
                        f"run {self.run_id} (seed {self.plan.seed}): the table accepted a zombie's commit of shard "
                        f"{dealt.victim.shard} with token {dealt.victim.fencing_token}"
                    )

    def _is_over(self, dealt: Dealt) -> None:
        dealt.over_at = self.stage.clock.now().timestamp()
        self._spared.discard(dealt.victim.batch_job_id)

    def _wake_all(self) -> None:
        for dealt in self.ledger.blows:
            if dealt.step.blow is Blow.FREEZE and dealt.under_way:
                wake(dealt.pid)
                self._is_over(dealt)
        if self._trouble is not None:
            self._trouble.finish()

    # Trouble.

    def _is_time_for_trouble(self, snapshot: Snapshot) -> bool:
        if self.plan.trouble is Trouble.NONE or snapshot.open == 0:
            return self._trouble is not None
        return self._trouble is not None or len(self.ledger.blows) >= self.plan.trouble_after

    def _go_on_with_trouble(self, snapshot: Snapshot, workers: Mapping[str, JobView], began_at: float) -> None:
        if self._trouble is None:
            self._trouble = troubles.begin(self.stage, self.plan, snapshot)
        if self.plan.trouble is Trouble.RESTART:
            self._log_kept_at = self.stage.clock.now().timestamp()
            self._saved_entries = self.stage.log(self.run_id, since=began_at)
        self._trouble_over = self._trouble.look(snapshot)
        if not self._trouble_over:
            if self.plan.trouble is not Trouble.RESTART:
                self._strike(snapshot, workers)  # a function fails during the blows
            return
        seen = self._trouble.seen()
        if seen.trouble in (Trouble.OUTAGE, Trouble.RESTART):
            self._cut_short(seen)
        if seen.trouble is Trouble.RESTART:
            self._restored_at, self._progress = seen.over_at, 0
            self._submit(WORKERS)

    def _cut_short(self, seen: TroubleSeen) -> None:
        """Without the account nobody can let go in time; with the server its hosts are gone, and who was struck there."""
        for dealt in self.ledger.blows:
            told = dealt.step.blow in TOLD and dealt.at > seen.at - NOTICE_S / SCALE
            unheard = dealt.step.blow in HOLDING and (dealt.over_at or seen.at) > self._log_kept_at - SPEAK_S
            if told or (seen.trouble is Trouble.RESTART and unheard):
                dealt.cut_short, dealt.over_at = True, seen.over_at

    # Workers, and the end.

    def _keep_workers(self, run: Run | None, workers: Mapping[str, JobView]) -> None:
        """A worker that dies by itself is not replaced by Batch: whoever runs the job submits it again, and joins."""
        if run is not None and (run.state.ended or len(run.closed) == run.stripes):
            return
        alive = [job for job in workers.values() if not self._is_held(job)]
        if len(alive) < WORKERS_MIN:
            self._submit(WORKERS - len(alive))

    def _is_held(self, job: JobView) -> bool:
        return any(dealt.under_way and dealt.victim.batch_job_id == job.id for dealt in self.ledger.blows)

    def _log_to_the_end(self, began_at: float) -> list[LogEntry]:
        """The run's log, once every worker that was struck and lives has had its say and left."""
        deadline = self.stage.clock.monotonic() + LEAVE_LIMIT_S
        while True:
            for dealt in self.ledger.blows:
                if dealt.under_way and not is_alive(dealt.pid):
                    self._is_over(dealt)
            staying = [
                dealt
                for dealt in self.ledger.blows
                if dealt.step.blow in HOLDING and not dealt.cut_short and is_alive(dealt.pid)
            ]
            entries = [*self._saved_entries, *self.stage.log(self.run_id, since=began_at)]
            if not staying or self.stage.clock.monotonic() > deadline:
                return entries
            self.stage.clock.sleep(LOOK_S)

    def _state_of_affairs(self, run: Run | None) -> str:
        snapshot = None if run is None else self.stage.snapshot(run)
        workers = self.stage.workers(self.run_id).values()
        jobs = [f"{job.id[-6:]} {job.status} {job.reason or ''}" for job in workers]
        shards = "not planned" if snapshot is None else f"{snapshot.done} of {snapshot.planned} shards are committed"
        return (
            f"run {self.run_id} (seed {self.plan.seed}) is not over after {LIMIT_S:g} s: {shards}; "
            f"{len(self.ledger.blows)} blows; workers: {'; '.join(jobs) or 'none'}"
        )


def is_fenced(dealt: Dealt, snapshot: Snapshot) -> bool:
    """Whether the frozen worker was fenced, and its shard taken from it.

    Half of the zombies wake up at once then, and half when somebody else is at work on their shard.
    """
    session, shard = snapshot.sessions.get(dealt.victim.session_id), snapshot.shards.get(dealt.victim.shard)
    if session is None or session.state is not SessionState.DEAD or shard is None:
        return False
    if shard.fencing_token <= dealt.victim.fencing_token:
        return False
    return dealt.step.pick < 0.5 or shard.state.final or shard.owner not in (None, dealt.victim.session_id)

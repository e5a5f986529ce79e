"""One game day from the first look at the run to the evidence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from spotproof import contract
from spotproof.clock import Clock
from spotproof.errors import AwsError, AwsMissingError, AwsUnavailableError, RunConflictError
from spotproof.ids import IdSource
from spotproof.leases.model import Run, RunId, Session, SessionState
from spotproof_cli.deployment import stack_outputs
from spotproof_cli.game_day.evidence import Evidence, EvidenceReader
from spotproof_cli.game_day.experiments import Experiments, ExperimentView
from spotproof_cli.game_day.fleet import FleetReader, SpotInstance, hosts_of
from spotproof_cli.game_day.plans import Aim, Plan, Share, decide_aim, experiment_template

if TYPE_CHECKING:
    from spotproof_cli.deployment import Deployment

LOOK_S: Final = 2.0
NOTHING_LEFT: Final = "the run ended before there was anything to strike"

Say = Callable[[str], None]


class NotInTimeError(RunConflictError):
    """The run was not ready to be struck while there was patience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether a run is worth striking now, and why."""

    ready: bool
    reason: str


def decide_readiness(run: Run | None, sessions: Sequence[Session], *, running: Sequence[str]) -> Readiness:
    """Strike as soon as a worker on a running Spot instance holds a shard: before, there is nothing to lose.

    Args:
        running: ids of the deployment's running Spot instances.
    """
    if run is None:
        return Readiness(ready=False, reason="no worker has planned the run yet")
    busy = {each.host.instance_id for each in sessions if each.state is SessionState.ALIVE and each.held is not None}
    struck = [each for each in hosts_of(sessions) if each in busy and each in running]
    if not struck:
        return Readiness(ready=False, reason="no worker on Spot holds a shard yet")
    return Readiness(ready=True, reason=f"{len(struck)} Spot instances work on shards")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A game day that is ready to begin."""

    run: Run
    aim: Aim
    groups: tuple[str, ...]
    template_id: str
    is_temporary: bool


class GameDay:
    """Plays one plan on one run."""

    def __init__(
        self, *, deployment: "Deployment", plan: Plan, share: Share | None, clock: Clock, ids: IdSource, say: Say
    ) -> None:
        self._deployment = deployment
        self._plan = plan
        self._share = share
        self._clock = clock
        self._ids = ids
        self._say = say
        self._experiments = Experiments(fis=deployment.clients.fis, retrier=deployment.retrier)
        self._fleet = FleetReader(deployment)
        self._reader = EvidenceReader(deployment=deployment, clock=clock)

    def prepare(self, run_id: RunId, *, deadline: float) -> Setting:
        """Wait until the run can be struck, and choose whom; nothing has happened to it yet.

        Args:
            deadline: monotonic seconds.

        Raises:
            NotInTimeError: it can't be struck before the deadline.
            RunConflictError: the run has ended, or ends first.
            InputError: so many instances can't be struck alone.
            AwsMissingError: the experiments are not deployed.
            AwsError: AWS refuses or can't be reached.
        """
        template_id = self._template_id()
        template = self._experiments.template(template_id)
        run, instances = self._wait_until_ready(run_id, deadline)
        aim = decide_aim(
            share=self._share or Share.of_template(template),
            hosts=hosts_of(self._reader.sessions(run)),
            running={each.instance_id: each.arn for each in instances},
        )
        groups = tuple(self._fleet.spot_groups(instances)) if self._plan.starves else ()
        fitted = experiment_template(template, aim=aim, groups=groups, run_id=run_id)
        if fitted is not None:
            template_id = self._experiments.create_template(fitted, token=self._ids.nonce())
        return Setting(run=run, aim=aim, groups=groups, template_id=template_id, is_temporary=fitted is not None)

    def play(self, setting: Setting, *, deadline: float) -> Evidence:
        """Start the experiment, wait for the run's end or the deadline, and gather what was seen.

        Whatever happens, the experiment does not outlive this call, nor does a template that was made for it.

        Raises:
            AwsError: AWS refuses or can't be reached.
        """
        started_at = self._clock.now().timestamp()
        experiment: ExperimentView | None = None
        try:
            tags = {"Name": f"{self._deployment.prefix} {self._plan.name}", "spotproof:run": setting.run.run_id}
            experiment = self._experiments.start(setting.template_id, token=self._ids.nonce(), tags=tags)
            self._say(f"experiment {experiment.experiment_id} started: {self._plan.summary}; {setting.aim.reason}")
            run = self._follow(setting.run.run_id, experiment.experiment_id, deadline)
        finally:
            self._clean_up(setting, experiment)
        assert experiment is not None
        return self._gather(setting, run, self._experiments.look(experiment.experiment_id), started_at)

    def abandon(self, setting: Setting) -> None:
        """Take back what `prepare` made."""
        self._clean_up(setting, None)

    def _template_id(self) -> str:
        """The deployed template of the plan.

        Raises:
            AwsMissingError: the stack is not there, or older than the plan.
        """
        stack = f"{self._deployment.prefix}-{contract.STACK_GAME_DAYS}"
        deployment = self._deployment
        outputs = stack_outputs(deployment.clients.cloudformation, deployment.retrier, stack)
        if not outputs.get(self._plan.output):
            raise AwsMissingError(f"the stack {stack} has no output {self._plan.output}: deploy this version of it")
        return outputs[self._plan.output]

    def _wait_until_ready(self, run_id: RunId, deadline: float) -> tuple[Run, list[SpotInstance]]:
        said = ""
        while True:
            run = self._deployment.store.get_run(run_id)
            if run is not None and run.state.ended:
                raise RunConflictError(f"run {run_id} is {run.state.value}: {NOTHING_LEFT}")
            sessions = [] if run is None else self._reader.sessions(run)
            instances = self._fleet.spot_instances() if sessions else []
            readiness = decide_readiness(run, sessions, running=[each.instance_id for each in instances])
            if readiness.ready and run is not None:
                self._say(f"{run_id}: {readiness.reason}")
                return run, instances
            if readiness.reason != said:
                said = readiness.reason
                self._say(f"{run_id}: waiting: {said}")
            if self._clock.monotonic() >= deadline:
                raise NotInTimeError(f"run {run_id} could not be struck in time: {readiness.reason}")
            self._clock.sleep(LOOK_S)

    def _follow(self, run_id: RunId, experiment_id: str, deadline: float) -> Run:
        """The run at its end, or at the deadline."""
        said = ""
        while True:
            try:
                run = self._reader.run(run_id)
                status = self._status(experiment_id)
            except AwsUnavailableError as error:  # the run and the experiment go on, so does the watch
                if self._clock.monotonic() >= deadline:
                    raise
                self._say(f"warning: {error}")
                self._clock.sleep(LOOK_S)
                continue
            if status != said:
                said = status
                self._say(f"experiment {said}")
            if run.state.ended:
                self._say(f"run {run_id} is {run.state.value}")
                return run
            if self._clock.monotonic() >= deadline:
                self._say(f"run {run_id} has not ended in time; it goes on without the experiment")
                return run
            self._clock.sleep(LOOK_S)

    def _status(self, experiment_id: str) -> str:
        """How the experiment is, in words."""
        view = self._experiments.look(experiment_id)
        return f"{view.status}: {view.reason}" if view.reason else view.status

    def _clean_up(self, setting: Setting, experiment: ExperimentView | None) -> None:
        """End the experiment and delete its template; trouble with one must not keep the other."""
        try:
            if experiment is not None and not self._experiments.look(experiment.experiment_id).ended:
                self._experiments.stop(experiment.experiment_id)
        except AwsError as error:
            self._say(f"warning: the experiment may still run: {error}")
        finally:
            if setting.is_temporary:
                self._experiments.delete_template(setting.template_id)

    def _gather(self, setting: Setting, run: Run, experiment: ExperimentView, started_at: float) -> Evidence:
        entries, manifest = self._reader.settled(run)
        sessions = self._reader.sessions(run)
        return Evidence(
            plan=self._plan,
            aim=setting.aim,
            groups=setting.groups,
            experiment=experiment,
            run=run,
            shards=self._reader.shards(run),
            sessions=sessions,
            entries=entries,
            stop_files=self._reader.stop_files(sessions),
            manifest=manifest,
            published=self._reader.published(run),
            started_at=started_at,
            ended_at=self._clock.now().timestamp(),
        )

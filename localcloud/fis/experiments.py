"""Experiments: from the start, over what they do to the fleet, to their end."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from localcloud.clock import NOTICE_S, Clock
from localcloud.fis.actions import seconds_of
from localcloud.fis.injections import Injection, Injector
from localcloud.fis.parameters import FisError
from localcloud.fis.role import ExperimentRole
from localcloud.fis.templates import FisStore, new_id
from localcloud.journal import Journal
from localcloud.reactor import Reactor

RUNNING_MAX = 5  # experiments at the same time; quotas of the FIS user guide
ALARMS_EVERY_S = 10.0  # simulated
ENDED = ("completed", "stopped", "failed")


@dataclass(slots=True, kw_only=True, eq=False)
class Experiment:
    """One experiment. It keeps the template as it was when it started. Times: seconds since 1970."""

    id: str
    arn: str
    template: dict[str, Any]
    tags: dict[str, str]
    client_token: str
    created_at: float
    status: str = "initiating"
    reason: str = "Experiment is initiating."
    started_at: float | None = None
    ended_at: float | None = None
    actions: dict[str, dict[str, Any]] = field(default_factory=dict)
    injections: dict[str, Injection] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    def describe(self) -> dict[str, Any]:
        """As GetExperiment shows it."""
        moments = {"startTime": self.started_at, "endTime": self.ended_at}
        return {
            "id": self.id,
            "arn": self.arn,
            "experimentTemplateId": self.template["id"],
            "roleArn": self.template["roleArn"],
            "state": {"status": self.status, "reason": self.reason},
            "targets": self.template["targets"],
            "actions": self.actions,
            "stopConditions": self.template["stopConditions"],
            "experimentOptions": {**self.template["experimentOptions"], "actionsMode": "run-all"},
            "creationTime": self.created_at,
            "tags": self.tags,
            **{name: moment for name, moment in moments.items() if moment is not None},
        }


RoleFor = Callable[[FisStore, Experiment], ExperimentRole]
AlarmState = Callable[[FisStore, str], str | None]


class Experiments:
    """Runs experiments. Every method expects the reactor's state to be held."""

    def __init__(
        self,
        *,
        clock: Clock,
        reactor: Reactor,
        journal: Journal,
        injector: Injector,
        role_for: RoleFor,
        alarm_state: AlarmState,
        seed: int,
    ) -> None:
        self._clock = clock
        self._reactor = reactor
        self._journal = journal
        self._injector = injector
        self._role_for = role_for
        self._alarm_state = alarm_state
        self._rng = random.Random(seed)

    def start(self, store: FisStore, given: dict[str, Any]) -> Experiment:
        """Start one; it does something as soon as the reactor gets to it. The same client token starts nothing new.

        Raises:
            FisError: there is no such template, or as many experiments as are allowed run already.
        """
        template = store.template(given["experimentTemplateId"])
        for known in store.experiments.values():
            if given["clientToken"] != "none" and known.client_token == given["clientToken"]:
                return known
        if sum(not each.ended for each in store.experiments.values()) >= RUNNING_MAX:
            raise FisError(
                f"at most {RUNNING_MAX} experiments run at a time", code="ServiceQuotaExceededException", status=402
            )
        experiment_id = new_id("EXP")
        experiment = Experiment(
            id=experiment_id,
            arn=store.arn("experiment", experiment_id),
            template=template,
            tags=dict(given.get("tags") or {}),
            client_token=given["clientToken"],
            created_at=time.time(),
            actions={name: {**action, "state": {"status": "pending"}} for name, action in template["actions"].items()},
        )
        store.experiments[experiment_id] = experiment
        self._note(experiment)
        self._reactor.after(0, partial(self._begin, store, experiment))
        return experiment

    def stop(self, experiment: Experiment, *, reason: str = "Experiment stopped by the user.") -> None:
        """End one early: what was injected is taken back, instances that were given notice still go.

        Raises:
            FisError: it has ended already.
        """
        if experiment.ended:
            raise FisError(f"Experiment {experiment.id} has ended.", code="ConflictException", status=409)
        for name, action in experiment.actions.items():
            match action["state"]["status"]:
                case "running":
                    self._close(experiment, name, "stopped")
                case "pending":
                    action["state"] = {"status": "cancelled"}
        self._end(experiment, "stopped", reason)

    def stop_all(self, store: FisStore) -> None:
        """End every experiment that has not ended."""
        for experiment in store.experiments.values():
            if not experiment.ended:
                self.stop(experiment)

    def _begin(self, store: FisStore, experiment: Experiment) -> None:
        if experiment.ended:
            return
        experiment.started_at = time.time()
        if not self._role_for(store, experiment).assumable:
            self._end(experiment, "failed", "FIS is not able to assume the experiment's role.")
            return
        if self._alarm_of(store, experiment):
            self._end(experiment, "stopped", "Experiment halted by stop condition.")
            return
        self._resolve(store, experiment)
        if not experiment.ended:
            self._enter(experiment, "running", "Experiment is running.")
            self._advance(store, experiment)
            self._watch_alarms(store, experiment)

    def _resolve(self, store: FisStore, experiment: Experiment) -> None:
        """Find out once whom each action strikes."""
        for name, action in experiment.actions.items():
            injection = self._injector.resolve(store, experiment.template, action, self._rng)
            if injection.resources:
                experiment.injections[name] = injection
            elif experiment.template["experimentOptions"]["emptyTargetResolutionMode"] == "skip":
                action["state"] = {"status": "skipped", "reason": "Target resolution returned empty set."}
            else:
                self._end(experiment, "failed", f"Target resolution returned empty set for action {name}.")
                return

    def _advance(self, store: FisStore, experiment: Experiment) -> None:
        """Start the actions whose predecessors are done; end the experiment after the last."""
        for name, action in experiment.actions.items():
            before = [experiment.actions[each]["state"]["status"] for each in action.get("startAfter") or ()]
            if action["state"]["status"] == "pending" and all(each in ("completed", "skipped") for each in before):
                self._act(store, experiment, name)
                if experiment.ended:
                    return
        if all(action["state"]["status"] in ("completed", "skipped") for action in experiment.actions.values()):
            self._end(experiment, "completed", "Experiment completed.")

    def _act(self, store: FisStore, experiment: Experiment, name: str) -> None:
        action, injection = experiment.actions[name], experiment.injections[name]
        refusal = injection.refusal(self._role_for(store, experiment))
        if refusal is not None:
            action["state"] = {"status": "failed", "reason": refusal}
            self._end(experiment, "failed", f"Action {name} failed: {refusal}")
            return
        action |= {"state": {"status": "running"}, "startTime": time.time()}
        self._journal.note("fis.action", experiment=experiment.id, action=name, resources=injection.resources)
        injection.begin()
        self._reactor.after(self._lasts_s(action), partial(self._complete, store, experiment, name))

    def _complete(self, store: FisStore, experiment: Experiment, name: str) -> None:
        if experiment.actions[name]["state"]["status"] == "running":
            self._close(experiment, name, "completed")
            self._advance(store, experiment)

    def _close(self, experiment: Experiment, name: str, status: str) -> None:
        experiment.injections[name].end()
        experiment.actions[name] |= {"state": {"status": status}, "endTime": time.time()}

    def _lasts_s(self, action: dict[str, Any]) -> float:
        """Real seconds; the last two minutes have the notice window's floor."""
        lasts_s = seconds_of(action)
        if action["actionId"] in self._injector.with_notice:
            return self._clock.real(max(0.0, lasts_s - NOTICE_S)) + self._clock.warning_window(lasts_s)
        return self._clock.real(lasts_s)

    def _watch_alarms(self, store: FisStore, experiment: Experiment) -> None:
        if experiment.ended:
            return
        if self._alarm_of(store, experiment):
            self.stop(experiment, reason="Experiment halted by stop condition.")
            return
        self._reactor.after(self._clock.real(ALARMS_EVERY_S), partial(self._watch_alarms, store, experiment))

    def _alarm_of(self, store: FisStore, experiment: Experiment) -> bool:
        """Whether a stop condition holds."""
        conditions = experiment.template["stopConditions"]
        return any("value" in each and self._alarm_state(store, each["value"]) == "ALARM" for each in conditions)

    def _end(self, experiment: Experiment, status: str, reason: str) -> None:
        for name, action in experiment.actions.items():
            if action["state"]["status"] == "running":
                self._close(experiment, name, "stopped")
        experiment.ended_at = time.time()
        self._enter(experiment, status, reason)

    def _enter(self, experiment: Experiment, status: str, reason: str) -> None:
        experiment.status, experiment.reason = status, reason
        self._note(experiment)

    def _note(self, experiment: Experiment) -> None:
        self._journal.note(
            "fis." + experiment.status,
            experiment=experiment.id,
            template=experiment.template["id"],
            reason=experiment.reason,
        )

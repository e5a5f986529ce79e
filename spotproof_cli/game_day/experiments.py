"""Experiments of the Fault Injection Service: made, started, looked at, ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from spotproof.errors import AwsMissingError
from spotproof.retries import Retrier, as_aws_error, error_code

_ENDED: Final = frozenset({"completed", "stopped", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionView:
    """One action of an experiment. Times: seconds since 1970."""

    name: str
    action_id: str
    status: str
    reason: str
    started_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentView:
    """An experiment as it was last seen. Times: seconds since 1970."""

    experiment_id: str
    status: str
    reason: str
    started_at: float | None
    ended_at: float | None
    actions: tuple[ActionView, ...]

    @property
    def ended(self) -> bool:
        return self.status in _ENDED

    def action(self, name: str) -> ActionView | None:
        return next((each for each in self.actions if each.name == name), None)


class Experiments:
    """The service's calls that a game day needs; errors as spotproof.retries tells them."""

    def __init__(self, *, fis: Any, retrier: Retrier) -> None:
        self._fis = fis
        self._retrier = retrier

    def template(self, template_id: str) -> Mapping[str, Any]:
        """The template with this id.

        Raises:
            AwsMissingError: it is gone.
            AwsError: the service refuses or can't be reached.
        """
        answer = self._call("reading the experiment template", self._fis.get_experiment_template, id=template_id)
        template: Mapping[str, Any] = answer["experimentTemplate"]
        return template

    def create_template(self, given: Mapping[str, Any], *, token: str) -> str:
        """A template for this game day only; its id. The same token makes it once."""
        create = self._fis.create_experiment_template
        answer = self._call("making an experiment template", create, clientToken=token, **given)
        return str(answer["experimentTemplate"]["id"])

    def delete_template(self, template_id: str) -> None:
        """Remove a template; one that is gone is fine."""
        try:
            self._call("deleting the experiment template", self._fis.delete_experiment_template, id=template_id)
        except AwsMissingError:
            return

    def start(self, template_id: str, *, token: str, tags: Mapping[str, str]) -> ExperimentView:
        """Start the experiment; the same token starts it once."""
        start = self._fis.start_experiment
        answer = self._call(
            "starting the experiment", start, experimentTemplateId=template_id, clientToken=token, tags=dict(tags)
        )
        return _view(answer["experiment"])

    def look(self, experiment_id: str) -> ExperimentView:
        """The experiment now."""
        return _view(self._call("looking at the experiment", self._fis.get_experiment, id=experiment_id)["experiment"])

    def stop(self, experiment_id: str) -> None:
        """End an experiment early; one that has ended is fine."""
        doing = "stopping the experiment"
        try:
            self._retrier.call(doing, self._fis.stop_experiment, id=experiment_id)
        except ClientError as error:
            if error_code(error) not in ("ConflictException", "ValidationException"):
                raise as_aws_error(error, doing=doing) from error

    def _call(self, doing: str, request: Any, **parameters: Any) -> Any:
        try:
            return self._retrier.call(doing, request, **parameters)
        except (ClientError, BotoCoreError) as error:
            raise as_aws_error(error, doing=doing) from error


def _view(experiment: Mapping[str, Any]) -> ExperimentView:
    return ExperimentView(
        experiment_id=str(experiment["id"]),
        status=str(experiment["state"]["status"]),
        reason=str(experiment["state"].get("reason", "")),
        started_at=_seconds(experiment.get("startTime")),
        ended_at=_seconds(experiment.get("endTime")),
        actions=tuple(
            ActionView(
                name=name,
                action_id=str(action["actionId"]),
                status=str(action["state"]["status"]),
                reason=str(action["state"].get("reason", "")),
                started_at=_seconds(action.get("startTime")),
            )
            for name, action in sorted(experiment.get("actions", {}).items())
        ),
    )


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()

"""Experiment templates of one account and region."""

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localcloud.fis.actions import require_action
from localcloud.fis.parameters import FisError, not_found
from localcloud.fis.targets import require_target

if TYPE_CHECKING:
    from localcloud.fis.experiments import Experiment

STOP_SOURCES = ("none", "aws:cloudwatch:alarm")
_KEPT = (
    "description",
    "stopConditions",
    "targets",
    "actions",
    "roleArn",
    "logConfiguration",
    "experimentOptions",
    "experimentReportConfiguration",
)


@dataclass(slots=True, kw_only=True)
class FisStore:
    """What one account holds in one region."""

    account: str
    region: str
    templates: dict[str, dict[str, Any]] = field(default_factory=dict)
    experiments: "dict[str, Experiment]" = field(default_factory=dict)

    def arn(self, kind: str, resource_id: str) -> str:
        return f"arn:aws:fis:{self.region}:{self.account}:{kind}/{resource_id}"

    def template(self, template_id: str) -> dict[str, Any]:
        """The template with this id.

        Raises:
            FisError: if there is none.
        """
        if template_id not in self.templates:
            raise not_found("Experiment template", template_id)
        return self.templates[template_id]

    def experiment(self, experiment_id: str) -> "Experiment":
        """The experiment with this id.

        Raises:
            FisError: if there is none.
        """
        if experiment_id not in self.experiments:
            raise not_found("Experiment", experiment_id)
        return self.experiments[experiment_id]

    def tags_of(self, arn: str) -> dict[str, str]:
        """The tags of a template or an experiment, which the caller may change."""
        resource_id = arn.rpartition("/")[2]
        if resource_id in self.templates:
            tags: dict[str, str] = self.templates[resource_id]["tags"]
            return tags
        return self.experiment(resource_id).tags


def new_id(prefix: str) -> str:
    """`EXT` or `EXP` and what follows it."""
    return prefix + secrets.token_hex(8).upper()


def create_template(store: FisStore, given: dict[str, Any]) -> dict[str, Any]:
    """Keep a new template.

    Raises:
        FisError: FIS would refuse it.
    """
    template_id, now = new_id("EXT"), time.time()
    template = {
        "id": template_id,
        "arn": store.arn("experiment-template", template_id),
        "targets": {},
        "tags": dict(given.get("tags") or {}),
        "experimentOptions": {"accountTargeting": "single-account", "emptyTargetResolutionMode": "fail"},
        "creationTime": now,
        "lastUpdateTime": now,
    }
    return _keep(store, template, given)


def update_template(store: FisStore, given: dict[str, Any]) -> dict[str, Any]:
    """Change what is given of a template; experiments that were started keep what they had.

    Raises:
        FisError: there is no such template, or FIS would refuse it.
    """
    return _keep(store, dict(store.template(given["id"])), given)


def _keep(store: FisStore, template: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    options = {**template["experimentOptions"], **(given.get("experimentOptions") or {})}
    changed = {name: given[name] for name in _KEPT if name in given}
    template = {**template, **changed, "experimentOptions": options, "lastUpdateTime": time.time()}
    _require(template)
    store.templates[template["id"]] = template
    return template


def _require(template: dict[str, Any]) -> None:
    if not template["actions"]:
        raise FisError("a template needs at least one action")
    if not template["stopConditions"]:
        raise FisError('a template needs stopConditions; [{"source": "none"}] if there is none')
    for condition in template["stopConditions"]:
        if condition["source"] not in STOP_SOURCES or (condition["source"] == "none") == ("value" in condition):
            raise FisError(f"stop condition {condition} must be none, or aws:cloudwatch:alarm with the alarm's ARN")
    for name, target in template["targets"].items():
        require_target(name, target)
    for name, action in template["actions"].items():
        require_action(name, action, template)

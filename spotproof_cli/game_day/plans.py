"""The plans of game days, and the experiment that each becomes for one run."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spotproof import contract
from spotproof.errors import InputError, RunConflictError

ARNS_MAX: Final = 5  # in one target of an experiment; FIS API reference, CreateExperimentTemplateTargetInput
SPOT_INSTANCES_MAX: Final = 100  # of one experiment, by tags; FIS quotas
_MODE: Final = re.compile(r"(COUNT|PERCENT)\((\d+)\)")
_COPIED: Final = ("description", "stopConditions", "targets", "actions", "roleArn", "experimentOptions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a game day does; the experiment's template is in the stack."""

    name: str
    summary: str
    starves: bool = False  # no new Spot instance while it runs

    @property
    def output(self) -> str:
        """The stack's output that names the template."""
        return contract.GAME_DAY_OUTPUTS[self.name]


PLANS: Final[Mapping[str, Plan]] = {
    plan.name: plan
    for plan in (
        Plan(name=contract.GAME_DAY_INTERRUPT, summary="one Spot instance is interrupted"),
        Plan(name=contract.GAME_DAY_INTERRUPT_HALF, summary="half of the Spot instances are interrupted"),
        Plan(
            name=contract.GAME_DAY_NO_CAPACITY,
            summary="one Spot instance is interrupted while no new one can be had",
            starves=True,
        ),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """How many instances to strike: a number of them, or so many in a hundred."""

    count: int | None = None
    percent: int | None = None

    @classmethod
    def of_template(cls, template: Mapping[str, Any]) -> "Share":
        """What the deployed template says.

        Raises:
            InputError: it was changed into something else.
        """
        mode = str(template["targets"][contract.GAME_DAY_INSTANCES]["selectionMode"])
        found = _MODE.fullmatch(mode)
        if found is None:
            raise InputError(f"the deployed template selects {mode}: give --count or --percent")
        number = int(found[2])
        return cls(count=number) if found[1] == "COUNT" else cls(percent=number)

    def number(self, of: int) -> int:
        """Instances to strike among `of`; a share is rounded down, but to one at least, as FIS does."""
        wanted = self.count if self.count is not None else max(1, of * (self.percent or 0) // 100)
        return min(wanted, of)

    @property
    def selection(self) -> str:
        """FIS's word for it."""
        return f"COUNT({self.count})" if self.count is not None else f"PERCENT({self.percent})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Which instances the experiment strikes, and why they are chosen in this way."""

    selection: str
    arns: tuple[str, ...]  # empty: by the tags of the deployment
    number: int
    reason: str


def decide_aim(*, share: Share, hosts: Sequence[str], running: Mapping[str, str]) -> Aim:
    """By tags if every Spot instance works for the run; else only instances of the run, by their ARNs.

    Args:
        hosts: instances with live workers of the run, the most interesting first.
        running: ARN by id of every running Spot instance of the deployment.

    Raises:
        RunConflictError: the run has no worker on a running Spot instance.
        InputError: so many can't be told from the instances of other runs.
    """
    mine = [each for each in hosts if each in running]
    if not mine:
        raise RunConflictError("the run has no worker on a running Spot instance: there is nothing to strike")
    number = share.number(len(mine))
    if len(mine) == len(running) <= SPOT_INSTANCES_MAX:
        reason = "every Spot instance of the deployment works for the run"
        return Aim(selection=Share(count=number).selection, arns=(), number=number, reason=reason)
    if number > ARNS_MAX:
        raise InputError(
            f"{number} of the run's {len(mine)} instances can't be struck alone: others run besides, and an experiment "
            f"names at most {ARNS_MAX}; give --count {ARNS_MAX} or less, or wait until the run has the fleet to itself"
        )
    reason = f"{len(running) - len(mine)} other Spot instances run besides: the run's own are named"
    return Aim(selection="ALL", arns=tuple(running[each] for each in mine[:number]), number=number, reason=reason)


def experiment_template(
    template: Mapping[str, Any], *, aim: Aim, groups: Sequence[str], run_id: str
) -> dict[str, Any] | None:
    """The deployed template fitted to the aim, as CreateExperimentTemplate takes it; None if it fits as it is.

    Args:
        template: as GetExperimentTemplate shows it.
        groups: ARNs of the Auto Scaling groups that are to get nothing; empty for plans without a shortage.
    """
    targets = {name: dict(target) for name, target in template["targets"].items()}
    instances = targets[contract.GAME_DAY_INSTANCES]
    if aim.arns:
        for name in ("resourceTags", "filters"):
            instances.pop(name, None)
        instances["resourceArns"] = list(aim.arns)
    instances["selectionMode"] = aim.selection
    if groups:
        starved = targets[contract.GAME_DAY_GROUPS]
        starved.pop("resourceTags", None)
        starved["resourceArns"] = list(groups)
    if targets == template["targets"]:
        return None
    fitted = {name: template[name] for name in _COPIED if name in template}
    options = {**fitted.get("experimentOptions", {}), "emptyTargetResolutionMode": "fail"}
    tags = {**template.get("tags", {}), "spotproof:run": run_id}
    return {**fitted, "targets": targets, "experimentOptions": options, "tags": tags}

"""Rules for game days and alarms: what stops an experiment, whom it can hit, and who hears an alarm."""

from collections.abc import Iterator
from typing import Final

from spotproof import contract
from tools.guard.assembly import Assembly, Resource, as_list
from tools.guard.rule import Rule

EXPERIMENTS: Final = ("AWS::FIS::ExperimentTemplate",)
ALARMS: Final = ("AWS::CloudWatch::Alarm",)
COMPOSITES: Final = ("AWS::CloudWatch::CompositeAlarm",)


def can_be_stopped(template: Resource, assembly: Assembly) -> Iterator[str]:
    for condition in as_list(template.get("StopConditions")):
        alarms = assembly.referred(condition.get("Value"), by=template)
        if condition.get("Source") == "aws:cloudwatch:alarm" and any(
            each.kind in ALARMS + COMPOSITES for each in alarms
        ):
            return
    yield "no alarm of the deployment stops the experiment"


def hits_only_ours(template: Resource, _assembly: Assembly) -> Iterator[str]:
    targets = template.get("Targets") or {}
    if not targets:
        yield "no targets"
    for name, target in targets.items():
        if not target.get("ResourceArns") and contract.TAG_DEPLOYMENT not in (target.get("ResourceTags") or {}):
            yield f"target {name} is not narrowed to the tag {contract.TAG_DEPLOYMENT}: it hits other people's instances"


def is_heard(alarm: Resource, assembly: Assembly) -> Iterator[str]:
    """By somebody (actions), by a composite alarm that somebody hears, or by an experiment that it stops."""
    if alarm.get("TreatMissingData") is None:
        yield "TreatMissingData is not said: an alarm without data would be neither on nor off"
    if _acts(alarm):
        return
    composites = (each for each in assembly.of_kind(*COMPOSITES) if _acts(each))
    listeners = [(each.get("AlarmRule"), each) for each in composites]
    listeners += [(each.get("StopConditions"), each) for each in assembly.of_kind(*EXPERIMENTS)]
    if not any(assembly.refers_to(value, alarm, by=listener) for value, listener in listeners):
        yield "nobody hears it: no action, no composite alarm, no experiment that it stops"


def _acts(alarm: Resource) -> bool:
    return bool(as_list(alarm.get("AlarmActions"))) and alarm.get("ActionsEnabled", True) is True


REHEARSAL_RULES: Final = (
    Rule(
        name="experiment-stop",
        kinds=EXPERIMENTS,
        demand="an alarm of the deployment ends every experiment",
        check=can_be_stopped,
    ),
    Rule(
        name="experiment-target",
        kinds=EXPERIMENTS,
        demand="an experiment takes only what carries the deployment's tag",
        check=hits_only_ours,
    ),
    Rule(
        name="alarm-heard",
        kinds=ALARMS,
        demand="every alarm reaches somebody, and says what missing data means",
        check=is_heard,
    ),
)

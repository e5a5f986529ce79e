"""What drift detection reads of resource types that the emulator doesn't look at, or only for being there."""

from collections.abc import Callable, Mapping
from typing import Any

from localcloud.batch.store import BatchStore, name_of
from localcloud.seams import Seams

Properties = Mapping[str, Any]
Reader = Callable[[str, Properties], dict[str, Any] | None]  # None: the resource is gone
StoreFor = Callable[[], BatchStore]  # of the request being served


def install_drift(seams: Seams, batch: StoreFor) -> None:
    """Let DetectStackDrift see changes by hand of queues, environments, definitions, tables and rules."""

    def queue(arn: str, wanted: Properties) -> dict[str, Any] | None:
        found = batch().queues.get(name_of(arn))
        return None if found is None else as_worded(wanted, found.document)

    def environment(arn: str, wanted: Properties) -> dict[str, Any] | None:
        found = batch().environments.get(name_of(arn))
        return None if found is None else as_worded(wanted, found.document)

    def definition(arn: str, _wanted: Properties) -> dict[str, Any] | None:
        name, _, revision = name_of(arn).partition(":")
        active = [str(one["revision"]) for one in batch().definitions.get(name, []) if one["status"] == "ACTIVE"]
        return {} if revision in active else None

    def table(name: str, wanted: Properties) -> dict[str, Any] | None:
        found = seams.dynamodb._tables.get(name)
        if found is None:
            return None
        protected = bool(found.get("DeletionProtectionEnabled"))
        home = [{**each, "DeletionProtectionEnabled": protected} for each in wanted.get("Replicas", [])]
        shown: dict[str, Any] = as_worded(wanted, {**(found.get("BillingModeSummary") or {}), "Replicas": home})
        return shown

    def rule(name: str, wanted: Properties) -> dict[str, Any] | None:
        rules = [one for one in seams.eventbridge._rules.values() if one.get("Name") == name]
        return as_worded(wanted, rules[0]) if rules else None

    readers: dict[str, tuple[Reader, frozenset[str]]] = {
        "AWS::Batch::JobQueue": (queue, frozenset({"State", "Priority", "ComputeEnvironmentOrder"})),
        "AWS::Batch::ComputeEnvironment": (environment, frozenset({"State", "ComputeResources"})),
        "AWS::Batch::JobDefinition": (definition, frozenset()),
        "AWS::DynamoDB::GlobalTable": (table, frozenset({"BillingMode", "Replicas"})),
        "AWS::Events::Rule": (rule, frozenset({"State", "ScheduleExpression"})),
    }
    seams.drift._DRIFT_READERS.update(readers)


def as_worded(wanted: Any, found: Any) -> Any:
    """What was found, in the template's words: its names, its spelling of equal values, and nothing that it leaves out."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        by_name = {str(name).lower(): value for name, value in found.items()}
        return {
            name: as_worded(value, by_name[name.lower()]) for name, value in wanted.items() if name.lower() in by_name
        }
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [as_worded(*pair) for pair in zip(wanted, found, strict=True)]
    return wanted if str(wanted).lower() == str(found).lower() else found

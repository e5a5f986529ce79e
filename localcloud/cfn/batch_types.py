"""CloudFormation types of AWS Batch."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.model import Shape

from localcloud.batch.api import BatchApi
from localcloud.batch.parameters import ClientException, checked, service_model
from localcloud.seams import Seams

Properties = dict[str, Any]
Created = tuple[str, dict[str, str]]  # physical id, attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchType:
    """How one CloudFormation type maps to the API."""

    name: str
    name_property: str  # in the API's spelling
    create: str
    update: str | None  # None: an update registers a new revision
    delete: str
    reference: str  # parameter that names the resource in update and delete
    arn_field: str
    attribute: str
    replacing: tuple[str, ...]
    ignored: tuple[str, ...] = ()  # CloudFormation's own properties
    update_only: tuple[tuple[str, ...], ...] = ()  # paths of properties that only the update operation takes
    disable_before_delete: bool = False
    jobs_end_first: bool = False  # it is deleted once its jobs have ended


DELETE_TIMEOUT_S = 120.0

TYPES = (
    BatchType(
        name="AWS::Batch::ComputeEnvironment",
        name_property="computeEnvironmentName",
        create="CreateComputeEnvironment",
        update="UpdateComputeEnvironment",
        delete="DeleteComputeEnvironment",
        reference="computeEnvironment",
        arn_field="computeEnvironmentArn",
        attribute="ComputeEnvironmentArn",
        replacing=("ComputeEnvironmentName", "Type", "EksConfiguration"),
        ignored=("ReplaceComputeEnvironment",),
        update_only=(("UpdatePolicy",), ("ComputeResources", "UpdateToLatestImageVersion")),
        disable_before_delete=True,
    ),
    BatchType(
        name="AWS::Batch::JobQueue",
        name_property="jobQueueName",
        create="CreateJobQueue",
        update="UpdateJobQueue",
        delete="DeleteJobQueue",
        reference="jobQueue",
        arn_field="jobQueueArn",
        attribute="JobQueueArn",
        replacing=("JobQueueName", "JobQueueType"),
        disable_before_delete=True,
        jobs_end_first=True,
    ),
    BatchType(
        name="AWS::Batch::JobDefinition",
        name_property="jobDefinitionName",
        create="RegisterJobDefinition",
        update=None,
        delete="DeregisterJobDefinition",
        reference="jobDefinition",
        arn_field="jobDefinitionArn",
        attribute="JobDefinitionArn",
        replacing=("JobDefinitionName",),
        ignored=("ResourceRetentionPolicy",),
    ),
    BatchType(
        name="AWS::Batch::SchedulingPolicy",
        name_property="name",
        create="CreateSchedulingPolicy",
        update="UpdateSchedulingPolicy",
        delete="DeleteSchedulingPolicy",
        reference="arn",
        arn_field="arn",
        attribute="Arn",
        replacing=("Name",),
    ),
)


def register_batch_types(seams: Seams, api: BatchApi) -> None:
    """Teach CloudFormation the Batch types; those that take time to delete are handled off the event loop."""
    waiting = {kind.name for kind in TYPES if kind.jobs_end_first}
    usual = seams.stacks._runs_on_worker_thread
    seams.stacks._runs_on_worker_thread = lambda name: name in waiting or usual(name)
    for kind in TYPES:
        handler = _Handler(seams, api, kind)
        seams.provisioners._RESOURCE_HANDLERS[kind.name] = {
            "create": handler.create,
            "update": handler.update,
            "update_with_logical_id": True,
            "delete": handler.delete,
        }
        seams.provisioners._REPLACING_PROPERTIES[kind.name] = kind.replacing


class _Handler:
    def __init__(self, seams: Seams, api: BatchApi, kind: BatchType) -> None:
        self._seams = seams
        self._api = api
        self._kind = kind
        self._spared: dict[str, str] = {}  # revision that an update leaves active -> the one that follows it

    def create(self, logical_id: str, properties: Properties, stack: str) -> Created:
        kind = self._kind
        at_once, afterwards = split_off(properties, kind.update_only)
        given = self._given(kind.create, at_once)
        given.setdefault(kind.name_property, self._seams.provisioners._physical_name(stack, logical_id))
        arn = str(self._call(kind.create, given)[kind.arn_field])
        if afterwards and kind.update is not None:
            self._call(kind.update, {**self._given(kind.update, afterwards), kind.reference: arn})
        return arn, {kind.attribute: arn, "Arn": arn}

    def update(
        self, physical_id: str, _old: Properties, new: Properties, stack: str, logical_id: str | None = None
    ) -> Created:
        kind = self._kind
        if kind.update is None:
            return self._new_revision(physical_id, new, stack, logical_id)
        self._require_known(new)
        given = self._given(kind.update, new, drop_unknown=True)
        self._call(kind.update, {**given, kind.reference: physical_id})
        return physical_id, {kind.attribute: physical_id, "Arn": physical_id}

    def delete(self, physical_id: str, _properties: Properties) -> None:
        kind = self._kind
        if self._spared.pop(physical_id, None) is not None:
            return
        self._spared = {old: new for old, new in self._spared.items() if new != physical_id}  # it is rolled back
        try:
            if kind.disable_before_delete and kind.update is not None:
                self._api.call(kind.update, {kind.reference: physical_id, "state": "DISABLED"})
            self._api.call(kind.delete, {kind.reference: physical_id})
        except ClientException as error:
            if not str(error).startswith(("Object does not exist", "JobDefinition not found")):
                raise ValueError(f'Resource handler returned message: "{error}"') from error
        if kind.jobs_end_first and not self._api.wait_until_deleted(physical_id, timeout_s=DELETE_TIMEOUT_S):
            raise ValueError(f"{physical_id} did not stabilize: its jobs have not ended")

    def _new_revision(self, physical_id: str, new: Properties, stack: str, logical_id: str | None) -> Created:
        """Register the next revision; CloudFormation then deletes the one it replaces, unless that is to be spared."""
        name = physical_id.rpartition("/")[2].partition(":")[0]
        created = self.create(logical_id or name, {**new, "JobDefinitionName": name}, stack)
        if str((new.get("ResourceRetentionPolicy") or {}).get("SkipDeregisterOnUpdate")).lower() == "true":
            self._spared[physical_id] = created[0]
        return created

    def _require_known(self, properties: Properties) -> None:
        """Refuse what not even the create operation knows; the update operation just takes fewer."""
        at_once, _ = split_off(properties, self._kind.update_only)
        given = self._given(self._kind.create, at_once)
        try:
            checked(self._kind.create, {self._kind.name_property: "any", **given})
        except ClientException as error:
            raise ValueError(f'Resource handler returned message: "{error}"') from error

    def _given(self, operation: str, properties: Properties, *, drop_unknown: bool = False) -> Properties:
        kept = {key: value for key, value in properties.items() if key not in self._kind.ignored}
        shape = service_model().operation_model(operation).input_shape
        assert shape is not None
        spelled: Properties = spell_as_api(kept, shape, drop_unknown=drop_unknown)
        return spelled

    def _call(self, operation: str, given: Properties) -> dict[str, Any]:
        try:
            return self._api.call(operation, given)
        except ClientException as error:
            raise ValueError(f'Resource handler returned message: "{error}"') from error


def split_off(properties: Properties, paths: tuple[tuple[str, ...], ...]) -> tuple[Properties, Properties]:
    """The properties without those at `paths`, and those alone, nested as they were."""
    rest: Properties = copy.deepcopy(properties)
    taken: Properties = {}
    for *parents, name in paths:
        source, target = rest, taken
        for parent in parents:
            source = source.get(parent) or {}
        if name in source:
            for parent in parents:
                target = target.setdefault(parent, {})
            target[name] = source.pop(name)
    return rest, taken


def spell_as_api(value: Any, shape: Shape, *, drop_unknown: bool) -> Any:
    """CloudFormation's capitalised property names as the API's; keys of maps stay as they are."""
    descend = partial(spell_as_api, drop_unknown=drop_unknown)
    if shape.type_name == "structure" and isinstance(value, Mapping):
        members: Mapping[str, Shape] = shape.members  # type: ignore[attr-defined]
        spelling = {name.lower(): name for name in members}
        spelled = {}
        for key, item in value.items():
            name = spelling.get(str(key).lower())
            if name is not None:
                spelled[name] = descend(item, members[name])
            elif not drop_unknown:
                spelled[str(key)] = item
        return spelled
    if shape.type_name == "list" and isinstance(value, list):
        return [descend(item, shape.member) for item in value]  # type: ignore[attr-defined]
    if shape.type_name == "map" and isinstance(value, Mapping):
        return {key: descend(item, shape.value) for key, item in value.items()}  # type: ignore[attr-defined]
    return value

"""CloudFormation type of experiment templates."""

from functools import partial
from typing import Any

from localcloud.cfn.batch_types import spell_as_api
from localcloud.fis.api import FisApi
from localcloud.fis.parameters import FisError, service_model
from localcloud.seams import Seams

TYPE = "AWS::FIS::ExperimentTemplate"

Properties = dict[str, Any]
Created = tuple[str, dict[str, str]]  # physical id, attributes


def register_fis_types(seams: Seams, api: FisApi) -> None:
    """Teach CloudFormation experiment templates."""
    seams.provisioners._RESOURCE_HANDLERS[TYPE] = {
        "create": partial(_create, api),
        "update": partial(_update, api),
        "delete": partial(_delete, api),
    }
    seams.provisioners._REPLACING_PROPERTIES[TYPE] = ("Tags",)


def _create(api: FisApi, _logical_id: str, properties: Properties, _stack: str) -> Created:
    return _created(_call(api, "CreateExperimentTemplate", properties))


def _update(api: FisApi, physical_id: str, _old: Properties, new: Properties, _stack: str) -> Created:
    changed = {name: value for name, value in new.items() if name != "Tags"}
    return _created(_call(api, "UpdateExperimentTemplate", changed, id=physical_id))


def _delete(api: FisApi, physical_id: str, _properties: Properties) -> None:
    try:
        api.call("DeleteExperimentTemplate", {"id": physical_id})
    except FisError as error:
        if error.code != "ResourceNotFoundException":
            raise


def _call(api: FisApi, operation: str, properties: Properties, **more: str) -> dict[str, Any]:
    shape = service_model().operation_model(operation).input_shape
    assert shape is not None
    given: Properties = spell_as_api(properties, shape, drop_unknown=False)
    try:
        return api.call(operation, {**given, **more})
    except FisError as error:
        raise ValueError(f'Resource handler returned message: "{error}"') from error


def _created(answer: dict[str, Any]) -> Created:
    template_id = str(answer["experimentTemplate"]["id"])
    return template_id, {"Id": template_id}

"""CloudFormation types of composite alarms and saved queries."""

import json
from typing import Any, Final

from localcloud.query_definitions import QueryDefinitions
from localcloud.seams import Seams

COMPOSITE: Final = "AWS::CloudWatch::CompositeAlarm"
QUERY: Final = "AWS::Logs::QueryDefinition"

Properties = dict[str, Any]
Created = tuple[str, dict[str, str]]  # physical id, attributes


def register_monitoring_types(seams: Seams, queries: QueryDefinitions) -> None:
    """Teach CloudFormation both types."""
    composite, query = _CompositeAlarm(seams), _Query(queries)
    for kind, handler, replacing in ((COMPOSITE, composite, ("AlarmName",)), (QUERY, query, ())):
        seams.provisioners._RESOURCE_HANDLERS[kind] = {
            "create": handler.create,
            "update": handler.update,
            "delete": handler.delete,
        }
        seams.provisioners._REPLACING_PROPERTIES[kind] = replacing


class _CompositeAlarm:
    def __init__(self, seams: Seams) -> None:
        self._seams = seams

    def create(self, logical_id: str, properties: Properties, stack: str) -> Created:
        name = properties.get("AlarmName") or self._seams.provisioners._physical_name(stack, logical_id)
        return self._put(str(name), properties)

    def update(self, physical_id: str, _old: Properties, new: Properties, _stack: str) -> Created:
        return self._put(physical_id, new)

    def delete(self, physical_id: str, _properties: Properties) -> None:
        _checked(self._seams.cloudwatch._delete_alarms({}, {"AlarmNames": [physical_id]}, False, True))

    def _put(self, name: str, properties: Properties) -> Created:
        cloudwatch = self._seams.cloudwatch
        _checked(cloudwatch._put_composite_alarm({}, {**properties, "AlarmName": name}, False, True))
        return name, {"Arn": str(cloudwatch._composite_alarms[name]["AlarmArn"])}


class _Query:
    def __init__(self, queries: QueryDefinitions) -> None:
        self._queries = queries

    def create(self, _logical_id: str, properties: Properties, _stack: str) -> Created:
        return _created(self._queries.put(_as_api(properties)))

    def update(self, physical_id: str, _old: Properties, new: Properties, _stack: str) -> Created:
        return _created(self._queries.put({**_as_api(new), "queryDefinitionId": physical_id}))

    def delete(self, physical_id: str, _properties: Properties) -> None:
        self._queries.delete(physical_id)


def _as_api(properties: Properties) -> Properties:
    return {name[0].lower() + name[1:]: value for name, value in properties.items()}


def _created(query_id: str) -> Created:
    return query_id, {"QueryDefinitionId": query_id}


def _checked(answer: tuple[int, dict[str, str], bytes]) -> None:
    status, _, body = answer
    if status >= 300:
        raise ValueError(f'Resource handler returned message: "{json.loads(body).get("message")}"')

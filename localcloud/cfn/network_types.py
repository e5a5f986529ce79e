"""CloudFormation type of flow logs. They are on record; no packets flow here, so nothing is ever written to them."""

from typing import Any, Final

from localcloud.seams import Seams

FLOW_LOG: Final = "AWS::EC2::FlowLog"

Properties = dict[str, Any]
Created = tuple[str, dict[str, str]]  # physical id, attributes


def register_network_types(seams: Seams) -> None:
    """Teach CloudFormation flow logs: a new one for every change but of tags, as on AWS."""
    handler = _FlowLog(seams)
    seams.provisioners._RESOURCE_HANDLERS[FLOW_LOG] = {
        "create": handler.create,
        "update": handler.update,
        "delete": handler.delete,
    }
    seams.provisioners._REPLACING_PROPERTIES[FLOW_LOG] = _KEPT


_KEPT = ("ResourceId", "ResourceType", "TrafficType", "LogDestinationType", "LogGroupName", "LogDestination")


class _FlowLog:
    def __init__(self, seams: Seams) -> None:
        self._seams = seams

    def create(self, _logical_id: str, properties: Properties, _stack: str) -> Created:
        ec2 = self._seams.ec2
        before = set(ec2._flow_logs)
        parameters = {name: [str(properties[name])] for name in _KEPT if name in properties}
        parameters["ResourceId.1"] = parameters.pop("ResourceId")
        ec2._create_flow_logs(parameters)
        (made,) = set(ec2._flow_logs) - before
        return str(made), {"Id": str(made)}

    def update(self, physical_id: str, _old: Properties, _new: Properties, _stack: str) -> Created:
        return physical_id, {"Id": physical_id}

    def delete(self, physical_id: str, _properties: Properties) -> None:
        self._seams.ec2._delete_flow_logs({"FlowLogId.1": [physical_id]})

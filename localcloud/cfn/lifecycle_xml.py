"""CloudFormation's bucket lifecycle rules in the XML of S3's API."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape


def lifecycle_xml(rules: Sequence[Mapping[str, Any]]) -> bytes:
    """The PutBucketLifecycleConfiguration body for `LifecycleConfiguration.Rules`."""
    return f"<LifecycleConfiguration>{''.join(_rule(rule) for rule in rules)}</LifecycleConfiguration>".encode()


def _rule(rule: Mapping[str, Any]) -> str:
    parts = [_element("ID", rule.get("Id") or uuid.uuid4()), _element("Status", rule["Status"]), _filter(rule)]
    if "ExpirationInDays" in rule:
        parts.append(_nested("Expiration", {"Days": rule["ExpirationInDays"]}))
    if str(rule.get("ExpiredObjectDeleteMarker", "")).lower() == "true":
        parts.append(_nested("Expiration", {"ExpiredObjectDeleteMarker": "true"}))
    for transition in rule.get("Transitions") or []:
        days, storage = transition.get("TransitionInDays", 0), transition["StorageClass"]
        parts.append(_nested("Transition", {"Days": days, "StorageClass": storage}))
    nested = ("NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload")
    parts += [_nested(name, rule[name]) for name in nested if rule.get(name)]
    return f"<Rule>{''.join(parts)}</Rule>"


def _filter(rule: Mapping[str, Any]) -> str:
    parts = [_element("Prefix", rule["Prefix"])] if rule.get("Prefix") else []
    parts += [_nested("Tag", {"Key": tag["Key"], "Value": tag["Value"]}) for tag in rule.get("TagFilters") or []]
    parts += [_element(name, rule[name]) for name in ("ObjectSizeGreaterThan", "ObjectSizeLessThan") if name in rule]
    content = f"<And>{''.join(parts)}</And>" if len(parts) > 1 else "".join(parts) or "<Prefix></Prefix>"
    return f"<Filter>{content}</Filter>"


def _nested(name: str, children: Mapping[str, Any]) -> str:
    return f"<{name}>{''.join(_element(child, value) for child, value in children.items())}</{name}>"


def _element(name: str, value: object) -> str:
    return f"<{name}>{escape(str(value))}</{name}>"

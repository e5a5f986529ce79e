"""What a bucket's lifecycle rules do to its objects, as far as our templates use them.

After "Lifecycle configuration elements" and "Expiring objects" of the S3 user guide: a rule acts on what its prefix, its
tags (all of them) and its sizes select; an action is due so many days after creation, rounded up to the next midnight
UTC; expiration acts on current versions, the noncurrent action counts from the moment a version was replaced. Members
that nobody taught this evaluator are refused, so that no rule is ever taken for harmless because it was not understood.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

Rule = Mapping[str, Any]
_SELECTION = {"Prefix", "TagFilters", "ObjectSizeGreaterThan", "ObjectSizeLessThan"}
_ACTIONS = {
    "ExpirationInDays", "ExpirationDate", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload",
    "ExpiredObjectDeleteMarker",
}  # fmt: skip
_KNOWN = {"Id", "Status"} | _SELECTION | _ACTIONS


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """A version of an object. `replaced`: when it stopped being the current one."""

    key: str
    created: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    size_bytes: int = 1000
    replaced: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    initiated: datetime


def expired(rules: Iterable[Rule], stored: StoredObject, now: datetime) -> list[str]:
    """Ids of the enabled rules by which the object may be gone at `now`."""
    return [
        str(rule["Id"])
        for rule in map(_checked, rules)
        if rule["Status"] == "Enabled" and _selects(rule, stored) and _is_due(rule, stored, now)
    ]


def aborted(rules: Iterable[Rule], upload: Upload, now: datetime) -> list[str]:
    """Ids of the enabled rules by which the upload may be gone at `now`."""
    return [
        str(rule["Id"])
        for rule in map(_checked, rules)
        if rule["Status"] == "Enabled"
        and "AbortIncompleteMultipartUpload" in rule
        and upload.key.startswith(rule.get("Prefix", ""))
        and now >= _due(upload.initiated, rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
    ]


def _checked(rule: Rule) -> Rule:
    if strangers := rule.keys() - _KNOWN:
        raise NotImplementedError(f"lifecycle members that are not evaluated: {sorted(strangers)}")
    noncurrent = rule.get("NoncurrentVersionExpiration", {})
    if strangers := noncurrent.keys() - {"NoncurrentDays"}:
        raise NotImplementedError(f"of noncurrent versions: {sorted(strangers)}")
    if not rule.keys() & _ACTIONS:
        raise ValueError(f"rule {rule['Id']} does nothing; S3 refuses it")
    if "TagFilters" in rule and rule.keys() & {"AbortIncompleteMultipartUpload", "ExpiredObjectDeleteMarker"}:
        raise ValueError(f"rule {rule['Id']} combines tags with what has none; S3 refuses it")
    return rule


def _selects(rule: Rule, stored: StoredObject) -> bool:
    tags = {each["Key"]: each["Value"] for each in rule.get("TagFilters", ())}
    return (
        stored.key.startswith(rule.get("Prefix", ""))
        and tags.items() <= stored.tags.items()
        and stored.size_bytes > rule.get("ObjectSizeGreaterThan", -1)
        and stored.size_bytes < rule.get("ObjectSizeLessThan", float("inf"))
    )


def _is_due(rule: Rule, stored: StoredObject, now: datetime) -> bool:
    if stored.replaced is not None:
        noncurrent = rule.get("NoncurrentVersionExpiration")
        return noncurrent is not None and now >= _due(stored.replaced, noncurrent["NoncurrentDays"])
    if "ExpirationDate" in rule:
        return now >= datetime.fromisoformat(rule["ExpirationDate"])
    return "ExpirationInDays" in rule and now >= _due(stored.created, rule["ExpirationInDays"])


def _due(since: datetime, days: int) -> datetime:
    """So many days later, rounded up to the next midnight UTC."""
    moment = since.astimezone(UTC) + timedelta(days=days)
    midnight = datetime.combine(moment.date(), time(), UTC)
    return midnight if midnight == moment else midnight + timedelta(days=1)

"""Answers as they are compared: what a service promises to say, without what no two servers agree on."""

from collections.abc import Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from spotproof.leases.memory.numbers import kept

# Fields that are not compared, with the reason.
IGNORED: Final = {
    "ResponseMetadata": "request ids, headers and host ids; the status is compared by itself",
    "LastModified": "the clock of a server is the real one",
    "ConsumedCapacity": "emulators count no units, or by other rules",
    "ScannedCount": "without filters it is Count",
    "Owner": "moto lists it unasked",
    "StorageClass": "emulators name the only one there is",
    "ServerSideEncryption": "depends on the bucket's settings, which a fresh bucket has not",
    "ChecksumCRC32": "sent by newer SDKs unasked; the simulated S3 has entity tags alone",
    "ChecksumType": "sent by newer SDKs unasked; the simulated S3 has entity tags alone",
    "ChecksumAlgorithm": "sent by newer SDKs unasked; the simulated S3 has entity tags alone",
    "VersionId": "the simulated S3 has no versions",
    "Message": "the words of an error are nobody's contract",
}


def comparable(value: Any) -> Any:
    """The part of an answer that two servers must agree on."""
    if isinstance(value, Mapping):
        return {name: comparable(each) for name, each in value.items() if name not in IGNORED}
    if isinstance(value, list | tuple):
        return [comparable(each) for each in value]
    return value


def comparable_error(error: ClientError) -> dict[str, Any]:
    """Code, the item that stood in the way, and the reasons of a cancelled transaction."""
    response: Mapping[str, Any] = error.response
    told: dict[str, Any] = {"refused": response["Error"]["Code"]}
    if response.get("Item"):
        told["Item"] = response["Item"]
    reasons = response.get("CancellationReasons", [])
    if reasons:
        told["CancellationReasons"] = [comparable(reason) for reason in reasons]
    return told


def with_kept_numbers(value: Any) -> Any:
    """The answer of a table that gives numbers back as they were sent, as the service would give it."""
    if isinstance(value, Mapping):
        if value.keys() == {"N"}:
            return kept(value)
        return {name: with_kept_numbers(each) for name, each in value.items()}
    return [with_kept_numbers(each) for each in value] if isinstance(value, list) else value


def with_dates_of(answer: Any, other: Any) -> Any:
    """`answer` with the times that `other` has at the same places."""
    if isinstance(answer, Mapping) and isinstance(other, Mapping):
        return {
            name: other[name] if name == "LastModified" and name in other else with_dates_of(each, other.get(name))
            for name, each in answer.items()
        }
    if isinstance(answer, list) and isinstance(other, list) and len(answer) == len(other):
        return [with_dates_of(each, theirs) for each, theirs in zip(answer, other, strict=True)]
    return answer

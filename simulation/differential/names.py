"""Other names for tables and buckets, so that worlds can share an account."""

from collections.abc import Mapping
from typing import Any, Final

_NAMES: Final = frozenset({"TableName", "Bucket"})
_REPEATED: Final = frozenset({"Name", "Bucket"})
_HOLDERS: Final = frozenset({"TransactItems", "Put", "Update", "CopySource"})


def renamed(request: Any, names: Mapping[str, str]) -> Any:
    """The request with the names of its tables and buckets exchanged."""
    if isinstance(request, list):
        return [renamed(each, names) for each in request]
    return {
        name: names.get(value, value) if name in _NAMES else renamed(value, names) if name in _HOLDERS else value
        for name, value in request.items()
    }


def renamed_back(answer: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The answer with the bucket's name here, where S3 repeats it."""
    back = {there: here for here, there in names.items()}
    return {name: back.get(value, value) if name in _REPEATED else value for name, value in answer.items()}

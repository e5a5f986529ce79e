"""Pages of ListObjectsV2."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote_plus

from simulation.cloud.s3_objects import Shelf, StoredObject
from simulation.cloud.s3_requests import refusal

KEYS_MAX: Final = 1000  # a page; S3 API reference, ListObjectsV2
_END: Final = "\U0010ffff"  # after every key that starts with a prefix


def page_of(shelf: Shelf, request: Mapping[str, Any], *, keys_max: int) -> dict[str, Any]:
    """The answer to one ListObjectsV2 request, as boto3 hands it out.

    Raises:
        ClientError: the token is not one of ours, or MaxKeys is negative.
        NotImplementedError: StartAfter together with Delimiter, whose corner cases nobody documents.
    """
    limit = request.get("MaxKeys", KEYS_MAX)
    if limit < 0:
        raise refusal("ListObjectsV2", "InvalidArgument", ": MaxKeys must not be negative")
    if "StartAfter" in request and request.get("Delimiter"):
        raise NotImplementedError("the simulated S3 lists no StartAfter with Delimiter")
    found, prefixes, last, more = _cut(_walk(shelf, request), min(limit, keys_max))
    return _answer(request, limit, found, prefixes, last if more else None)


class Pages:
    """botocore's paginator of list_objects_v2."""

    def __init__(self, list_page: Callable[..., dict[str, Any]]) -> None:
        self._list_page = list_page

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            page = self._list_page(**request, **token)
            yield page
            if not page["IsTruncated"]:
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}


def _walk(shelf: Shelf, request: Mapping[str, Any]) -> Iterator[tuple[str, StoredObject | None]]:
    """Keys with their objects and, with a delimiter, each common prefix once (with None), in order."""
    prefix, delimiter = request.get("Prefix", ""), request.get("Delimiter", "")
    after = _after(request)
    if not delimiter:
        yield from shelf.walk(prefix, after=after)
        return
    if after.endswith(delimiter) and len(after) > len(prefix):
        after += _END  # the last page ended with this common prefix
    while True:
        for key, stored in shelf.walk(prefix, after=after):
            below, found, _ = key[len(prefix) :].partition(delimiter)
            if found:
                common = prefix + below + delimiter
                yield common, None
                after = common + _END
                break
            yield key, stored
        else:
            return


def _cut(
    walk: Iterator[tuple[str, StoredObject | None]], limit: int
) -> tuple[list[tuple[str, StoredObject]], list[str], str, bool]:
    """The first `limit` entries as keys and common prefixes, the last name of them, and whether there are more."""
    found: list[tuple[str, StoredObject]] = []
    prefixes: list[str] = []
    last = ""
    for name, stored in walk:
        if len(found) + len(prefixes) == limit:
            return found, prefixes, last, limit > 0
        last = name
        if stored is None:
            prefixes.append(name)
        else:
            found.append((name, stored))
    return found, prefixes, last, False


def _answer(
    request: Mapping[str, Any],
    limit: int,
    found: list[tuple[str, StoredObject]],
    prefixes: list[str],
    next_: str | None,
) -> dict[str, Any]:
    # botocore asks for quoted keys by itself and undoes them, unless the caller asked: then they stay quoted.
    spell = _quoted if request.get("EncodingType") == "url" else str
    answer: dict[str, Any] = {
        "ResponseMetadata": {"HTTPStatusCode": 200},
        "IsTruncated": next_ is not None,
        "Name": request["Bucket"],
        "Prefix": spell(request.get("Prefix", "")),
        "MaxKeys": limit,
        "EncodingType": "url",
        "KeyCount": len(found) + len(prefixes),
    }
    if found:
        answer["Contents"] = [_entry(spell(key), stored) for key, stored in found]
    if prefixes:
        answer["CommonPrefixes"] = [{"Prefix": spell(prefix)} for prefix in prefixes]
    for name in ("Delimiter", "StartAfter"):
        if name in request:
            answer[name] = spell(request[name])
    if "ContinuationToken" in request:
        answer["ContinuationToken"] = request["ContinuationToken"]
    if next_ is not None:
        answer["NextContinuationToken"] = b64encode(next_.encode()).decode()
    return answer


def _entry(key: str, stored: StoredObject) -> dict[str, Any]:
    return {
        "Key": key,
        "LastModified": stored.last_modified,
        "ETag": stored.etag,
        "Size": len(stored.data),
        "StorageClass": "STANDARD",
    }


def _after(request: Mapping[str, Any]) -> str:
    token = request.get("ContinuationToken")
    if token is None:
        return str(request.get("StartAfter", ""))
    try:
        return b64decode(token, validate=True).decode()
    except ValueError:
        raise refusal("ListObjectsV2", "InvalidArgument", ": the continuation token is not one of S3's") from None


def _quoted(text: str) -> str:
    return quote_plus(text, safe="/")

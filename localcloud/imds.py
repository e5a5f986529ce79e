"""What instance metadata (IMDSv2) answers, as pure decisions on an instance and a request."""

import json
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from localcloud.clock import iso
from localcloud.ec2_records import IMAGE_ID
from localcloud.instance import Instance

TOKEN_PATH = "latest/api/token"  # noqa: S105 - a path, not a secret
TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "x-aws-ec2-metadata-token"  # noqa: S105 - a header name
TTL_MAX_S = 21_600
_ROOT = "latest/meta-data/"
_TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: str
    content_type: str = "text/plain"
    headers: tuple[tuple[str, str], ...] = ()


def refusal(status: int) -> Answer:
    """An error as the service words it: a small page."""
    title = f"{status} - {_TITLES[status]}"
    head = '<?xml version="1.0" encoding="iso-8859-1"?>\n<html xmlns="http://www.w3.org/1999/xhtml">\n'
    body = f"{head} <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n </body>\n</html>\n"
    return Answer(status=status, body=body, content_type="text/html")


class Tokens:
    """Session tokens, each good for one instance until it expires."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, float]] = {}

    def issue(self, instance_id: str, headers: Mapping[str, str]) -> Answer:
        """Answer to the PUT for a token."""
        if "x-forwarded-for" in headers:
            return refusal(403)
        ttl = headers.get(TTL_HEADER, "")
        if not ttl.isdigit() or not 1 <= int(ttl) <= TTL_MAX_S:
            return refusal(400)
        token = secrets.token_urlsafe(40)
        with self._lock:
            now = time.monotonic()
            self._held = {key: held for key, held in self._held.items() if held[1] > now}
            self._held[token] = (instance_id, now + int(ttl))
        return Answer(status=200, body=token, headers=((TTL_HEADER, ttl),))

    def admits(self, instance_id: str, headers: Mapping[str, str]) -> bool:
        """Whether the request carries a live token of this instance."""
        with self._lock:
            holder, expires = self._held.get(headers.get(TOKEN_HEADER, ""), ("", 0.0))
        return holder == instance_id and expires > time.monotonic()


def metadata_of(instance: Instance, *, role: str | None) -> dict[str, str]:
    """Every metadata value the instance has now, by path below `latest/meta-data/`."""
    values = {
        "ami-id": IMAGE_ID,
        "instance-id": instance.id,
        "instance-type": instance.type.name,
        "instance-life-cycle": str(instance.request.lifecycle),
        "local-ipv4": instance.private_ip,
        "placement/availability-zone": instance.zone,
        "placement/region": instance.request.region,
        "services/domain": "amazonaws.com",
        "services/partition": "aws",
    }
    values |= {f"tags/instance/{key}": value for key, value in instance.request.tags.items()}
    if role:
        values["iam/security-credentials/"] = role
    if instance.rebalance_at is not None:
        values["events/recommendations/rebalance"] = json.dumps({"noticeTime": iso(instance.rebalance_at)})
    if instance.reclaim_at is not None:
        due = iso(instance.reclaim_at)
        values["spot/instance-action"] = json.dumps({"action": "terminate", "time": due})
        values["spot/termination-time"] = due
    return values


def identity_document(instance: Instance) -> str:
    """The instance identity document."""
    return json.dumps(
        {
            "accountId": instance.request.account,
            "architecture": "x86_64",
            "availabilityZone": instance.zone,
            "imageId": IMAGE_ID,
            "instanceId": instance.id,
            "instanceType": instance.type.name,
            "pendingTime": iso(instance.launched_at),
            "privateIp": instance.private_ip,
            "region": instance.request.region,
            "version": "2017-09-30",
        }
    )


def look_up(path: str, values: Mapping[str, str]) -> Answer:
    """The value at `latest/meta-data/...`, or the listing of a directory, or 404."""
    name = path.removeprefix(_ROOT)
    if name in values:
        return Answer(status=200, body=values[name])
    folder = name if name.endswith("/") or not name else name + "/"
    if folder in values:
        return Answer(status=200, body=values[folder])
    below = sorted({_entry(key[len(folder) :]) for key in values if key.startswith(folder)})
    return Answer(status=200, body="\n".join(below)) if below else refusal(404)


def _entry(rest: str) -> str:
    first, slash, _ = rest.partition("/")
    return first + slash

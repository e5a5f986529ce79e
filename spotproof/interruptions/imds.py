"""Instance metadata (IMDSv2): the host's facts, its spot notice and its rebalance recommendation.

Paths, codes and headers: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from spotproof.clock import Clock, parse_utc
from spotproof.errors import MALFORMED, ConfigurationError
from spotproof.interruptions.model import Channel, Signal, SignalKind, SourceUnavailableError

TOKEN_TTL_S: Final = 21600  # the longest IMDS grants
TIMEOUT_S: Final = 1.0
ROOT: Final = "latest/meta-data/"
NOTICE_PATH: Final = ROOT + "spot/instance-action"
REBALANCE_PATH: Final = ROOT + "events/recommendations/rebalance"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataResponse:
    """What the metadata service answered."""

    status: int  # of HTTP
    body: bytes


class MetadataTransport(Protocol):
    """One request to the metadata service. The simulator passes its own."""

    def request(self, method: str, path: str, headers: Mapping[str, str]) -> MetadataResponse:
        """The answer, whatever its status.

        Args:
            path: without a leading slash, such as "latest/meta-data/instance-id".

        Raises:
            OSError: no answer: unreachable, broken off, or too late.
        """
        ...


class HttpMetadataTransport:
    """The metadata service over HTTP, never through a proxy."""

    def __init__(self, *, base_url: str, timeout_s: float = TIMEOUT_S) -> None:
        """Raises ConfigurationError: `base_url` is not http."""
        if not base_url.startswith(("http://", "https://")):
            raise ConfigurationError(f"AWS_EC2_METADATA_SERVICE_ENDPOINT must be an http URL, got {base_url!r}")
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s

    def request(self, method: str, path: str, headers: Mapping[str, str]) -> MetadataResponse:
        request = urllib.request.Request(  # noqa: S310 - http checked above
            f"{self._base_url}/{path}", method=method, headers=dict(headers)
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=self._timeout_s) as response:
                return MetadataResponse(status=response.status, body=response.read())
        except urllib.error.HTTPError as error:
            error.close()
            return MetadataResponse(status=error.code, body=b"")
        except http.client.HTTPException as error:
            raise ConnectionError(str(error) or type(error).__name__) from error


class InstanceMetadata:
    """A client of one host's IMDSv2; every failure but 404 is SourceUnavailableError."""

    def __init__(self, *, transport: MetadataTransport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self._token = ""
        self._token_renew_at = 0.0

    def get(self, path: str) -> str | None:
        """The value at `path`, or None where IMDS has none (404).

        Raises:
            SourceUnavailableError: unreachable, forbidden, throttled, or it answered nonsense.
        """
        try:
            return self._get(path, self._current_token())
        except _TokenRefusedError:
            self._token_renew_at = 0.0
        try:
            return self._get(path, self._current_token())
        except _TokenRefusedError as error:
            raise SourceUnavailableError("instance metadata refuses its own token") from error

    def _current_token(self) -> str:
        if self._clock.monotonic() >= self._token_renew_at:
            ttl = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_TTL_S)}
            self._token = self._send("PUT", "latest/api/token", ttl) or ""
            self._token_renew_at = self._clock.monotonic() + TOKEN_TTL_S / 2
        return self._token

    def _get(self, path: str, token: str) -> str | None:
        return self._send("GET", path, {"X-aws-ec2-metadata-token": token})

    def _send(self, method: str, path: str, headers: Mapping[str, str]) -> str | None:
        try:
            answer = self._transport.request(method, path, headers)
        except OSError as error:
            raise SourceUnavailableError(f"instance metadata does not answer: {error}") from error
        if 200 <= answer.status < 300:
            return answer.body.decode("utf-8", "replace")
        if answer.status == 404:
            return None
        if answer.status == 401:
            raise _TokenRefusedError
        raise SourceUnavailableError(f"instance metadata answered {answer.status}")


class _TokenRefusedError(Exception):
    """401: the token is missing or has expired."""


class ImdsSource:
    """The notice and the rebalance recommendation as the host itself sees them."""

    channel: Final = Channel.IMDS

    def __init__(self, metadata: InstanceMetadata, *, hint_s: float, notice_lead_s: float) -> None:
        self._metadata = metadata
        self._hint_s = hint_s
        self._notice_lead_s = notice_lead_s

    def poll(self) -> list[Signal]:
        signals = []
        notice = self._metadata.get(NOTICE_PATH)
        if notice is not None:
            signals.append(parse_instance_action(notice, notice_lead_s=self._notice_lead_s))
        rebalance = self._metadata.get(REBALANCE_PATH)
        if rebalance is not None:
            signals.append(parse_rebalance(rebalance, hint_s=self._hint_s))
        return signals


def parse_instance_action(body: str, *, notice_lead_s: float) -> Signal:
    """The notice in `{"action": "terminate", "time": "2017-09-18T08:22:00Z"}`.

    IMDS tells when the host goes, not when that was announced: the announcement is taken to be `notice_lead_s` earlier.

    Raises:
        SourceUnavailableError: the body is not that.
    """
    try:
        deadline = parse_utc(str(json.loads(body)["time"]))
        announced = deadline - timedelta(seconds=notice_lead_s)
    except MALFORMED as error:
        raise SourceUnavailableError(f"instance metadata: unreadable instance-action {body[:100]!r}") from error
    return Signal(
        kind=SignalKind.NOTICE,
        channel=Channel.IMDS,
        deadline=deadline,
        event_time=announced,
    )


def parse_rebalance(body: str, *, hint_s: float) -> Signal:
    """The recommendation in `{"noticeTime": "2020-10-27T08:22:00Z"}`.

    Raises:
        SourceUnavailableError: the body is not that.
    """
    try:
        noticed = parse_utc(str(json.loads(body)["noticeTime"]))
        forgotten = noticed + timedelta(seconds=hint_s)
    except MALFORMED as error:
        raise SourceUnavailableError(f"instance metadata: unreadable rebalance {body[:100]!r}") from error
    return Signal(
        kind=SignalKind.REBALANCE,
        channel=Channel.IMDS,
        expires_at=forgotten,
        event_time=noticed,
    )

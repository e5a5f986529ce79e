"""Instance metadata (IMDSv2): the host's facts, its spot notice and its rebalance recommendation.

Paths, codes and headers: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

import http.client
import json
import urllib.error
import urllib.request
from datetime import timedelta
from typing import Final

from spotproof.clock import Clock, parse_utc
from spotproof.errors import ConfigurationError
from spotproof.interruptions.model import Channel, Signal, SignalKind, SourceUnavailableError

TOKEN_TTL_S: Final = 21600  # the longest IMDS grants
TIMEOUT_S: Final = 1.0
ROOT: Final = "latest/meta-data/"
NOTICE_PATH: Final = ROOT + "spot/instance-action"
REBALANCE_PATH: Final = ROOT + "events/recommendations/rebalance"


class InstanceMetadata:
    """A client of one host's IMDSv2; every failure but 404 is SourceUnavailableError."""

    def __init__(self, *, base_url: str, clock: Clock, timeout_s: float = TIMEOUT_S) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise ConfigurationError(f"AWS_EC2_METADATA_SERVICE_ENDPOINT must be an http URL, got {base_url!r}")
        self._base_url = base_url.rstrip("/")
        self._clock = clock
        self._timeout_s = timeout_s
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
            request = self._request("latest/api/token", method="PUT")
            request.add_header("X-aws-ec2-metadata-token-ttl-seconds", str(TOKEN_TTL_S))
            self._token = self._send(request) or ""
            self._token_renew_at = self._clock.monotonic() + TOKEN_TTL_S / 2
        return self._token

    def _get(self, path: str, token: str) -> str | None:
        request = self._request(path, method="GET")
        request.add_header("X-aws-ec2-metadata-token", token)
        return self._send(request)

    def _request(self, path: str, *, method: str) -> urllib.request.Request:
        return urllib.request.Request(f"{self._base_url}/{path}", method=method)  # noqa: S310 - http checked above

    def _send(self, request: urllib.request.Request) -> str | None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=self._timeout_s) as response:
                body: bytes = response.read()
                return body.decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 404:
                return None
            if error.code == 401:
                raise _TokenRefusedError from error
            raise SourceUnavailableError(f"instance metadata answered {error.code}") from error
        except (OSError, http.client.HTTPException) as error:
            raise SourceUnavailableError(f"instance metadata does not answer: {error}") from error


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
    except (ValueError, KeyError, TypeError) as error:
        raise SourceUnavailableError(f"instance metadata: unreadable instance-action {body[:100]!r}") from error
    return Signal(
        kind=SignalKind.NOTICE,
        channel=Channel.IMDS,
        deadline=deadline,
        event_time=deadline - timedelta(seconds=notice_lead_s),
    )


def parse_rebalance(body: str, *, hint_s: float) -> Signal:
    """The recommendation in `{"noticeTime": "2020-10-27T08:22:00Z"}`.

    Raises:
        SourceUnavailableError: the body is not that.
    """
    try:
        noticed = parse_utc(str(json.loads(body)["noticeTime"]))
    except (ValueError, KeyError, TypeError) as error:
        raise SourceUnavailableError(f"instance metadata: unreadable rebalance {body[:100]!r}") from error
    return Signal(
        kind=SignalKind.REBALANCE,
        channel=Channel.IMDS,
        expires_at=noticed + timedelta(seconds=hint_s),
        event_time=noticed,
    )

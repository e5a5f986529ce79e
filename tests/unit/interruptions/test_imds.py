"""The IMDSv2 client against a server that answers as the contract table of real responses says."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from spotproof.errors import ConfigurationError
from spotproof.interruptions.imds import (
    NOTICE_PATH,
    REBALANCE_PATH,
    HttpMetadataTransport,
    ImdsSource,
    InstanceMetadata,
    parse_instance_action,
    parse_rebalance,
)
from spotproof.interruptions.model import SignalKind, SourceUnavailableError
from tests.fakes.clock import FakeClock

RESPONSES = json.loads((Path(__file__).parents[2] / "events/imds/dynamic_responses.json").read_text())


class Imds:
    """A small IMDS: `values` by path, one valid token, any status code on demand."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.token = "token-1"
        self.status: int | None = None
        self.tokens_given = 0
        self.promised_bytes: int | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

            def answer(self, code: int, body: str = "") -> None:
                self.send_response(code)
                if outer.promised_bytes:
                    self.send_header("Content-Length", str(outer.promised_bytes))
                self.end_headers()
                self.wfile.write(body.encode())

            def do_PUT(self) -> None:
                if outer.status:
                    return self.answer(outer.status)
                outer.tokens_given += 1
                return self.answer(200, outer.token)

            def do_GET(self) -> None:
                if outer.status:
                    return self.answer(outer.status)
                if self.headers["X-aws-ec2-metadata-token"] != outer.token:
                    return self.answer(401)
                value = outer.values.get(self.path.lstrip("/"))
                return self.answer(404, "<html>Not Found</html>") if value is None else self.answer(200, value)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def imds() -> Iterator[Imds]:
    server = Imds()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metadata(imds: Imds, clock: FakeClock) -> InstanceMetadata:
    return InstanceMetadata(transport=HttpMetadataTransport(base_url=imds.url), clock=clock)


def test_404_means_no_notice(metadata: InstanceMetadata) -> None:
    assert ImdsSource(metadata, hint_s=1200, notice_lead_s=120).poll() == []


def test_a_real_notice_body_gives_the_deadline(imds: Imds, metadata: InstanceMetadata) -> None:
    imds.values[NOTICE_PATH] = '{"action": "terminate", "time": "2017-09-18T08:22:00Z"}'

    (signal,) = ImdsSource(metadata, hint_s=1200, notice_lead_s=120).poll()

    assert signal.kind is SignalKind.NOTICE
    assert signal.deadline == datetime(2017, 9, 18, 8, 22, tzinfo=UTC)
    assert signal.event_time == datetime(2017, 9, 18, 8, 20, tzinfo=UTC)


def test_a_rebalance_recommendation_is_forgotten_after_the_hint_time(imds: Imds, metadata: InstanceMetadata) -> None:
    imds.values[REBALANCE_PATH] = '{"noticeTime": "2020-10-27T08:22:00Z"}'

    (signal,) = ImdsSource(metadata, hint_s=1200, notice_lead_s=120).poll()

    assert signal.kind is SignalKind.REBALANCE
    assert signal.expires_at == datetime(2020, 10, 27, 8, 42, tzinfo=UTC)


def test_an_expired_token_is_replaced_once(imds: Imds, metadata: InstanceMetadata) -> None:
    imds.values["latest/meta-data/instance-id"] = "i-1234567890abcdef0"
    assert metadata.get("latest/meta-data/instance-id") == "i-1234567890abcdef0"

    imds.token = "token-2"

    assert metadata.get("latest/meta-data/instance-id") == "i-1234567890abcdef0"
    assert imds.tokens_given == 2


def test_the_token_is_reused_and_renewed_at_half_its_life(
    imds: Imds, metadata: InstanceMetadata, clock: FakeClock
) -> None:
    for _ in range(3):
        metadata.get("latest/meta-data/instance-id")
    assert imds.tokens_given == 1

    clock.advance(10801)
    metadata.get("latest/meta-data/instance-id")

    assert imds.tokens_given == 2


@pytest.mark.parametrize("status", [400, 403, 429, 500, 503])
def test_any_other_answer_is_unavailable_and_never_no_notice(
    imds: Imds, metadata: InstanceMetadata, status: int
) -> None:
    imds.status = status

    with pytest.raises(SourceUnavailableError, match=str(status)):
        metadata.get(NOTICE_PATH)


def test_an_unreachable_imds_is_unavailable(clock: FakeClock) -> None:
    transport = HttpMetadataTransport(base_url="http://127.0.0.1:9", timeout_s=0.2)
    blocked = InstanceMetadata(transport=transport, clock=clock)

    with pytest.raises(SourceUnavailableError, match="does not answer"):
        blocked.get(NOTICE_PATH)


def test_an_answer_broken_off_in_the_middle_is_unavailable(imds: Imds, metadata: InstanceMetadata) -> None:
    imds.values[NOTICE_PATH] = "whole"
    imds.promised_bytes = 100

    with pytest.raises(SourceUnavailableError, match="does not answer"):
        metadata.get(NOTICE_PATH)


def test_no_proxy_of_the_environment_is_asked(
    imds: Imds, metadata: InstanceMetadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    imds.values["latest/meta-data/instance-id"] = "i-1234567890abcdef0"

    assert metadata.get("latest/meta-data/instance-id") == "i-1234567890abcdef0"


def test_a_base_url_that_is_not_http_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="AWS_EC2_METADATA_SERVICE_ENDPOINT"):
        HttpMetadataTransport(base_url="file:///etc/passwd")


@pytest.mark.parametrize("body", ["", "[]", "null", "{}", '{"time": 5}', '{"time": "soon"}', "<html>"])
def test_nonsense_bodies_are_unavailable_and_never_a_crash(body: str) -> None:
    with pytest.raises(SourceUnavailableError):
        parse_instance_action(body, notice_lead_s=120)
    with pytest.raises(SourceUnavailableError):
        parse_rebalance(body, hint_s=1200)


def recorded(path: str) -> list[str]:
    return [answer["body"] for answer in RESPONSES[f"GET /{path}"].values() if answer["status"] == 200]


def test_every_recorded_body_parses() -> None:
    assert recorded(NOTICE_PATH)
    assert recorded(REBALANCE_PATH)

    for body in recorded(NOTICE_PATH):
        assert parse_instance_action(body, notice_lead_s=120).deadline is not None
    for body in recorded(REBALANCE_PATH):
        assert parse_rebalance(body, hint_s=1200).expires_at is not None

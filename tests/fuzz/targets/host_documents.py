"""Targets: what a host tells its worker: instance metadata, stop files."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from spotproof.interruptions.imds import (
    ROOT,
    ImdsSource,
    InstanceMetadata,
    MetadataResponse,
    parse_instance_action,
    parse_rebalance,
)
from spotproof.interruptions.model import SourceUnavailableError
from spotproof.interruptions.stop_file import (
    StopFileError,
    notice_file,
    parse_stop_file,
    rebalance_file,
    render_stop_file,
    replaces,
)
from spotproof.worker.host import launched_at_ms, read_host
from tests.fakes.clock import FakeClock
from tests.fuzz.mutations import json_mutation, json_text_mutation, mapping_mutation
from tests.fuzz.target import Target
from tests.fuzz.targets.job_parameters import SETTINGS

HOST: Final = "answers of instance metadata, or of whatever answers in its place"
NOON: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ACTIONS: Final = (
    '{"action": "terminate", "time": "2026-11-22T12:02:00Z"}',
    '{"action":"stop","time":"2026-11-22T12:02:00+00:00"}',
)
FACTS: Final = {
    ROOT + "instance-id": "i-1234567890abcdef0",
    ROOT + "instance-type": "m6i.large",
    ROOT + "placement/availability-zone": "us-east-1a",
    ROOT + "instance-life-cycle": "spot",
    ROOT + "spot/instance-action": ACTIONS[0],
    ROOT + "events/recommendations/rebalance": '{"noticeTime": "2026-11-22T12:00:00Z"}',
    "latest/dynamic/instance-identity/document": '{"pendingTime": "2026-11-22T11:00:00Z"}',
    "latest/api/token": "token",
}  # fmt: skip


def targets() -> tuple[Target, ...]:
    logging.getLogger("spotproof.worker.host").setLevel(
        logging.ERROR
    )  # thousands of degraded watchers would say nothing
    return (
        _document("instance-action", ACTIONS, partial(parse_instance_action, notice_lead_s=120.0)),
        _document("imds-rebalance", ['{"noticeTime": "2026-11-22T12:00:00Z"}'], partial(parse_rebalance, hint_s=1200.0)),
        _document("instance-identity", ['{"pendingTime": "2026-11-22T11:00:00Z"}'], launched_at_ms),
        Target(
            name="imds", surface=HOST, seeds=[FACTS], mutate=mapping_mutation, attempt=_host,
            refusals=(SourceUnavailableError,), share=0.5,
        ),
        Target(
            name="stop-file",
            surface="stop files in the work bucket",
            seeds=[_stop_file(notice=True), _stop_file(notice=False)],
            mutate=json_mutation,
            attempt=_stop,
            refusals=(StopFileError,),
        ),
    )  # fmt: skip


def _document(name: str, seeds: Any, attempt: Any) -> Target:
    return Target(
        name=name,
        surface=HOST,
        seeds=seeds,
        mutate=json_text_mutation,
        attempt=lambda text: type(attempt(text)).__name__,
        refusals=(SourceUnavailableError,),
    )


class Answers:
    """Gives what stands under each path; the status is 200, or what a number at the start of the text says."""

    def __init__(self, facts: Mapping[str, str]) -> None:
        self._facts = facts

    def request(self, method: str, path: str, headers: Mapping[str, str]) -> MetadataResponse:
        text = self._facts.get(path)
        status = 404 if text is None else 401 if text.startswith("401") else 500 if text.startswith("5") else 200
        return MetadataResponse(status=status, body=(text or "").encode("utf-8", "surrogatepass"))


def _host(facts: dict[str, str]) -> object:
    """The host is read without an error, whatever is said; a poll may say that the channel is not to be had."""
    metadata = InstanceMetadata(transport=Answers(facts), clock=FakeClock())
    host = read_host(metadata, SETTINGS.batch)
    texts = (host.instance_id, host.instance_type, host.zone, host.lifecycle)
    assert all(len(text) <= 64 and text.isascii() and text.isprintable() for text in texts), "facts are short and plain"
    return len(ImdsSource(metadata, hint_s=1200.0, notice_lead_s=120.0).poll()), bool(host.instance_id)


def _stop_file(*, notice: bool) -> bytes:
    given: dict[str, Any] = {"instance_id": "i-1", "event_id": "e", "event_time": NOON, "written_at": NOON}
    lead = timedelta(seconds=120)
    return render_stop_file(notice_file(**given, lead=lead) if notice else rebalance_file(**given, hint=lead))


def _stop(body: bytes) -> object:
    """What is read can be judged, acted upon and written again."""
    stop = parse_stop_file(body)
    signal = stop.as_signal()
    assert json.loads(render_stop_file(stop)), "it can be written again"
    return signal.kind, stop.live(NOON), replaces(stop, stop, now=NOON)

"""Facts about the host this worker runs on."""

import json
import logging
import re
from typing import Final

from spotproof import contract, events
from spotproof.clock import parse_utc, to_epoch_ms
from spotproof.errors import MALFORMED
from spotproof.interruptions.eventbridge import INSTANCE_ID
from spotproof.interruptions.imds import ROOT, InstanceMetadata
from spotproof.interruptions.model import Channel, SourceUnavailableError
from spotproof.leases.model import CapacityClass, Host
from spotproof.settings import BatchSettings

logger = logging.getLogger(__name__)
IDENTITY_PATH: Final = "latest/dynamic/instance-identity/document"
TRIES: Final = 4  # a busy host may answer late, and a worker without its host's name can't be found by a notice
_FACT: Final = re.compile(r"[a-z0-9.-]{0,64}")  # types, zones, lifecycles
_INSTANCE: Final = re.compile(rf"(?:{INSTANCE_ID.pattern})?")


def read_host(metadata: InstanceMetadata, batch: BatchSettings) -> Host:
    """The host from IMDS and Batch; without IMDS the worker goes on, but a notice can't be linked to it by a Lambda.

    Fargate has no IMDS to ask: an address that never answers would cost a worker its first seconds.
    """
    if batch.on_fargate:
        return _fargate(batch)
    for tries_left in reversed(range(TRIES)):
        host = _read(metadata, batch, is_last_try=tries_left == 0)
        if host is not None:
            return host
    return Host(
        instance_id="",
        batch_job_id=batch.job_id,
        batch_attempt=batch.attempt,
        vcpus=batch.vcpus,
        memory_mib=batch.memory_mib,
    )


def _fargate(batch: BatchSettings) -> Host:
    """A task of its own: no instance, and the queue tells whether it is on Spot."""
    lifecycle = CapacityClass.SPOT if batch.on_spot_queue else CapacityClass.ON_DEMAND
    return Host(
        instance_id="",
        instance_type=contract.FAMILY_FARGATE,
        lifecycle=lifecycle.value,
        batch_job_id=batch.job_id,
        batch_attempt=batch.attempt,
        vcpus=batch.vcpus,
        memory_mib=batch.memory_mib,
    )


def _read(metadata: InstanceMetadata, batch: BatchSettings, *, is_last_try: bool) -> Host | None:
    try:
        return Host(
            instance_id=_fact(metadata, "instance-id", _INSTANCE),
            instance_type=_fact(metadata, "instance-type"),
            zone=_fact(metadata, "placement/availability-zone"),
            lifecycle=_fact(metadata, "instance-life-cycle"),
            batch_job_id=batch.job_id,
            batch_attempt=batch.attempt,
            vcpus=batch.vcpus,
            memory_mib=batch.memory_mib,
            launched_at=launched_at_ms(metadata.get(IDENTITY_PATH)),
        )
    except SourceUnavailableError as error:
        if is_last_try:
            logger.warning(events.WATCHER_DEGRADED, extra={"signal": Channel.IMDS, "error": str(error)})
        return None


def launched_at_ms(document: str | None) -> int | None:
    """When EC2 launched the host, epoch ms: `pendingTime` of the instance identity document; None if it does not say.

    It only makes the cost exact, so a document that can't be read is no reason to ask again.
    """
    try:
        return to_epoch_ms(parse_utc(str(json.loads(document or "{}")["pendingTime"])))
    except MALFORMED:
        return None


def _fact(metadata: InstanceMetadata, name: str, pattern: re.Pattern[str] = _FACT) -> str:
    """Empty where metadata has none; nonsense (a captive portal's page) is as good as no answer."""
    text = metadata.get(ROOT + name) or ""
    if not pattern.fullmatch(text):
        raise SourceUnavailableError(f"instance metadata: unreadable {name} {text[:100]!r}")
    return text

"""Facts about the host this worker runs on."""

import logging
from typing import Final

from spotproof import events
from spotproof.interruptions.imds import ROOT, InstanceMetadata
from spotproof.interruptions.model import Channel, SourceUnavailableError
from spotproof.leases.model import Host
from spotproof.settings import BatchSettings

logger = logging.getLogger(__name__)
TRIES: Final = 4  # a busy host may answer late, and a worker without its host's name can't be found by a notice


def read_host(metadata: InstanceMetadata, batch: BatchSettings) -> Host:
    """The host from IMDS and Batch; without IMDS the worker goes on, but a notice can't be linked to it by a Lambda."""
    for tries_left in reversed(range(TRIES)):
        host = _read(metadata, batch, is_last_try=tries_left == 0)
        if host is not None:
            return host
    return Host(instance_id="", batch_job_id=batch.job_id, batch_attempt=batch.attempt, vcpus=batch.vcpus)


def _read(metadata: InstanceMetadata, batch: BatchSettings, *, is_last_try: bool) -> Host | None:
    try:
        instance_id = metadata.get(ROOT + "instance-id") or ""
        return Host(
            instance_id=instance_id,
            instance_type=metadata.get(ROOT + "instance-type") or "",
            zone=metadata.get(ROOT + "placement/availability-zone") or "",
            lifecycle=metadata.get(ROOT + "instance-life-cycle") or "",
            batch_job_id=batch.job_id,
            batch_attempt=batch.attempt,
            vcpus=batch.vcpus,
        )
    except SourceUnavailableError as error:
        if is_last_try:
            logger.warning(events.WATCHER_DEGRADED, extra={"signal": Channel.IMDS, "error": str(error)})
        return None

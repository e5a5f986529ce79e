"""Facts about the host this worker runs on."""

import logging

from spotproof import events
from spotproof.interruptions.imds import ROOT, InstanceMetadata
from spotproof.interruptions.model import Channel, SourceUnavailableError
from spotproof.leases.model import Host
from spotproof.settings import BatchSettings

logger = logging.getLogger(__name__)


def read_host(metadata: InstanceMetadata, batch: BatchSettings) -> Host:
    """The host from IMDS and Batch; without IMDS the worker goes on, but a notice can't be linked to it by a Lambda."""
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
        logger.warning(events.WATCHER_DEGRADED, extra={"signal": Channel.IMDS, "error": str(error)})
        return Host(instance_id="", batch_job_id=batch.job_id, batch_attempt=batch.attempt, vcpus=batch.vcpus)

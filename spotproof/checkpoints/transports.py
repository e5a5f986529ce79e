"""Which of the transports carries a worker's checkpoints."""

import logging

from spotproof import contract, events
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.checkpoints.store import ObjectStore
from spotproof.clients import Clients
from spotproof.errors import ConfigurationError
from spotproof.retries import Retrier
from spotproof.settings import Transport

logger = logging.getLogger(__name__)


def open_bucket(bucket: str, *, clients: Clients, retrier: Retrier, transport: Transport | None) -> ObjectStore:
    """The bucket over the transport that was asked for; over obstore, or else boto3, if none was.

    Raises:
        ConfigurationError: obstore was asked for and can't be imported.
    """
    if transport is not Transport.BOTO3:
        try:
            from spotproof.checkpoints.obstore_s3 import ObstoreObjectStore

            return ObstoreObjectStore(clients=clients, bucket=bucket, retrier=retrier)
        except ImportError as error:
            if transport is not None:
                raise ConfigurationError(
                    f"{contract.ENV_TRANSPORT} asks for {transport}, which can't be imported: {error}; unset it for boto3"
                ) from error
            logger.warning(events.TRANSPORT_FELL_BACK, extra={"error": str(error), "transport": Transport.BOTO3})
    return S3ObjectStore(client=clients.s3, bucket=bucket, retrier=retrier)

"""Tells the finalizer that a run is finished."""

import logging
from typing import TYPE_CHECKING

from spotproof import contract, events
from spotproof.errors import AwsError
from spotproof.interruptions.eventbridge import run_finished_detail
from spotproof.leases.model import Run
from spotproof.retries import Retrier

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

logger = logging.getLogger(__name__)


class RunAnnouncer:
    """Puts one event on the bus; if it is lost, the scheduled controller finishes the run a minute later."""

    def __init__(self, *, client: "EventBridgeClient", retrier: Retrier) -> None:
        self._client = client
        self._retrier = retrier

    def finished(self, run: Run) -> bool:
        """Say that every stripe of the run is closed; False if the bus did not take it."""
        entry = {
            "Source": contract.EVENT_SOURCE,
            "DetailType": contract.DETAIL_RUN_FINISHED,
            "Detail": run_finished_detail(run.run_id),
        }
        try:
            answer = self._retrier.call("announcing the end of the run", self._client.put_events, Entries=[entry])
        except AwsError as error:
            logger.warning(events.RUN_FINISHED, extra={"announced": False, "error": str(error)})
            return False
        announced = answer["FailedEntryCount"] == 0
        logger.info(events.RUN_FINISHED, extra={"announced": announced})
        return announced

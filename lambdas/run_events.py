"""Our own events on the bus: a run wants finalizing, an ended one cleaning up, or one was paused."""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.errors import AwsUnavailableError
from spotproof.interruptions.eventbridge import run_finished_detail
from spotproof.retries import Retrier, as_aws_error

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient


class RunEvents:
    """Puts events; each may arrive twice, which the finalizer is built for."""

    def __init__(self, *, client: "EventBridgeClient", bus: str, retrier: Retrier) -> None:
        self._client = client
        self._bus = bus
        self._retrier = retrier

    def announce_finished(self, run_id: str) -> None:
        """Ask for the finalizer.

        Raises:
            AwsAccessError, AwsUnavailableError: the bus refused or stayed unavailable.
        """
        self._put("announcing a finished run", contract.DETAIL_RUN_FINISHED, run_finished_detail(run_id))

    def announce_paused(self, run_id: str, *, reason: str) -> None:
        """Tell whoever subscribed, by a rule of their own, that somebody has to decide about the run.

        Raises:
            AwsAccessError, AwsUnavailableError: the bus refused or stayed unavailable.
        """
        detail = json.dumps({"schema": 1, "run_id": run_id, "reason": reason})
        self._put("announcing a paused run", contract.DETAIL_RUN_PAUSED, detail)

    def _put(self, doing: str, detail_type: str, detail: str) -> None:
        entry = {
            "Source": contract.EVENT_SOURCE,
            "DetailType": detail_type,
            "Detail": detail,
            "EventBusName": self._bus,
        }
        try:
            answer = self._retrier.call(doing, self._client.put_events, Entries=[entry])
        except ClientError as error:
            raise as_aws_error(error, doing=doing) from error
        for refused in answer["Entries"]:
            if refused.get("ErrorCode"):
                raise AwsUnavailableError(f"{doing}: {refused['ErrorCode']}: {refused.get('ErrorMessage')}")

"""Our own events on the bus: a run wants finalizing, or an ended one cleaning up."""

from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.errors import AwsUnavailableError
from spotproof.interruptions.eventbridge import run_finished_detail
from spotproof.retries import Retrier, as_aws_error

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

DOING: Final = "announcing a finished run"


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
        entry = {
            "Source": contract.EVENT_SOURCE,
            "DetailType": contract.DETAIL_RUN_FINISHED,
            "Detail": run_finished_detail(run_id),
            "EventBusName": self._bus,
        }
        try:
            answer = self._retrier.call(DOING, self._client.put_events, Entries=[entry])
        except ClientError as error:
            raise as_aws_error(error, doing=DOING) from error
        for refused in answer["Entries"]:
            if refused.get("ErrorCode"):
                raise AwsUnavailableError(f"{DOING}: {refused['ErrorCode']}: {refused.get('ErrorMessage')}")

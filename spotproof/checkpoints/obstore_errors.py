"""obstore's errors as botocore's, so that one retry layer and one set of error codes serve both transports."""

import re
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from obstore.exceptions import UnauthenticatedError

if TYPE_CHECKING:
    from botocore.exceptions import _ClientErrorResponseTypeDef

# obstore has one type for many answers (409 and 412 are both "already exists") and tells them apart in its text only:
#   Generic S3 error: Error performing PUT http://… in 1ms - Server returned non-2xx status code: 503 Slow Down: <Error>…
#   Generic S3 error: Error performing GET http://… in 2s - HTTP error: error sending request
# A second part of the text, for its developers, follows after an empty line.
_STATUS: Final = re.compile(r"Server returned [^:]*status code: (\d{3})")
_CODE: Final = re.compile(r"<Code>([^<]+)</Code>")
_MESSAGE: Final = re.compile(r"<Message>([^<]*)</Message>")
_NETWORK: Final = re.compile(r"\bHTTP error: ")


def as_boto_error(error: Exception, *, operation: str, refreshing: BotoCoreError | None) -> ClientError | BotoCoreError:
    """What botocore would have raised.

    Args:
        error: one of obstore's, or the FileNotFoundError that it raises for 404.
        operation: of the S3 API, such as PutObject.
        refreshing: why the last call for credentials failed, if it did.
    """
    text = str(error).partition("\n\nDebug source")[0]
    status = _STATUS.search(text)
    if status:
        return _client_error(text, operation, status=int(status[1]))
    if isinstance(error, UnauthenticatedError) and refreshing is not None:
        return refreshing
    if _NETWORK.search(text):
        return HTTPClientError(error=text)
    return _client_error(text, operation, status=0)


def _client_error(text: str, operation: str, *, status: int) -> ClientError:
    code, message = _CODE.search(text), _MESSAGE.search(text)
    response: _ClientErrorResponseTypeDef = {
        "Error": {
            "Code": code[1] if code else str(status or "Unknown"),  # botocore's for an answer without a body
            "Message": message[1] if message else text,
        },
        "ResponseMetadata": {"HTTPStatusCode": status},  # type: ignore[typeddict-item]
    }
    return ClientError(response, operation)

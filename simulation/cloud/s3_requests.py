"""Requests to the simulated S3: what botocore would send, and refusals as botocore raises them."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from botocore.exceptions import ClientError, ParamValidationError
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape
from botocore.validate import validate_parameters

KEY_BYTES_MAX: Final = 1024  # S3 user guide, "Naming Amazon S3 objects"
METADATA_BYTES_MAX: Final = 2048  # S3 user guide, "Working with object metadata"

# Error responses of the S3 API reference, and what HTTP status and text they come with.
REFUSALS: Final[Mapping[str, tuple[int, str]]] = {
    "304": (304, "Not Modified"),
    "404": (404, "Not Found"),
    "412": (412, "Precondition Failed"),
    "416": (416, "Requested Range Not Satisfiable"),
    "AccessDenied": (403, "Access Denied"),
    "BadRequest": (400, "Object tags cannot be greater than 10"),
    "BucketAlreadyOwnedByYou": (409, "Your previous request to create the named bucket succeeded and you own it."),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty"),
    "ConditionalRequestConflict": (409, "The conditional request cannot succeed due to a conflicting operation"),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size"),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidArgument": (400, "Invalid argument"),
    "InvalidPart": (400, "One or more of the specified parts could not be found, or its entity tag did not match."),
    "InvalidPartOrder": (400, "The list of parts was not in ascending order. Parts must be ordered by part number."),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRequest": (400, "This copy request is illegal: it copies an object to itself without changing it."),
    "InvalidTag": (400, "Cannot provide multiple Tags with the same key"),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedXML": (400, "The XML you provided was not well-formed or did not validate against our schema"),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size"),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchUpload": (404, "The specified multipart upload does not exist. It might have been aborted or completed."),
    "NotImplemented": (501, "A header you provided implies functionality that is not implemented"),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
}
# A HEAD answer has no body: botocore knows the status alone.
_BODILESS: Final = {"NoSuchKey": "404", "NoSuchBucket": "404", "PreconditionFailed": "412", "InvalidRange": "416"}

_SUPPORTED: Final[Mapping[str, frozenset[str]]] = {
    "CreateBucket": frozenset({"Bucket", "CreateBucketConfiguration"}),
    "DeleteBucket": frozenset({"Bucket"}),
    "GetObject": frozenset({"Bucket", "Key", "IfMatch", "IfNoneMatch", "Range"}),
    "HeadObject": frozenset({"Bucket", "Key", "IfMatch", "IfNoneMatch"}),
    "PutObject": frozenset({"Bucket", "Key", "Body", "ContentType", "Metadata", "Tagging", "IfMatch", "IfNoneMatch"}),
    "CopyObject": frozenset(
        {"Bucket", "Key", "CopySource", "CopySourceIfMatch", "IfMatch", "IfNoneMatch", "MetadataDirective"}
    )
    | {"TaggingDirective", "ContentType", "Metadata"},
    "ListObjectsV2": frozenset({"Bucket", "Prefix", "Delimiter", "MaxKeys", "StartAfter", "ContinuationToken"})
    | {"EncodingType"},
    "DeleteObject": frozenset({"Bucket", "Key"}),
    "DeleteObjects": frozenset({"Bucket", "Delete"}),
    "PutObjectTagging": frozenset({"Bucket", "Key", "Tagging"}),
    "GetObjectTagging": frozenset({"Bucket", "Key"}),
    "CreateMultipartUpload": frozenset({"Bucket", "Key", "ContentType", "Metadata"}),
    "UploadPart": frozenset({"Bucket", "Key", "UploadId", "PartNumber", "Body"}),
    "UploadPartCopy": frozenset({"Bucket", "Key", "UploadId", "PartNumber", "CopySource", "CopySourceIfMatch"})
    | {"CopySourceRange"},
    "CompleteMultipartUpload": frozenset({"Bucket", "Key", "UploadId", "MultipartUpload", "IfMatch", "IfNoneMatch"}),
    "AbortMultipartUpload": frozenset({"Bucket", "Key", "UploadId"}),
    "ListMultipartUploads": frozenset({"Bucket", "Prefix"}),
}
_CHECKED_HERE: Final = frozenset({"Metadata", "CopySource"})  # structures whose content this module reads itself


class RequestForms:
    """Lets pass what botocore lets pass and the simulation does.

    A form is an operation with the names and types of its parameters. Each is shown once to botocore's own validator,
    which is too slow for every request; requests with lists inside are shown every time.
    """

    def __init__(self) -> None:
        self._passed: set[tuple[object, ...]] = set()

    def check(self, operation: str, request: Mapping[str, Any]) -> None:
        """Do nothing if the request is good.

        Raises:
            ParamValidationError: botocore would not send it.
            NotImplementedError: S3 may take it, but the simulation has no such parameter.
        """
        form = (operation, *request, *map(type, request.values()))
        if form in self._passed and request.get("Key") != "":
            return
        shown = {name: _as_sent(name, value) for name, value in request.items()}
        validate_parameters(shown, _input_shape(operation))
        unknown = sorted(request.keys() - _SUPPORTED[operation])
        if unknown:
            raise NotImplementedError(f"the simulated S3 has no {operation} with {', '.join(unknown)}")
        if not any(isinstance(value, dict | list) for name, value in request.items() if name not in _CHECKED_HERE):
            self._passed.add(form)


@cache
def request_forms() -> RequestForms:
    """The forms this process has seen; what passes once passes always, so worlds can share them."""
    return RequestForms()


def refusal(operation: str, code: str, detail: str = "") -> ClientError:
    """The error that S3 would answer with, as botocore raises it."""
    if operation == "HeadObject":
        code = _BODILESS.get(code, code)
    status, text = REFUSALS[code]
    return ClientError(
        {
            "Error": {"Code": code, "Message": f"{text}{detail}"},
            "ResponseMetadata": {"HTTPStatusCode": status},  # type: ignore[typeddict-item]
        },
        operation,
    )


def source_of(copy_source: Any) -> tuple[str, str]:
    """Bucket and key of a CopySource, given as a dict or as plain text, which botocore quotes.

    Raises:
        ParamValidationError: botocore could not send it.
        NotImplementedError: it names a version.
    """
    if isinstance(copy_source, dict):
        if copy_source.keys() > {"Bucket", "Key"}:
            raise NotImplementedError(f"the simulated S3 copies no versions: {copy_source}")
        if copy_source.keys() != {"Bucket", "Key"}:
            raise ParamValidationError(report=f"CopySource needs Bucket and Key, got {sorted(copy_source)}")
        return copy_source["Bucket"], copy_source["Key"]
    bucket, slash, key = copy_source.partition("/")
    if not slash or "?versionId=" in copy_source:
        raise NotImplementedError(f"the simulated S3 does not understand CopySource {copy_source!r}")
    return bucket, key


def metadata_of(operation: str, metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Metadata as S3 keeps it: names in lower case.

    Raises:
        ParamValidationError: it is not ASCII text.
        ClientError: MetadataTooLarge.
    """
    if not metadata:
        return {}
    size_bytes = 0
    for name, value in metadata.items():
        if not (isinstance(name, str) and isinstance(value, str) and name.isascii() and value.isascii()):
            raise ParamValidationError(report=f"metadata must be ASCII text, got {name!r}: {value!r}")
        size_bytes += len(name) + len(value)
    if size_bytes > METADATA_BYTES_MAX:
        raise refusal(operation, "MetadataTooLarge")
    return {name.lower(): value for name, value in metadata.items()}


def check_key(operation: str, key: str) -> None:
    if len(key) * 4 > KEY_BYTES_MAX and len(key.encode()) > KEY_BYTES_MAX:
        raise refusal(operation, "KeyTooLongError")


def content_of(body: Any) -> bytes:
    """The bytes that botocore would send for a Body."""
    if type(body) is bytes:
        return body
    if hasattr(body, "read"):
        body = body.read()
    return body.encode() if isinstance(body, str) else bytes(body)


def _as_sent(name: str, value: Any) -> Any:
    """botocore turns a CopySource dict into text before it validates."""
    if name == "CopySource" and isinstance(value, dict):
        return "/".join(source_of(value))
    return value


def _input_shape(operation: str) -> Shape:
    shape = _service().operation_model(operation).input_shape
    assert shape is not None, f"{operation} takes parameters"
    return shape


@cache
def _service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("s3", "service-2"), service_name="s3")

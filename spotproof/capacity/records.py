"""Single items of the table that hold what functions know of pools and queues, written by compare and swap."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.errors import MALFORMED, ItemError
from spotproof.retries import Retrier, as_aws_error, error_code

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SCHEMA: Final = 1
Attributes = dict[str, Any]  # by name, in DynamoDB's form
T = TypeVar("T")


class Records:
    """Reads and writes whole items; each write must know the version it replaces."""

    def __init__(self, *, dynamodb: "DynamoDBClient", table_name: str, retrier: Retrier) -> None:
        self._dynamodb = dynamodb
        self._table_name = table_name
        self._retrier = retrier

    def read(self, partition: str, sort: str) -> Attributes:
        """The item, strongly consistent; empty if there is none.

        Raises:
            AwsError: the table refused or stayed unavailable.
        """
        answer = self._call(f"reading {partition} {sort}", self._dynamodb.get_item, Key=_key(partition, sort))
        item: Attributes = answer.get("Item", {})
        return item

    def all(self, partition: str) -> list[Attributes]:
        """Every item of the partition."""
        found: list[Attributes] = []
        start: dict[str, Any] = {}
        while True:
            page = self._call(
                f"reading {partition}",
                self._dynamodb.query,
                KeyConditionExpression="#pk = :pk",
                ExpressionAttributeNames={"#pk": contract.PARTITION_KEY},
                ExpressionAttributeValues={":pk": {"S": partition}},
                **start,
            )
            found += page["Items"]
            if "LastEvaluatedKey" not in page:
                return found
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def replace(self, partition: str, sort: str, content: Mapping[str, Any], *, version: int) -> bool:
        """Put the content where the stored version is still `version` (0: no item); False if somebody was faster."""
        item = {
            **_key(partition, sort),
            **content,
            "schema": {"N": str(SCHEMA)},
            "version": {"N": str(version + 1)},
        }
        doing = f"writing {partition} {sort}"
        try:
            self._retrier.call(
                doing,
                self._dynamodb.put_item,
                TableName=self._table_name,
                Item=item,
                ConditionExpression="attribute_not_exists(#pk) OR #version = :version",
                ExpressionAttributeNames={"#pk": contract.PARTITION_KEY, "#version": "version"},
                ExpressionAttributeValues={":version": {"N": str(version)}},
            )
        except ClientError as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return False
            raise as_aws_error(error, doing=doing) from error
        return True

    def _call(self, doing: str, request: Any, **parameters: Any) -> Any:
        consistent = {"ConsistentRead": True}
        try:
            return self._retrier.call(doing, request, TableName=self._table_name, **consistent, **parameters)
        except ClientError as error:
            raise as_aws_error(error, doing=doing) from error


def damage_told(read: Callable[[str, Attributes], T]) -> Callable[[str, Attributes], T]:
    """Wraps a reader of a named item: whatever it stumbles over is an ItemError that says which item.

    Raises:
        ItemError: from the wrapped reader, if the item can't be what this program wrote.
    """

    @wraps(read)
    def reading(name: str, item: Attributes) -> T:
        try:
            version_of(item)  # without it, nobody could write the item
            return read(name, item)
        except MALFORMED as error:
            raise ItemError(
                f"the item of {name!r} is damaged ({type(error).__name__}: {error}): delete it, it is learnt again"
            ) from error

    return reading


def version_of(item: Attributes) -> int:
    """The version to replace; 0 for an item that does not exist."""
    return int(item["version"]["N"]) if item else 0


def _key(partition: str, sort: str) -> Attributes:
    return {contract.PARTITION_KEY: {"S": partition}, contract.SORT_KEY: {"S": sort}}

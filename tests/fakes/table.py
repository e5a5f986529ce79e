"""The table as the state stack deploys it, built from the contract."""

from typing import TYPE_CHECKING, Any

from spotproof import contract

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


def table_definition(name: str) -> dict[str, Any]:
    """Parameters of CreateTable."""
    keys = {contract.PARTITION_KEY: "S", contract.SORT_KEY: "S"}
    for index in contract.TABLE_INDEXES:
        keys |= {index.partition_key: "S", index.sort_key: index.sort_key_type}
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": key, "AttributeType": kind} for key, kind in keys.items()],
        "KeySchema": _schema(contract.PARTITION_KEY, contract.SORT_KEY),
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index.name,
                "KeySchema": _schema(index.partition_key, index.sort_key),
                "Projection": _projection(index),
            }
            for index in contract.TABLE_INDEXES
        ],
    }


def create_table(client: "DynamoDBClient", name: str) -> None:
    """Create the table and wait until it is usable."""
    client.create_table(**table_definition(name))
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def _schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def _projection(index: contract.IndexSpec) -> dict[str, Any]:
    if not index.include:
        return {"ProjectionType": "KEYS_ONLY"}
    return {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(index.include)}

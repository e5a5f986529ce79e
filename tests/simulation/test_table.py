"""Claims about the simulated table: what a replica may show, and what a transaction may do."""

import random
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from simulation.cloud.table import SimTable
from simulation.faults.book import FaultBook
from simulation.kernel.scheduler import Scheduler, microseconds
from spotproof import contract
from spotproof.leases import expressions
from spotproof.leases.attribute_values import Item, to_item
from tests.fakes.table import create_table

TABLE = "t"


class Rig:
    """A table whose time a test turns by hand."""

    def __init__(self, *, stale: float = 0.0, conflicts: float = 0.0, lag_s_max: float = 8.0, **more: Any) -> None:
        self.scheduler = Scheduler()
        self.faults = FaultBook(rates={"A7": stale, "A13": conflicts}, rng=random.Random(1))
        self.table = SimTable(
            TABLE, scheduler=self.scheduler, faults=self.faults, rng=random.Random(2), lag_s_max=lag_s_max, **more
        )
        self.seen: list[tuple[tuple[str, str], Item | None, Item, str]] = []
        self.table.watch.append(lambda key, old, new, intent: self.seen.append((key, old, new, intent)))

    def put(self, sort: str, **attributes: Any) -> None:
        self.table.put_item(TableName=TABLE, Item=to_item({"pk": "p", "sk": sort, **attributes}))

    def sessions_on(self, instance_id: str) -> list[str]:
        return [item["sk"]["S"] for item in self.table.query(**on_instance(instance_id))["Items"]]


def on_instance(instance_id: str) -> dict[str, Any]:
    return {
        "TableName": TABLE,
        "IndexName": expressions.ON_INSTANCE.index,
        "KeyConditionExpression": expressions.ON_INSTANCE.key,
        "ExpressionAttributeNames": expressions.ON_INSTANCE.names,
        "ExpressionAttributeValues": to_item({":instance_id": instance_id}),
    }


def partition(**more: Any) -> dict[str, Any]:
    return {
        "TableName": TABLE,
        "KeyConditionExpression": expressions.PARTITION.key,
        "ExpressionAttributeNames": expressions.PARTITION.names,
        "ExpressionAttributeValues": to_item({":pk": "p"}),
        **more,
    }


# --- replicas --------------------------------------------------------------------------------------------------


def test_an_index_read_from_a_replica_misses_the_newest_writes_and_converges() -> None:
    rig = Rig(stale=1.0)
    rig.put("one", instance_id="i-1")

    assert rig.sessions_on("i-1") == []
    rig.scheduler.now += microseconds(8)
    assert rig.sessions_on("i-1") == ["one"]
    assert rig.faults.struck[("A7", "dynamodb.query sessions on instance")] == 2


def test_a_replica_shows_every_item_in_the_order_of_its_versions() -> None:
    rig = Rig(stale=1.0)
    shown: list[int] = []
    for number in range(1, 200):
        rig.put("one", n=number)
        rig.scheduler.now += microseconds(0.3)
        shown += [int(item["n"]["N"]) for item in rig.table.query(**partition())["Items"]]

    assert shown == sorted(shown)
    assert len(set(shown)) > 5, "some versions were seen"
    assert shown[-1] < 199, "and it ran behind"


def test_an_item_that_leaves_an_index_leaves_it_on_the_replica_later() -> None:
    rig = Rig(stale=1.0)
    rig.put("one", instance_id="i-1")
    rig.scheduler.now += microseconds(8)
    assert rig.sessions_on("i-1") == ["one"]
    rig.put("one")

    assert rig.sessions_on("i-1") == ["one"]
    rig.scheduler.now += microseconds(8)
    assert rig.sessions_on("i-1") == []


def test_consistent_reads_never_come_from_a_replica() -> None:
    rig = Rig(stale=1.0)
    rig.put("one")

    assert rig.table.get_item(TableName=TABLE, Key=to_item({"pk": "p", "sk": "one"}), ConsistentRead=True)["Item"]
    assert rig.table.query(**partition(ConsistentRead=True))["Count"] == 1
    assert "Item" not in rig.table.get_item(TableName=TABLE, Key=to_item({"pk": "p", "sk": "one"}))


def test_in_a_world_at_peace_every_read_is_current() -> None:
    rig = Rig(stale=1.0)
    rig.put("one", instance_id="i-1")
    rig.faults.at_peace = True

    assert rig.sessions_on("i-1") == ["one"]


def test_a_replica_that_nobody_reads_keeps_no_heap_of_writes() -> None:
    rig = Rig()
    for number in range(3_000):
        rig.put("one", n=number)
        rig.scheduler.now += microseconds(0.1)

    pending = rig.table._replica._pending
    assert sum(len(versions) for versions in pending.values()) < 1_100


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["state", "until", "owner", "by"])
def test_a_reserved_word_is_refused_wherever_a_name_stands(name: str) -> None:
    rig = Rig()
    key = to_item({"pk": "p", "sk": "one"})
    value = {":v": {"S": "x"}}
    for request in (
        {"UpdateExpression": f"SET {name} = :v", "ExpressionAttributeValues": value},
        {
            "UpdateExpression": "SET #a = :v",
            "ConditionExpression": f"attribute_exists({name})",
            "ExpressionAttributeNames": {"#a": "a"},
            "ExpressionAttributeValues": value,
        },
    ):
        with pytest.raises(ClientError, match=r"ValidationException.*bare name"):
            rig.table.update_item(TableName=TABLE, Key=key, **request)
    with pytest.raises(ClientError, match="ValidationException"):
        rig.table.query(
            TableName=TABLE, KeyConditionExpression=f"{name} = :v", ExpressionAttributeValues={":v": {"S": "x"}}
        )
    assert rig.seen == []


def test_an_item_over_400_kilobytes_is_refused_and_nobody_hears_of_a_write() -> None:
    rig = Rig()

    with pytest.raises(ClientError, match=r"ValidationException.*Item size"):
        rig.put("one", text="x" * 410_000)
    assert rig.seen == []


def test_small_pages_join_to_the_whole_also_on_a_replica() -> None:
    rig = Rig(stale=0.5, page_bytes_max=60, lag_s_max=0.0)
    for number in range(12):
        rig.put(f"{number:02d}", text="x" * 20)

    found: list[str] = []
    pages = 0
    more: dict[str, Any] = {}
    while pages == 0 or more:
        answer = rig.table.query(**partition(**more))
        found += [item["sk"]["S"] for item in answer["Items"]]
        last = answer.get("LastEvaluatedKey")
        more, pages = {"ExclusiveStartKey": last} if last else {}, pages + 1

    assert found == [f"{number:02d}" for number in range(12)]
    assert pages > 2


# --- watchers and restores ---------------------------------------------------------------------------------------


def test_watchers_see_each_effective_write_with_its_intent_and_no_refused_one() -> None:
    rig = Rig()
    rig.table.put_item(
        TableName=TABLE,
        Item=to_item({"pk": "RUN#r#SESSIONS#00", "sk": "s", "state": "alive", "seq": 0}),
        ConditionExpression=expressions.CREATE.condition,
        ExpressionAttributeNames=expressions.CREATE.names,
    )
    fence = expressions.FENCE
    request: dict[str, Any] = {
        "TableName": TABLE,
        "Key": to_item({"pk": "RUN#r#SESSIONS#00", "sk": "s"}),
        "ConditionExpression": fence.condition,
        "UpdateExpression": fence.update,
        "ExpressionAttributeNames": fence.names,
        "ExpressionAttributeValues": to_item({":alive": "alive", ":dead": "dead", ":now": 1}),
    }
    rig.table.update_item(**request)
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        rig.table.update_item(**request)

    assert [(old and old["state"]["S"], new["state"]["S"], intent) for _, old, new, intent in rig.seen] == [
        (None, "alive", "session"),
        ("alive", "dead", "fence session"),
    ]


def test_a_restore_brings_back_the_moment_of_the_snapshot_in_table_index_and_replica() -> None:
    rig = Rig(stale=0.5)
    rig.put("one", instance_id="i-1", n=1)
    snapshot = rig.table.snapshot()
    rig.put("one", instance_id="i-2", n=2)
    rig.put("two", instance_id="i-1")
    rig.table.restore(snapshot)

    assert [item["n"]["N"] for item in rig.table.items()] == ["1"]
    for _ in range(20):
        assert rig.sessions_on("i-1") == ["one"]
        assert rig.sessions_on("i-2") == []
        rig.scheduler.now += microseconds(1)
    assert len(rig.seen) == 3


# --- transactions ------------------------------------------------------------------------------------------------

MARKER = {
    "Put": {
        "TableName": TABLE,
        "Item": to_item({"pk": contract.topups_pk("r"), "sk": "KEY#1", "until": 7}),
        "ConditionExpression": "attribute_not_exists(#pk)",
        "ExpressionAttributeNames": {"#pk": "pk"},
    }
}
COUNT = {
    "Update": {
        "TableName": TABLE,
        "Key": to_item({"pk": contract.topups_pk("r"), "sk": "COUNT#stuck"}),
        "UpdateExpression": "SET #schema = :schema ADD #count :one",
        "ConditionExpression": "attribute_not_exists(#count) OR #count < :cap",
        "ExpressionAttributeNames": {"#count": "count", "#schema": "schema"},
        "ExpressionAttributeValues": to_item({":one": 1, ":cap": 2, ":schema": 1}),
    }
}


def other(number: int) -> dict[str, Any]:
    return {"Put": MARKER["Put"] | {"Item": to_item({"pk": contract.topups_pk("r"), "sk": f"KEY#{number}"})}}


def outcome(client: Any, actions: list[dict[str, Any]]) -> tuple[str, list[str]]:
    """What a caller of the product can see of a transaction."""
    try:
        client.transact_write_items(TransactItems=actions)
    except ClientError as error:
        response: Any = error.response
        return response["Error"]["Code"], [reason["Code"] for reason in response.get("CancellationReasons", [])]
    return "", []


def test_transactions_end_as_on_moto_for_the_shapes_we_use(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    rig = Rig()
    script = [
        [MARKER, COUNT],
        [MARKER, COUNT],  # the marker is there
        [other(2), COUNT],
        [other(3), COUNT],  # the cap is reached
        [MARKER, COUNT],  # both
        [COUNT, COUNT],  # one item twice
        [{"Put": MARKER["Put"] | {"Item": to_item({"pk": "p", "sk": "s", "x": "x" * 410_000})}}],
    ]
    with mock_aws():
        moto = boto3.client("dynamodb", region_name="us-east-1")
        create_table(moto, TABLE)
        expected = [outcome(moto, actions) for actions in script]
        stored = {(item["pk"]["S"], item["sk"]["S"]): item for item in moto.scan(TableName=TABLE)["Items"]}

    assert [outcome(rig.table, actions) for actions in script] == expected
    assert {(item["pk"]["S"], item["sk"]["S"]): item for item in rig.table.items()} == stored
    assert [code for code, _ in expected[:4]] == [
        "", "TransactionCanceledException", "", "TransactionCanceledException"
    ]  # fmt: skip


def test_a_transaction_takes_effect_wholly_or_not_at_all() -> None:
    rig = Rig()
    rig.table.transact_write_items(TransactItems=[COUNT, MARKER])
    before = rig.table.snapshot()

    assert outcome(rig.table, [COUNT, MARKER]) == (
        "TransactionCanceledException",
        ["None", "ConditionalCheckFailed"],
    )
    assert rig.table.snapshot() == before
    assert [(key[1], intent) for key, _, _, intent in rig.seen] == [("COUNT#stuck", "top-up"), ("KEY#1", "top-up")]


def test_a_collision_cancels_with_mixed_reasons_and_without_effect() -> None:
    rig = Rig(conflicts=1.0)
    reasons = {tuple(outcome(rig.table, [MARKER, COUNT])[1]) for _ in range(20)}

    assert reasons == {("TransactionConflict", "None"), ("None", "TransactionConflict")}
    assert rig.table.snapshot() == ()
    rig.faults.at_peace = True
    assert outcome(rig.table, [MARKER, COUNT]) == ("", [])
    rig.faults.at_peace = False
    assert ("ConditionalCheckFailed", "TransactionConflict") in {
        tuple(outcome(rig.table, [MARKER, COUNT])[1]) for _ in range(20)
    }

"""Claims about the in-memory table: it refuses what DynamoDB refuses, and reads like it."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from spotproof import contract
from spotproof.leases.attribute_values import item_bytes, to_item
from spotproof.leases.memory.table import ITEM_BYTES_MAX, InMemoryTable

KEY = to_item({"pk": "p", "sk": "s"})


@pytest.fixture
def table() -> InMemoryTable:
    return InMemoryTable("t")


def put(table: InMemoryTable, **attributes: Any) -> dict[str, Any]:
    return table.put_item(TableName="t", Item=KEY | to_item(attributes))


def update(table: InMemoryTable, text: str, values: dict[str, Any] | None = None, **more: Any) -> Any:
    condition = more.pop("condition", None)
    texts = f"{text} {condition or ''}"
    request: dict[str, Any] = {"TableName": "t", "Key": KEY, "UpdateExpression": text, "ReturnValues": "ALL_NEW"}
    names = {word for word in texts.replace(",", " ").replace("(", " ").replace(")", " ").split() if word[0] == "#"}
    if names:
        request["ExpressionAttributeNames"] = {name: name[1:] for name in names}
    if values:
        request["ExpressionAttributeValues"] = to_item(values)
    if condition:
        request["ConditionExpression"] = condition
    return table.update_item(**request | more)["Attributes"]


def refused(code: str = "ValidationException", match: str = "") -> Any:
    return pytest.raises(ClientError, match=f"{code}.*{match}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("SET state = :a", "bare name 'state'"),
        ("SET #a = b", "bare name 'b'"),
        ("SET #a = :a, #a = :a", "overlap"),
        ("SET #a = :a REMOVE #a", "overlap"),
        ("SET #a = :a SET #b = :a", "only be used once"),
        ("SET #a = :a #b", "unknown section"),
        ("SET #a", "ends too early"),
        ("SET #a > :a", "expected '='"),
        ("DELETE #a :a", "unknown section"),
        ("SET #a = :a ; REMOVE #b", "syntax error"),
        ("SET #pk = :a", "part of the key"),
        ("REMOVE #sk SET #a = :a", "part of the key"),
        ("SET #a = #missing, #b = :a", "does not exist in the item"),
        ("SET #a = :a + #text", "must be numbers"),
        ("ADD #text :a", "type mismatch"),
        ("", "can not be empty"),
    ],
)
def test_an_update_the_service_refuses_is_refused(table: InMemoryTable, text: str, why: str) -> None:
    put(table, text="t")

    with refused(match=why):
        update(table, text, {":a": 1} if ":a" in text else None)
    assert table.get_item(TableName="t", Key=KEY)["Item"] == KEY | to_item({"text": "t"})


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("state = :a", "bare name"),
        ("#a == :a", "."),
        ("#a = :a AND", "ends too early"),
        ("(#a = :a", "ends too early"),
        ("((#a = :a))", "redundant parentheses"),
        ("#a LIKE :a", "unknown comparator"),
        ("attribute_exists(:a)", "bare name"),
        ("#a = :a)", "unexpected"),
    ],
)
def test_a_condition_the_service_refuses_is_refused(table: InMemoryTable, condition: str, why: str) -> None:
    with refused(match=why):
        update(table, "SET #b = :a", {":a": 1}, condition=condition)


@pytest.mark.parametrize("part", ["ExpressionAttributeNames", "ExpressionAttributeValues"])
@pytest.mark.parametrize("change", ["unused", "undefined"])
def test_unused_and_undefined_placeholders_are_refused(table: InMemoryTable, part: str, change: str) -> None:
    request: dict[str, Any] = {
        "TableName": "t",
        "Key": KEY,
        "UpdateExpression": "SET #a = :a",
        "ExpressionAttributeNames": {"#a": "a"},
        "ExpressionAttributeValues": {":a": {"N": "1"}},
    }
    extra = {"#z": "z"} if part == "ExpressionAttributeNames" else {":z": {"N": "1"}}
    request[part] = request[part] | extra if change == "unused" else {}

    with refused(match="unused or undefined"):
        table.update_item(**request)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("#n = :n", True),
        ("#n = :text", False),
        ("#n <> :text", True),
        ("#n < :big AND #n <= :n AND #n >= :n", True),
        ("#n > :n", False),
        ("#n < :text", False),  # another type never compares
        ("#missing < :n", False),
        ("#missing = :n", False),
        ("#missing <> :n", True),
        ("NOT #n = :n", False),
        ("NOT (#n = :n AND #text = :n)", True),
        ("#n = :text OR #n = :n AND #text = :n", False),  # AND binds more tightly
        ("(#n = :text OR #n = :n) AND #text = :text", True),
        ("attribute_exists(#n) AND attribute_not_exists(#missing)", True),
        ("attribute_not_exists(#n)", False),
        ("size(#text) = :n", True),
        ("size(#set) = :two", True),
        ("size(#missing) = :n", False),
        ("size(#n) = :n", False),
        ("contains(#set, :n)", True),
        ("contains(#set, :two)", False),
        ("contains(#text, :part)", True),
        ("contains(#missing, :n)", False),
    ],
)
def test_conditions_mean_what_they_mean_on_the_service(table: InMemoryTable, condition: str, holds: bool) -> None:
    put(table, n=5, text="héll", set=frozenset({5, 6}))  # é counts two bytes
    values = {":n": 5, ":big": 40, ":two": 2, ":text": "héll", ":part": "él"}
    used = {name: value for name, value in values.items() if name in condition.replace(")", " ").split()}

    if holds:
        assert "done" in update(table, "SET #done = :n", {**used, ":n": 5}, condition=condition)
    else:
        with refused("ConditionalCheckFailedException"):
            update(table, "SET #done = :n", {**used, ":n": 5}, condition=condition)


def test_right_hand_sides_read_the_old_item(table: InMemoryTable) -> None:
    put(table, a=1, b=2)

    new = update(
        table, "SET #a = #b, #b = #a + :one, #c = if_not_exists(#a, :one), #d = if_not_exists(#e, :one)", {":one": 1}
    )

    assert new == KEY | to_item({"a": 2, "b": 2, "c": 1, "d": 1})


def test_add_counts_and_unites_and_begins_with_the_value(table: InMemoryTable) -> None:
    update(table, "ADD #n :n, #set :set", {":n": 5, ":set": frozenset({1})})
    new = update(table, "ADD #n :n, #set :set", {":n": -7, ":set": frozenset({1, 2})})

    assert new == KEY | to_item({"n": -2, "set": frozenset({1, 2})})


def test_subtraction_and_removal(table: InMemoryTable) -> None:
    put(table, n=5, gone="x")

    assert update(table, "SET #n = #n - :n REMOVE #gone, #never", {":n": 7}) == KEY | to_item({"n": -2})


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("1.0", "1"), ("0.50", "0.5"), ("007", "7"), ("-0", "0"), ("-0.0", "0"), ("1e3", "1000"), ("1e-05", "0.00001"),
        ("100", "100"), ("0", "0"), ("-12", "-12"), ("-1.50", "-1.5"),
        ("0" + "123456789" * 4, "123456789" * 4),
    ],
)  # fmt: skip
def test_numbers_are_kept_without_zeros_at_their_ends(table: InMemoryTable, sent: str, kept: str) -> None:
    nested = {"L": [{"N": sent}, {"M": {"n": {"N": sent}}}, {"S": sent}]}
    table.put_item(TableName="t", Item=KEY | {"n": {"N": sent}, "set": {"NS": [sent]}, "nested": nested})

    updated = table.update_item(
        TableName="t", Key=KEY, UpdateExpression="SET #m = :m", ReturnValues="ALL_NEW",
        ExpressionAttributeNames={"#m": "m"}, ExpressionAttributeValues={":m": {"N": sent}},
    )["Attributes"]  # fmt: skip

    assert updated == KEY | {
        "n": {"N": kept},
        "m": {"N": kept},
        "set": {"NS": [kept]},
        "nested": {"L": [{"N": kept}, {"M": {"n": {"N": kept}}}, {"S": sent}]},
    }
    assert table.get_item(TableName="t", Key=KEY)["Item"] == updated


def test_a_refusal_tells_the_old_item_only_if_asked(table: InMemoryTable) -> None:
    put(table, a=1)

    with refused("ConditionalCheckFailedException") as silent:
        update(table, "SET #a = :a", {":a": 2}, condition="attribute_not_exists(#pk)")
    with refused("ConditionalCheckFailedException") as telling:
        update(
            table, "SET #a = :a", {":a": 2}, condition="attribute_not_exists(#pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )  # fmt: skip

    assert "Item" not in silent.value.response
    assert telling.value.response["Item"] == KEY | to_item({"a": 1})


def test_an_item_over_400_kilobytes_is_refused(table: InMemoryTable) -> None:
    room = ITEM_BYTES_MAX - item_bytes(KEY) - len("a")
    put(table, a="x" * room)

    with refused(match="maximum allowed size"):
        put(table, a="x" * (room + 1))


@pytest.mark.parametrize(
    "attributes", [{"claimable_pk": "", "claimable_at": 1}, {"claimable_pk": "p", "claimable_at": "1"}]
)
def test_an_index_key_of_the_wrong_type_is_refused(table: InMemoryTable, attributes: dict[str, Any]) -> None:
    with refused(match="index key attribute"):
        put(table, **attributes)


@pytest.mark.parametrize(
    "key", [{"pk": {"S": "p"}}, {"pk": {"S": ""}, "sk": {"S": "s"}}, {"pk": {"N": "1"}, "sk": {"S": "s"}}]
)
def test_a_key_of_another_shape_is_refused(table: InMemoryTable, key: dict[str, Any]) -> None:
    with refused():
        table.get_item(TableName="t", Key=key)
    with refused():
        table.get_item(TableName="t", Key=KEY | {"more": {"S": "x"}})


def test_unknown_parameters_and_tables_are_refused(table: InMemoryTable) -> None:
    with refused(match="unknown parameters"):
        table.get_item(TableName="t", Key=KEY, ConsistentReads=True)
    with refused("ResourceNotFoundException"):
        table.get_item(TableName="u", Key=KEY)


def rows(table: InMemoryTable, numbers: range) -> None:
    for number in numbers:
        claimable: dict[str, Any] = {"claimable_pk": "R", "claimable_at": 100 - number} if number % 2 else {}
        item = {"pk": "p", "sk": f"S#{number:08d}", "fencing_token": number, "owner": "x" * 50, **claimable}
        table.put_item(TableName="t", Item=to_item(item))


def query(table: InMemoryTable, key: str, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    names = {word: word[1:] for word in key.split() if word[0] == "#"}
    return table.query(
        TableName="t",
        KeyConditionExpression=key,
        ExpressionAttributeNames=names,
        ExpressionAttributeValues=to_item(values),
        **more,
    )


def test_a_sparse_index_holds_the_projection_of_what_carries_its_keys(table: InMemoryTable) -> None:
    rows(table, range(6))

    answer = query(table, "#claimable_pk = :r AND #claimable_at <= :at", {":r": "R", ":at": 98}, IndexName="claimable")

    assert [item["fencing_token"]["N"] for item in answer["Items"]] == ["5", "3"]  # by claimable_at
    assert set(answer["Items"][0]) == {"pk", "sk", "claimable_pk", "claimable_at", "fencing_token"}
    assert "LastEvaluatedKey" not in answer


def test_an_index_follows_moves_and_removals(table: InMemoryTable) -> None:
    def found(partition: str) -> int:
        return int(query(table, "#claimable_pk = :r", {":r": partition}, IndexName="claimable")["Count"])

    put(table, claimable_pk="R", claimable_at=1)
    update(table, "SET #claimable_pk = :r", {":r": "Q"})
    assert (found("R"), found("Q")) == (0, 1)

    update(table, "REMOVE #claimable_pk")
    assert (found("R"), found("Q")) == (0, 0)


@pytest.mark.parametrize("index", [{}, {"IndexName": "claimable"}])
def test_pages_join_to_the_whole(table: InMemoryTable, index: dict[str, str]) -> None:
    rows(table, range(9))
    key, values = ("#claimable_pk = :r", {":r": "R"}) if index else ("#pk = :r", {":r": "p"})
    whole = query(table, key, values, **index)["Items"]
    paged: list[Any] = []
    more: dict[str, Any] = {}

    while True:
        answer = query(table, key, values, Limit=2, **index, **more)
        assert len(answer["Items"]) <= 2
        paged += answer["Items"]
        if "LastEvaluatedKey" not in answer:
            break
        more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    assert paged == whole
    assert len(whole) == (4 if index else 9)


def test_a_page_ends_at_its_bytes() -> None:
    table = InMemoryTable("t", page_bytes_max=200)
    rows(table, range(9))

    answer = query(table, "#pk = :p", {":p": "p"})

    assert 2 <= len(answer["Items"]) < 9
    assert answer["LastEvaluatedKey"] == {name: answer["Items"][-1][name] for name in ("pk", "sk")}


@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("#sk = :p", {}),
        ("#pk <= :p", {}),
        ("#pk = :p OR #sk = :p", {}),
        ("pk = :p", {}),
        ("#pk = :p", {"IndexName": "nowhere"}),
        ("#claimable_pk = :p", {"IndexName": "claimable", "ConsistentRead": True}),
        ("#pk = :p", {"IndexName": "claimable"}),
    ],
)
def test_a_query_the_service_refuses_is_refused(table: InMemoryTable, key: str, more: dict[str, Any]) -> None:
    with refused():
        query(table, key, {":p": "p"}, **more)


def test_units_are_counted_by_size_and_by_index_entry(table: InMemoryTable) -> None:
    def units(answer: dict[str, Any]) -> float:
        return float(answer["ConsumedCapacity"]["CapacityUnits"])

    def read(consistent: bool) -> float:
        return units(table.get_item(TableName="t", Key=KEY, ConsistentRead=consistent))

    assert units(put(table)) == 1.0
    assert units(put(table, a="x" * 1100)) == 2.0
    assert units(put(table, claimable_pk="R", claimable_at=1)) == 3.0  # the larger of old and new, and an entry
    assert units(put(table, claimable_pk="R", claimable_at=2)) == 3.0  # a moved entry is a delete and a put
    assert units(put(table, claimable_pk="R", claimable_at=2, owner="not projected")) == 1.0
    assert units(put(table)) == 2.0
    assert (read(True), read(False)) == (1.0, 0.5)


def test_the_units_of_updates_follow_the_item_as_it_grows_and_shrinks(table: InMemoryTable) -> None:
    def units(text: str, **values: Any) -> float:
        answer = table.update_item(
            TableName="t",
            Key=KEY,
            UpdateExpression=text,
            ExpressionAttributeNames={"#a": "a"},
            **({"ExpressionAttributeValues": to_item({f":{n}": v for n, v in values.items()})} if values else {}),
        )
        return float(answer["ConsumedCapacity"]["CapacityUnits"])

    room = 1024 - item_bytes(KEY) - len("a")

    assert units("SET #a = :a", a="x" * room) == 1.0  # made by the update: the key counts too
    assert units("SET #a = :a", a="x" * (room + 1)) == 2.0
    assert units("SET #a = :a", a="é" * (room // 2)) == 2.0  # the larger of old and new
    assert units("SET #a = :a", a="é" * (room // 2)) == 1.0
    assert units("SET #a = :a", a="é" * (room // 2 + 1)) == 2.0
    assert units("REMOVE #a") == 2.0
    assert units("REMOVE #a") == 1.0


def test_a_query_costs_what_it_reads_and_an_entry_of_an_index_is_small(table: InMemoryTable) -> None:
    rows(table, range(100))  # of about 100 bytes; every other one has an entry of about 60
    by_key: dict[str, Any] = {"key": "#pk = :p", "values": {":p": "p"}}
    by_index: dict[str, Any] = {"key": "#claimable_pk = :r", "values": {":r": "R"}, "IndexName": "claimable"}

    def units(**asked: Any) -> float:
        return float(query(table, **asked)["ConsumedCapacity"]["CapacityUnits"])

    assert (units(**by_key), units(**by_key, ConsistentRead=True)) == (1.5, 3.0)
    assert units(**by_index) == 0.5


def test_an_update_that_makes_an_item_too_large_is_refused(table: InMemoryTable) -> None:
    room = ITEM_BYTES_MAX - item_bytes(KEY) - len("a") - len("b") - 2
    update(table, "SET #a = :a", {":a": "x" * room})
    update(table, "SET #b = :b", {":b": 5})

    with refused(match="maximum allowed size"):
        update(table, "SET #b = :b", {":b": 555})


def test_a_listener_may_look_at_the_table_it_hears_of(table: InMemoryTable) -> None:
    seen: list[Any] = []
    table.listeners.append(lambda write: seen.append(table.item(write.key)))

    put(table, a=1)
    update(table, "SET #a = :a", {":a": 2})

    assert seen == [KEY | to_item({"a": 1}), KEY | to_item({"a": 2})]


def test_the_indexes_are_those_of_the_contract(table: InMemoryTable) -> None:
    for index in contract.TABLE_INDEXES:
        assert query(table, f"#{index.partition_key} = :p", {":p": "p"}, IndexName=index.name)["Items"] == []

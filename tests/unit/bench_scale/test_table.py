"""The model's table answers as the product's in-memory table does, which is held against moto; it adds limits and lag."""

import random
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from bench.scale.limits import Limits
from bench.scale.network import Lognormal
from bench.scale.scenario import ShardTimes, Spot, Storm
from bench.scale.sizes import item_size, size_after
from bench.scale.table import THROTTLED, ScaleTable
from bench.scale.world import World
from spotproof import contract
from spotproof.leases import expressions as ex
from spotproof.leases.attribute_values import Item, Plain, item_bytes, to_item
from spotproof.leases.memory.table import InMemoryTable
from spotproof.retries import error_code
from tests.unit.bench_scale.scenes import scenario

NUMBERS = (0, 1, 2)
TEXTS = {
    "shard_state": ("LEASED", "READY", "DONE"),
    "state": ("ALIVE", "DEAD", "RUNNING", "PAUSED"),
    "active_pk": (contract.ACTIVE_RUNS, contract.ENDED_RUNS),
    "class_pk": ("RUN#r#spot", "RUN#r#on-demand"),
    "claimable_pk": ("RUN#r#spot", "RUN#r#on-demand"),
    "on_demand_pk": ("RUN#r#on-demand",),
    "owner": ("me", "Übung"),
    "carer": ("me", "Übung"),
    "finalizer": ("me", "Übung"),
}
SETS = ("closed", "exhausted")


def model_table(**changes: Any) -> ScaleTable:
    given: dict[str, Any] = {"now": lambda: 0.0, "lag_s": lambda: 0.0, "watch": lambda _old, _new: None}
    return ScaleTable(name="t", **given | {"limited": False} | changes)


def attempt(table: Any, operation: str, request: Mapping[str, Any]) -> tuple[str, Any]:
    """The answer, or the refusal with what it tells."""
    try:
        answer = getattr(table, operation)(**request)
    except ClientError as error:
        return error_code(error), error.response.get("Item")
    return "ok", {name: value for name, value in answer.items() if name != "Bytes"}


class TwinTable(ScaleTable):
    """Sends every request to the product's in-memory table too, and compares the answers."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given | {"limited": False})
        self.twin = InMemoryTable(self.name)
        self.compared = 0

    def get_item(self, **request: Any) -> dict[str, Any]:
        return self._both("get_item", request)

    def put_item(self, **request: Any) -> dict[str, Any]:
        return self._both("put_item", request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        return self._both("update_item", request)

    def query(self, **request: Any) -> dict[str, Any]:
        return self._both("query", request)

    def _both(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        expected = attempt(self.twin, operation, {"TableName": self.name} | request)
        found = attempt(super(), operation, request)
        assert found == expected, f"{operation} {request}"
        self.compared += 1
        if found[0] != "ok":
            raise ClientError({"Error": {"Code": found[0]}, "Item": found[1]}, operation)  # type: ignore[typeddict-unknown-key]
        answer: dict[str, Any] = found[1]
        return answer


def a_value(rng: random.Random, name: str) -> Plain | None:
    """Something an attribute may hold, of the kind that the protocol stores under this name."""
    if name in SETS:
        return frozenset(rng.sample(NUMBERS, rng.randint(1, 3)))
    return rng.choice(TEXTS[name]) if name in TEXTS else rng.choice(NUMBERS)


def a_random_item(rng: random.Random, statement: ex.Statement) -> dict[str, Plain | None]:
    """Some of the attributes that the statement names; `class_pk`, which every row has, always."""
    named = sorted(set(statement.names.values()) - {"pk", "sk"})
    item = {name: a_value(rng, name) for name in named if rng.random() < 0.8 or name == "class_pk"}
    return {"pk": "p", "sk": "s"} | item


def random_values(rng: random.Random, statement: ex.Statement) -> Item:
    given: dict[str, Plain | None] = {}
    for name in sorted(statement.placeholders):
        if name in ex.CONSTANTS:
            given[name] = ex.CONSTANTS[name]
        elif name.endswith("_set"):
            given[name] = frozenset({rng.choice(NUMBERS)})
        else:
            given[name] = a_value(rng, name[1:])
    return to_item(given)


@pytest.mark.parametrize("statement", [one for one in ex.STATEMENTS if one.update], ids=lambda one: one.name)
def test_every_statement_does_to_random_items_what_it_does_in_the_products_table(statement: ex.Statement) -> None:
    rng = random.Random(statement.name)
    outcomes = set()
    for _ in range(300):
        model, product = model_table(), InMemoryTable("t")
        if rng.random() < 0.95:
            put = {
                "Item": to_item(a_random_item(rng, statement)),
                "ConditionExpression": ex.CREATE.condition,
                "ExpressionAttributeNames": ex.CREATE.names,
            }
            model.put_item(**put)
            product.put_item(TableName="t", **put)
        update = {
            "Key": to_item({"pk": "p", "sk": "s"}),
            "ConditionExpression": statement.condition,
            "UpdateExpression": statement.update,
            "ExpressionAttributeNames": statement.names,
            "ExpressionAttributeValues": random_values(rng, statement),
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        expected = attempt(product, "update_item", {"TableName": "t"} | update)
        if expected[0] == "ValidationException":  # an index key of a type that the protocol never writes
            continue
        assert attempt(model, "update_item", update) == expected
        outcomes.add(expected[0])

    assert outcomes == {"ok", "ConditionalCheckFailedException"}


def test_a_whole_run_with_storms_asks_and_gets_what_the_products_table_would_answer() -> None:
    world = World(
        scenario(
            shards=300,
            workers=12,
            times=ShardTimes(mean_s=60.0, sigma=1.0),
            storms=(Storm(at_s=500.0, share=0.9),),
            spot=Spot(unannounced=0.3, event_twice=0.3, event_late=0.3),
            frozen=2,
            index_lag=Lognormal(median_s=1.0, p99_s=2.0, most_s=0.0),
        ),
        seed=3,
        table_of=TwinTable,
    )

    assert world.play()
    assert isinstance(world.table, TwinTable)
    assert world.table.compared == sum(tally.requests for tally in world.bill.tallies.values()) + 1  # the run's own
    assert world.journal.committed == 300
    asked = {name.partition(" by ")[0] for name in world.bill.tallies}
    assert {"claim ready", "walk stripe", "record checkpoint", "fence expired session", "take care"} <= asked


def test_sizes_are_the_products_and_stay_so_from_change_to_change() -> None:
    rng = random.Random(7)
    item: Item = to_item({"pk": "p"})
    size = item_size(item)
    for _ in range(500):
        name = rng.choice(("owner", "next", "closed", "output", "until"))
        new = dict(item)
        if name in new and rng.random() < 0.3:
            del new[name]
        else:
            value: Plain = rng.choice(("", "Ü" * 5, 10**15, 7.25, frozenset({1, 20}), [{"key": "k" * 90}]))
            new |= to_item({name: value})
        size = size_after(size, item, new, [name])
        item = new

        assert size == item_size(item) == item_bytes(item)


def test_a_partition_takes_a_thousand_writes_a_second_and_then_refuses() -> None:
    now = [10.0]
    limits = Limits(partition_per_s=1000, table_per_s=4000)
    served = 0
    while limits.admits(now[0], "hot"):
        limits.take(now[0], "hot", 1.0)
        served += 1

    assert served == 1000
    assert limits.admits(now[0], "cold")
    now[0] += 0.5
    assert limits.admits(now[0], "hot")
    assert limits.hottest().units_per_s == 1000


def test_a_throttled_write_changes_nothing_and_an_index_throttles_its_table() -> None:
    seen: list[Item] = []
    table = model_table(limited=True, watch=lambda _old, new: seen.append(new))
    put = {"ConditionExpression": ex.CREATE.condition, "ExpressionAttributeNames": ex.CREATE.names}
    row: dict[str, Plain | None] = {
        contract.CLAIMABLE_INDEX.partition_key: "RUN#r#spot",
        contract.CLAIMABLE_INDEX.sort_key: 1,
    }
    outcomes = [
        attempt(table, "put_item", put | {"Item": to_item(row | {"pk": f"p{n % 4}", "sk": f"s{n}"})})[0]
        for n in range(1200)
    ]

    assert outcomes == ["ok"] * 1000 + [THROTTLED] * 200  # the index is one partition, the rows are in four
    assert len(seen) == table.count_rows() == 1000


def test_the_index_shows_a_change_after_its_lag_and_changes_of_an_item_in_order() -> None:
    now, lags = [0.0], iter((1.0, 0.1, 0.1))
    table = model_table(now=lambda: now[0], lag_s=lambda: next(lags))
    row = to_item(
        {"pk": "p", "sk": "s", "claimable_pk": "c", "claimable_at": 5, "fencing_token": 1, "shard_state": "READY"}
    )
    table.put_item(Item=row, ConditionExpression=ex.CREATE.condition, ExpressionAttributeNames=ex.CREATE.names)
    raise_token = ex.Statement(name="x", condition="attribute_exists(#pk)", update="ADD #fencing_token :one")
    table.update_item(
        Key=to_item({"pk": "p", "sk": "s"}),
        ConditionExpression=raise_token.condition,
        UpdateExpression=raise_token.update,
        ExpressionAttributeNames=raise_token.names,
        ExpressionAttributeValues=to_item({":one": 1}),
    )

    def tokens() -> list[str]:
        found = table.query(
            IndexName="claimable",
            KeyConditionExpression=ex.CLAIMABLE.key,
            ExpressionAttributeNames=ex.CLAIMABLE.names,
            ExpressionAttributeValues=to_item({":pk": "c", ":until": 9}),
        )
        return [item["fencing_token"]["N"] for item in found["Items"]]

    now[0] = 0.9
    assert tokens() == []
    now[0] = 1.0
    assert tokens() == ["2"]  # the second change was not overtaken by the first

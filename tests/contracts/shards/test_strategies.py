"""What every sharding strategy promises, over every format."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotproof.shards.planner import Plan
from spotproof.shards.spec import StrategyName, parse_shard_by
from spotproof.shards.strategies.registry import STRATEGIES
from tests.contracts.shards.datasets import PUTS, RECORDS
from tests.contracts.shards.plan_digest import digest
from tests.fakes.s3_input import S3Input, fake_s3

ROOT = Path(__file__).parents[3]
SHARD_BY = (
    "size:600B",
    "objects",
    "rowgroups",
    "hash:name:7",
    "hash:id:3",
    "range:price:5",
    "range:name:4",
    "range:id:6",
    "time:at:1d:America/New_York",
    "time:at:1h:America/New_York",
    "time:at:1w",
    "time:at:1mo:Europe/Berlin",
)
EXTRA = ("objects", "hash:name:7", "range:price:5")  # TSV is CSV but for its delimiter
CASES = [
    (kind, shard_by)
    for kind in PUTS
    for shard_by in (EXTRA if kind == "tsv" else SHARD_BY)
    if shard_by != "rowgroups" or kind == "parquet"
]
Case = tuple[str, str]


@pytest.fixture(scope="module")
def store() -> Iterator[S3Input]:
    with fake_s3() as made:
        for put in PUTS.values():
            put(made)
        yield made


@pytest.fixture(scope="module", params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture(scope="module")
def plan(store: S3Input, case: Case) -> Plan:
    return store.plan(case[1], case[0])


def test_every_registered_strategy_is_under_this_suite() -> None:
    tested = {parse_shard_by(shard_by).strategy for shard_by in SHARD_BY}

    assert tested == set(STRATEGIES) == set(StrategyName) - {StrategyName.AUTO}


def test_every_record_is_in_exactly_one_shard_in_input_order(store: S3Input, plan: Plan) -> None:
    shards = store.read(plan, batch=7)

    ids = [[int(record["id"]) for record in shard] for shard in shards]
    assert sorted(number for shard in ids for number in shard) == list(range(RECORDS))
    assert all(shard == sorted(shard) for shard in ids)


def test_shards_are_numbered_in_order_and_cutting_again_gives_the_same(store: S3Input, case: Case, plan: Plan) -> None:
    first, again = list(plan.shards()), list(store.plan(case[1], case[0]).shards())

    assert first == list(plan.shards()) == again
    assert [shard.index for shard in first] == list(range(plan.header.shards))
    assert all(shard.parts and shard.label for shard in first)


def test_the_skew_of_the_planned_sizes_is_reported(plan: Plan) -> None:
    sizes = sorted(shard.size_bytes for shard in plan.shards())

    assert plan.header.skew.max_bytes == sizes[-1] > 0
    assert plan.header.skew.mean_bytes == pytest.approx(sum(sizes) / len(sizes))
    assert plan.header.skew.p95_bytes in sizes


def test_reading_resumes_right_behind_every_batch(store: S3Input, plan: Plan) -> None:
    shard = max(plan.shards(), key=lambda shard: shard.size_bytes)
    batches = list(store.reader(plan, shard).batches(records=13))
    records = [record for batch in batches for record in batch]
    for number in {0, len(batches) // 2, len(batches) - 1}:
        batch = batches[number]
        seen = sum(before.count for before in batches[: number + 1])

        rest = [record for later in store.reader(plan, shard).batches(batch.end, records=11) for record in later]

        assert rest == records[seen:]


def test_another_process_with_another_hash_seed_makes_the_same_bytes(store: S3Input) -> None:
    mine = [f"{kind}={shard_by} {digest(store, kind, shard_by)}" for kind, shard_by in CASES]

    theirs = subprocess.run(
        [sys.executable, "-m", "tests.contracts.shards.plan_digest", *(f"{kind}={by}" for kind, by in CASES)],
        env={**os.environ, "PYTHONHASHSEED": "4242", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert theirs.splitlines() == mine

"""`spotproof plan`: what a run would take, without a trace."""

import random
from dataclasses import replace
from typing import Any

import boto3
import pytest

from spotproof import contract
from spotproof.capacity.breaker import BreakerSettings, Interruption
from spotproof.capacity.pool_records import PoolRecords
from spotproof.capacity.records import Records
from spotproof.capacity.sizing.record import PoolUse, RunRecord
from spotproof.clock import to_epoch_ms
from spotproof.retries import Retrier
from tests.cli.conftest import REGION, World
from tests.unit.capacity.sizing_samples import MIB, NOON, varied_runs

INPUT = "s3://data-bucket/big/"
PLAN = ("plan", "flight-delays", "--input", INPUT)


@pytest.fixture
def filled(world: World) -> World:
    """Twelve files of 2 MiB."""
    line = b"x" * 1023 + b"\n"
    for number in range(12):
        world.s3().put_object(Bucket="data-bucket", Key=f"big/{number:02d}.txt", Body=line * 2048)
    return world


def leave_history(world: World, runs: int) -> list[RunRecord]:
    records = [
        replace(record, pools=(used_pool("eu-central-1a", interruptions=40), used_pool("eu-central-1b")))
        for record in varied_runs(random.Random(1), runs)
    ]
    for record in records:
        key = f"{contract.history_prefix('flight-delays')}{record.created_at:015d}-{record.run_id}.json"
        world.s3().put_object(Bucket="work-bucket", Key=key, Body=record.encode())
    return records


def used_pool(zone: str, *, interruptions: int = 0) -> PoolUse:
    return PoolUse(
        instance_type="m7i.large", zone=zone, lifecycle="spot", sessions=50, session_ms=100 * 3_600_000,
        interruptions=interruptions,
    )  # fmt: skip


def objects(world: World) -> dict[str, Any]:
    return {
        f"{bucket}/{each['Key']}": each["ETag"]
        for bucket in ("work-bucket", "data-bucket")
        for each in world.s3().list_objects_v2(Bucket=bucket).get("Contents", [])
    }


def test_without_history_it_says_so_and_uses_stated_defaults(filled: World) -> None:
    plan = filled.json(*PLAN)

    assert plan["history_runs"] == 0
    assert plan["recommended"]["memory_mib"]["value"] is None
    assert "as deployed, 1800 MiB" in plan["recommended"]["memory_mib"]["reason"]
    assert any("defaults" in warning for warning in plan["warnings"])
    assert plan["shard_seconds"]["p90"] == pytest.approx(16 * plan["shard_seconds"]["p10"], rel=0.01)


def test_with_history_every_size_has_a_number_and_a_reason(filled: World) -> None:
    leave_history(filled, 6)

    plan = filled.json(*PLAN, "--shard-by", "size:2MiB")

    assert plan["history_runs"] == 6
    assert plan["shards"] == {"count": 12, "shard_by": "size:2097152B", "skew": 1.0}
    for name in ("memory_mib", "vcpus", "shard_bytes", "workers"):
        assert plan["recommended"][name]["value"] > 0
        assert plan["recommended"][name]["reason"]
    assert plan["recommended"]["vcpus"]["value"] == 1  # 0.9 of one was busy
    assert 2 < plan["shard_seconds"]["p50"] < 8  # 2 s and one for each of the 2 MiB
    for name in ("shard_seconds", "run_seconds", "worker_seconds", "usd"):
        assert plan[name]["p10"] < plan[name]["p50"] < plan[name]["p90"]


def test_pools_are_ranked_by_their_own_record(filled: World) -> None:
    leave_history(filled, 3)

    pools = filled.json(*PLAN)["pools"]

    named = [(pool["instance_type"], pool["zone"], pool["lifecycle"]) for pool in pools]
    assert named == [
        ("m7i.large", "eu-central-1b", "spot"),
        ("m7i.large", "eu-central-1a", "spot"),
        ("m7i.large", None, "on-demand"),
    ]
    assert (pools[1]["interruptions_seen"], pools[1]["hours_seen"]) == (120, 300.0)
    assert pools[0]["usd_per_worker_hour"] == pools[1]["usd_per_worker_hour"]


def test_a_pool_whose_breaker_is_open_comes_last(filled: World) -> None:
    dynamodb = boto3.client("dynamodb", region_name=REGION)
    dynamodb.create_table(
        TableName="table",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    retrier = Retrier(clock=filled.clock, rng=random.Random(0))
    records = PoolRecords(Records(dynamodb=dynamodb, table_name="table", retrier=retrier))
    now = to_epoch_ms(filled.clock.now())
    for number in range(3):
        records.note_interruption(
            "m7i.large/eu-central-1a",
            Interruption(at=now - 1000 + number, instance_id=f"i-{number}"),
            BreakerSettings(),
        )

    pools = filled.json(*PLAN)["pools"]

    assert [(pool["zone"], pool["breaker_open"]) for pool in pools] == [
        ("eu-central-1b", False), (None, False), ("eu-central-1a", True),
    ]  # fmt: skip


def test_a_plan_changes_nothing(filled: World) -> None:
    leave_history(filled, 2)
    before = objects(filled)

    filled.json(*PLAN, "--within", "3600")

    assert objects(filled) == before
    assert (filled.batch.submitted, filled.batch.terminated) == ([], [])
    assert list(filled.store.active_runs()) == []


def test_the_same_question_gets_the_same_answer(filled: World) -> None:
    leave_history(filled, 3)

    assert filled.json(*PLAN) == filled.json(*PLAN)


def test_a_deadline_chooses_the_workers_and_a_given_number_stands(filled: World) -> None:
    leave_history(filled, 6)

    tight = filled.json(*PLAN, "--shard-by", "size:1MiB", "--within", "260")
    loose = filled.json(*PLAN, "--shard-by", "size:1MiB", "--within", "7200")
    given = filled.json(*PLAN, "--shard-by", "size:1MiB", "--workers", "7")

    assert 1 < tight["recommended"]["workers"]["value"] <= 24
    assert tight["run_seconds"]["p90"] < 290
    assert loose["recommended"]["workers"]["value"] == 1
    assert given["recommended"]["workers"]["value"] == 7


def test_people_get_the_same_in_words(filled: World) -> None:
    leave_history(filled, 1)
    filled.s3().put_object(Bucket="work-bucket", Key=contract.history_prefix("flight-delays") + "9.json", Body=b"[]")

    result = filled.run(*PLAN)

    assert result.exit_code == 0, result.output
    assert "1 earlier runs" in result.stdout
    assert "80 %: $" in result.stdout
    assert "m7i.large/eu-central-1a" in result.stdout
    assert "is damaged" in result.stderr
    assert "only 1 earlier run" in result.stderr


def test_what_aws_will_not_tell_is_named_and_the_rest_is_answered(filled: World) -> None:
    filled.ec2.refuses = True
    filled.batch.refuse_reads = "AccessDeniedException"

    plan = filled.json(*PLAN)

    assert (plan["usd"], plan["pools"]) == (None, [])
    assert any("spot queue" in text for text in plan["unknown"])
    assert "unknown: no price" in filled.run(*PLAN).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("plan", "nobody", "--input", INPUT), 2, "no job 'nobody' is deployed"),
        (("plan", "flight-delays", "--input", "s3://data-bucket/none/"), 2, "none/"),
        (("plan", "flight-delays", "--input", "s3://data-bucket"), 2, ""),
        (("plan", "flight-delays", "--input", INPUT, "--shard-by", "hash"), 2, "--shard-by"),
        ((*PLAN, "--workers", "2", "--within", "60"), 2, "not both"),
        (("plan", "other", "--input", INPUT), 4, "no active job definition spotproof-other"),
    ],
)
def test_bad_input_is_one_line_and_a_code(filled: World, arguments: tuple[str, ...], code: int, text: str) -> None:
    result = filled.run(*arguments)

    assert (result.exit_code, text in result.stderr) == (code, True), result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_a_shard_beyond_all_that_were_seen_is_warned_about(world: World) -> None:
    world.s3().put_object(Bucket="data-bucket", Key="one/huge.bin", Body=b"\x00" * (5 * MIB))
    small = [replace(record, samples=tuple(replace(each, input_bytes=MIB) for each in record.samples))
             for record in varied_runs(random.Random(3), 3)]  # fmt: skip
    for record in small:
        key = f"{contract.history_prefix('flight-delays')}{NOON}-{record.run_id}.json"
        world.s3().put_object(Bucket="work-bucket", Key=key, Body=record.encode())

    plan = world.json("plan", "flight-delays", "--input", "s3://data-bucket/one/")

    assert any("the largest ever seen 1 MiB" in warning for warning in plan["warnings"])
    assert plan["recommended"]["shard_bytes"] == {
        "value": None, "reason": "the input decides: this sharding does not cut by size",
    }  # fmt: skip

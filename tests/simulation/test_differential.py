"""The same seeds on the simulated data plane and on moto: the same answers, traces and contents."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from simulation.differential.comparison import compare, modest_seeds
from simulation.differential.known import Emulator
from simulation.differential.scenarios import OFF
from simulation.differential.twin import Asked, DataPlane
from simulation.faults.rates import FULL
from simulation.worker import TABLE
from simulation.workload import DATA_BUCKET, WORK_BUCKET
from tests.fakes.table import create_table
from tests.simulation.moto_s3 import moto_client

SEEDS = 20


@contextmanager
def moto_plane() -> Iterator[DataPlane]:
    with mock_aws():
        dynamodb, s3 = moto_client("dynamodb"), moto_client("s3")
        create_table(dynamodb, TABLE)
        for bucket in (DATA_BUCKET, WORK_BUCKET):
            s3.create_bucket(Bucket=bucket)
        yield DataPlane(emulator=Emulator.MOTO, dynamodb=dynamodb, s3=s3)


@pytest.mark.slow
def test_twenty_seeds_run_on_moto_as_in_the_simulation() -> None:
    asked: Counter[Asked] = Counter()
    faults = 0
    for seed in modest_seeds(SEEDS):
        with moto_plane() as plane:
            compared = compare(seed, plane)
        assert not compared.problems, f"seed {seed}: {compared.problems[0]}"
        asked += compared.asked
        faults += compared.faults
    assert faults >= 5 * SEEDS
    assert {
        ("dynamodb", "put_item", ""),
        ("dynamodb", "update_item", ""),
        ("dynamodb", "update_item", "ConditionalCheckFailedException"),
        ("dynamodb", "get_item", ""),
        ("dynamodb", "query", ""),
        ("s3", "put_object", ""),
        ("s3", "put_object", "PreconditionFailed"),
        ("s3", "get_object", ""),
        ("s3", "get_object", "NoSuchKey"),
        ("s3", "head_object", ""),
        ("s3", "head_object", "404"),
        ("s3", "copy_object", ""),
        ("s3", "list_objects_v2", ""),
        ("s3", "delete_objects", ""),
    } <= asked.keys()


class Bent:
    """A client of which one operation is another one than it should be."""

    def __init__(self, inner: Any, **bent: Callable[..., Any]) -> None:
        self._inner = inner
        self._bent = bent

    def __getattr__(self, operation: str) -> Any:
        if operation not in self._bent:
            return getattr(self._inner, operation)
        return lambda **request: self._bent[operation](getattr(self._inner, operation), **request)


def without_old_item(update: Callable[..., Any], **request: Any) -> Any:
    request.pop("ReturnValuesOnConditionCheckFailure", None)
    return update(**request)


def in_reverse(query: Callable[..., Any], **request: Any) -> Any:
    answer = query(**request)
    return {**answer, "Items": answer["Items"][::-1]}


def other_bytes(get: Callable[..., Any], **request: Any) -> Any:
    answer = get(**request)
    return {**answer, "Body": BytesIO(answer["Body"].read()[::-1])}


def no_answer(_copy: Callable[..., Any], **_request: Any) -> Any:
    raise EndpointConnectionError(endpoint_url="http://127.0.0.1:9")


def nothing_deleted(_delete: Callable[..., Any], **_request: Any) -> Any:
    return {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("service", "bent", "words"),
    [
        ("dynamodb", {"update_item": without_old_item}, "{'refused': 'ConditionalCheckFailedException'}"),
        ("dynamodb", {"query": in_reverse}, "query"),
        ("s3", {"get_object": other_bytes}, "'Body': b"),
        ("s3", {"copy_object": no_answer}, "the other fails: EndpointConnectionError"),
        ("s3", {"delete_objects": nothing_deleted}, "list_objects_v2"),
    ],
)
def test_a_data_plane_that_is_wrong_is_told_with_both_answers(
    service: str, bent: dict[str, Callable[..., Any]], words: str
) -> None:
    problems = next(filter(None, (_problems(seed, service, bent) for seed in modest_seeds(SEEDS))))

    assert words in problems[0]
    assert "the simulated side" in problems[0]


def _problems(seed: int, service: str, bent: dict[str, Callable[..., Any]]) -> tuple[str, ...]:
    with moto_plane() as plane:
        sides: dict[str, Any] = {service: Bent(getattr(plane, service), **bent)}
        return compare(seed, replace(plane, **sides)).problems


def test_what_is_switched_off_are_faults_of_the_simulation() -> None:
    assert OFF.keys() <= FULL.keys()

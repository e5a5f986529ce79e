"""The bucket's contract and publishing again, on the local account's S3."""

import random
from itertools import count

import pytest

from localcloud.settings import ROOT_SECRET
from spotproof.checkpoints.obstore_s3 import ObstoreObjectStore
from spotproof.checkpoints.s3 import S3ObjectStore
from spotproof.clients import Clients
from spotproof.commits.buckets import S3OutputBuckets
from spotproof.retries import Retrier
from spotproof.settings import AwsSettings
from tests.contracts.checkpoints.object_store_contract import ObjectStoreContract, RacingWritesContract
from tests.fakes.clock import FakeClock
from tests.local.account import TestAccount
from tests.unit.commits import test_publishing
from tests.unit.commits.test_publishing import DATA, WORK, lease
from tests.unit.commits.test_publishing import (
    test_a_staged_object_that_is_gone_or_changed_is_never_published as test_damage,
)
from tests.unit.commits.test_publishing import (
    test_other_bytes_at_a_final_key_are_never_overwritten as test_conflict,
)
from tests.unit.commits.test_publishing import (
    test_published_objects_are_the_staged_ones_with_type_and_digest as test_published,
)
from tests.unit.commits.test_publishing import (
    test_publishing_again_changes_nothing_even_after_staging_is_gone as test_again,
)

IMPORTED = (lease, test_damage, test_conflict, test_published, test_again)  # for pytest to find
_numbers = count()


def _retrier() -> Retrier:
    return Retrier(clock=FakeClock(), rng=random.Random(1))


@pytest.fixture
def bucket(cloud: TestAccount) -> str:
    name = f"contract-{next(_numbers)}"
    cloud.client("s3").create_bucket(Bucket=name)
    return name


class TestLocalAccount(ObjectStoreContract, RacingWritesContract):
    @pytest.fixture
    def objects(self, cloud: TestAccount, bucket: str) -> S3ObjectStore:
        return S3ObjectStore(client=cloud.client("s3"), bucket=bucket, retrier=_retrier())


class TestLocalAccountOverObstore(ObjectStoreContract, RacingWritesContract):
    @pytest.fixture
    def objects(self, cloud: TestAccount, bucket: str) -> ObstoreObjectStore:
        settings = AwsSettings(
            region=cloud.running.region,
            endpoint_url=cloud.running.endpoint,
            access_key_id=cloud.running.account,
            secret_access_key=ROOT_SECRET,
        )
        return ObstoreObjectStore(clients=Clients(settings), bucket=bucket, retrier=_retrier())


@pytest.fixture
def buckets(cloud: TestAccount, monkeypatch: pytest.MonkeyPatch) -> S3OutputBuckets:
    client, number = cloud.client("s3"), next(_numbers)
    for bucket in (f"{WORK}-{number}", f"{DATA}-{number}"):
        client.create_bucket(Bucket=bucket)
    monkeypatch.setattr(test_publishing, "DATA", f"{DATA}-{number}")
    return S3OutputBuckets(client=client, work_bucket=f"{WORK}-{number}", retrier=_retrier())

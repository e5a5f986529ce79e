"""What the suite runs on: a table behind a client, a fake clock, and stores over them."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.model import Run, Session
from spotproof.leases.store import LeaseStore
from spotproof.retries import Retrier
from tests.fakes.aws_errors import OneAtATimeClient
from tests.fakes.clock import FakeClock
from tests.fakes.leases import a_run, a_session
from tests.fakes.table import create_table

TABLE = "leases"


@dataclass
class Backend:
    """A fresh table and its client."""

    client: Any
    table: str
    clock: FakeClock

    def store(self, client: Any = None) -> LeaseStore:
        """Another store on the table, as another process has it; `client` may wrap the backend's."""
        retrier = Retrier(clock=self.clock, rng=random.Random(0))
        return DynamoDBLeaseStore(client or self.client, self.table, self.clock, retrier)


def in_memory() -> Backend:
    return Backend(client=InMemoryTable(TABLE), table=TABLE, clock=FakeClock())


@pytest.fixture(scope="module")
def moto_client() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client(
            "dynamodb", region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )


@pytest.fixture(params=["in-memory", "moto"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "in-memory":
        yield in_memory()
        return
    client = request.getfixturevalue("moto_client")
    create_table(client, TABLE)
    yield Backend(client=OneAtATimeClient(client), table=TABLE, clock=FakeClock())
    client.delete_table(TableName=TABLE)


@pytest.fixture
def store(backend: Backend) -> LeaseStore:
    return backend.store()


@pytest.fixture
def clock(backend: Backend) -> FakeClock:
    return backend.clock


@pytest.fixture
def run(store: LeaseStore) -> Run:
    """Six shards in two stripes."""
    return store.create_run(a_run())


@pytest.fixture
def session(store: LeaseStore, run: Run) -> Session:
    return store.open_session(a_session())

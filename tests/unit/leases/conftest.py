"""An in-memory store for the flows over leases."""

import random

import pytest

from spotproof.leases.in_memory import InMemoryLeaseStore
from spotproof.leases.model import Run
from spotproof.leases.store import LeaseStore
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock
from tests.fakes.leases import a_run


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(clock: FakeClock) -> LeaseStore:
    return InMemoryLeaseStore(clock=clock, retrier=Retrier(clock=clock, rng=random.Random(0)))


@pytest.fixture
def run(store: LeaseStore) -> Run:
    return store.create_run(a_run())

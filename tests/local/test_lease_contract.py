"""The lease store's whole contract suite again, on a table of the local account."""

from collections import Counter
from collections.abc import Iterator
from itertools import count

import pytest

from tests.contracts.leases import (
    test_claims,
    test_classes,
    test_clauses,
    test_completion,
    test_cost,
    test_failures,
    test_history,
    test_leased,
    test_races,
    test_runs,
    test_sessions,
    test_takings,
)
from tests.contracts.leases.fixtures import TABLE, Backend, clock, run, session, store
from tests.contracts.leases.test_claims import *  # noqa: F403
from tests.contracts.leases.test_classes import *  # noqa: F403
from tests.contracts.leases.test_clauses import *  # noqa: F403
from tests.contracts.leases.test_completion import *  # noqa: F403
from tests.contracts.leases.test_cost import *  # noqa: F403
from tests.contracts.leases.test_failures import *  # noqa: F403
from tests.contracts.leases.test_history import *  # noqa: F403
from tests.contracts.leases.test_leased import *  # noqa: F403
from tests.contracts.leases.test_races import *  # noqa: F403
from tests.contracts.leases.test_runs import *  # noqa: F403
from tests.contracts.leases.test_sessions import *  # noqa: F403
from tests.contracts.leases.test_takings import *  # noqa: F403
from tests.fakes.clock import FakeClock
from tests.fakes.table import create_table
from tests.local.account import TestAccount

SUITE = (
    test_claims, test_classes, test_clauses, test_completion, test_cost, test_failures,
    test_history, test_leased, test_races, test_runs, test_sessions, test_takings,
)  # fmt: skip
FIXTURES = (clock, run, session, store)  # imported for pytest to find
_numbers = count()


@pytest.fixture
def backend(cloud: TestAccount) -> Iterator[Backend]:
    client = cloud.client("dynamodb")
    name = f"{TABLE}-{next(_numbers)}"
    create_table(client, name)
    yield Backend(client=client, table=name, clock=FakeClock())
    client.delete_table(TableName=name)


def test_no_claim_of_the_suite_hides_another_of_the_same_name() -> None:
    names = Counter(name for module in SUITE for name in vars(module) if name.startswith("test_"))

    assert [name for name, times in names.items() if times > 1] == []
    assert len(names) > 100

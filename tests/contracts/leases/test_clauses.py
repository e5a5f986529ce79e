"""Every clause of every condition, violated alone, refuses the write and leaves the item as it was.

The table below gives each statement an item that satisfies it. The violations are derived from the expression itself,
so that a clause nobody thought of is tested too, and a dropped one changes the table's count.
"""

import random
import re
from dataclasses import dataclass

import pytest

from spotproof.concurrency import ThreadSpawner
from spotproof.leases import expressions as ex
from spotproof.leases.attribute_values import Item, Plain, to_item
from spotproof.leases.table import Applied, Refused, Table, UsageMeter
from spotproof.retries import Retrier
from tests.contracts.leases.fixtures import Backend

NOW = 1000
KEY = to_item({"pk": "RUN#r#0000", "sk": "S#00000000"})
ROW: dict[str, Plain | None] = {
    "schema": 1, "shard_state": "LEASED", "owner": "me", "fencing_token": 7, "class_pk": "RUN#r#spot",
    "losses": 1, "failures": 0, "interruptions": 0,
}  # fmt: skip
READY = ROW | {"shard_state": "READY", "owner": None, "claimable_pk": "RUN#r#spot", "claimable_at": NOW}
DRAINED = ROW | {"reclaim_at": NOW, "claimable_pk": "RUN#r#spot", "claimable_at": NOW}
SESSION: dict[str, Plain | None] = {"schema": 1, "state": "ALIVE", "seq": 3, "until": NOW - 1}
RUN: dict[str, Plain | None] = {"schema": 1, "state": "RUNNING", "active_pk": "RUNS", "closed": frozenset({0, 1})}
PAUSED = RUN | {"state": "PAUSED", "paused_at": NOW, "reason": "r"}
OWNED: dict[str, Plain] = {":owner": "me", ":token": 7}
BACK: dict[str, Plain] = {":claimable_at": NOW, ":return": "t"}
HANDED_BACK = BACK | {":worked": 5}
TO_ON_DEMAND: dict[str, Plain] = {":on_demand_pk": "RUN#r#on-demand"}
LEDGER_VALUES: dict[str, Plain] = {":work_ms": 1, ":checkpoint_ms": 1, ":idle_ms": 1, ":redone_ms": 1}


@dataclass(frozen=True, kw_only=True)
class Case:
    statement: ex.Statement
    item: dict[str, Plain | None]
    values: dict[str, Plain]
    clauses: int  # in the condition; alternatives of an OR count as one


CASES = (
    Case(statement=ex.CANCEL_RUN, item=RUN, values={":reason": "r", ":now": NOW}, clauses=1),
    Case(statement=ex.PAUSE_RUN, item=RUN, values={":reason": "r", ":now": NOW}, clauses=1),
    Case(
        statement=ex.PAUSE_RUN_OF_BUDGET,
        item=RUN | {"usd_max": 2},
        values={":reason": "r", ":now": NOW, ":usd_max": 2},
        clauses=2,
    ),
    Case(statement=ex.RESUME_RUN, item=PAUSED, values={}, clauses=1),
    Case(statement=ex.RESUME_RUN_WITH_BUDGET, item=PAUSED, values={":usd_max": 2.5}, clauses=1),
    Case(statement=ex.CLOSE_STRIPE, item=RUN, values={":stripe": 2, ":stripe_set": frozenset({2})}, clauses=2),
    Case(
        statement=ex.EXHAUST_STRIPE,
        item=RUN | {"exhausted": frozenset({0})},
        values={":stripe": 2, ":stripe_set": frozenset({2})},
        clauses=2,
    ),
    Case(
        statement=ex.TAKE_CARE,
        item=RUN | {"carer": "me", "care_until": NOW + 5},
        values={":carer": "me", ":now": NOW, ":until": NOW + 9},
        clauses=2,
    ),
    Case(
        statement=ex.TAKE_FINALIZER,
        item=RUN | {"finalizer_until": NOW - 1},
        values={":stripes": 2, ":now": NOW, ":finalizer": "f", ":until": NOW + 9},
        clauses=4,
    ),
    Case(
        statement=ex.END_RUN,
        item=RUN | {"finalizer_epoch": 4},
        values={":epoch": 4, ":state": "COMPLETE", ":now": NOW, ":count": 0, ":reason": ""},
        clauses=2,
    ),
    Case(statement=ex.MARK_CLEANED, item=RUN | {"active_pk": "ENDED"}, values={":now": NOW}, clauses=1),
    Case(statement=ex.HOLD, item=SESSION, values={":held": 1, ":until": NOW, ":seq": 4}, clauses=4),
    Case(statement=ex.HEARTBEAT, item=SESSION, values={":until": NOW, ":seq": 4, **LEDGER_VALUES}, clauses=2),
    Case(statement=ex.END_SESSION, item=SESSION, values={":now": NOW, **LEDGER_VALUES}, clauses=1),
    Case(statement=ex.MARK_STOP, item=SESSION, values={":kind": "notice"}, clauses=1),
    Case(statement=ex.MARK_STOP_WITH_DEADLINE, item=SESSION, values={":kind": "notice", ":deadline": NOW}, clauses=1),
    Case(statement=ex.MARK_RETIRED, item=SESSION, values={}, clauses=1),
    Case(statement=ex.MARK_HINT, item=SESSION | {"hint_until": NOW - 1}, values={":until": NOW}, clauses=2),
    Case(statement=ex.FENCE, item=SESSION, values={":now": NOW}, clauses=1),
    Case(statement=ex.FENCE_EXPIRED, item=SESSION, values={":now": NOW, ":expired_at": NOW}, clauses=2),
    Case(statement=ex.TICKET, item={"schema": 1, "next": 2}, values={":limit": 3}, clauses=1),
    Case(statement=ex.CLAIM_READY, item=READY, values={":seen": 7, ":owner": "you", ":now": NOW}, clauses=2),
    Case(statement=ex.CLAIM_DRAINED, item=DRAINED, values={":seen": 7, ":owner": "you", ":now": NOW}, clauses=3),
    Case(statement=ex.CHECKPOINT, item=ROW | {"checkpoint_seq": 1}, values=OWNED | {":key": "k", ":seq": 2}, clauses=4),
    Case(
        statement=ex.COMMIT,
        item=ROW,
        values=OWNED | {":output": "o", ":sha256": "s", ":size": 1, ":records": 1, ":usage": [1, 2, 3], ":now": NOW},
        clauses=3,
    ),
    Case(statement=ex.FAIL, item=ROW, values={**OWNED, **HANDED_BACK, ":error": "e"}, clauses=3),
    Case(
        statement=ex.FAIL_FOR_GOOD,
        item=ROW,
        values=OWNED | {":error": "e", ":return": "t", ":worked": 5, ":now": NOW},
        clauses=3,
    ),
    Case(statement=ex.RELEASE, item=ROW, values={**OWNED, **HANDED_BACK, ":interrupted": 1}, clauses=3),
    Case(statement=ex.RELEASE_TO_ON_DEMAND, item=ROW, values={**OWNED, **HANDED_BACK, **TO_ON_DEMAND}, clauses=3),
    Case(
        statement=ex.DRAIN, item=ROW, values={":owner": "me", ":reclaim_at": NOW, ":interruptions_last": 1}, clauses=4
    ),
    Case(
        statement=ex.DRAIN_TO_ON_DEMAND,
        item=ROW | {"interruptions": 1},
        values={":owner": "me", ":reclaim_at": NOW, ":interruptions_last": 1, **TO_ON_DEMAND},
        clauses=4,
    ),
    Case(
        statement=ex.REQUEUE_INTERRUPTED,
        item=ROW,
        values={":owner": "me", ":interruptions_last": 1, **BACK},
        clauses=3,
    ),
    Case(
        statement=ex.REQUEUE_TO_ON_DEMAND,
        item=ROW | {"interruptions": 1},
        values={":owner": "me", ":interruptions_last": 1, **BACK, **TO_ON_DEMAND},
        clauses=3,
    ),
    Case(statement=ex.REQUEUE_LOST, item=ROW, values={":owner": "me", ":losses_last": 2, **BACK}, clauses=3),
    Case(
        statement=ex.QUARANTINE_LOST,
        item=ROW,
        values={":owner": "me", ":losses_last": 1, ":error": "e", ":return": "t", ":now": NOW},
        clauses=3,
    ),
)


def clauses_of(condition: str) -> list[str]:
    """The parts joined by AND outside parentheses."""
    parts, depth, current = [], 0, ""
    for word in re.split(r"(\(|\)| AND )", condition):
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == " AND " and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += word
    return [part.strip() for part in [*parts, current]]


def violated(item: dict[str, Plain | None], clause: str, values: dict[str, Plain]) -> dict[str, Plain | None]:
    """The item changed so that this clause, and none that it does not imply, is false."""
    inner = clause[1:-1] if clause.startswith("(") else clause
    if " OR " in inner:
        for alternative in inner.split(" OR "):
            item = violated(item, alternative, values)
        return item
    if match := re.fullmatch(r"attribute_exists\(#(\w+)\)", inner):
        return item | {match[1]: None}
    if match := re.fullmatch(r"attribute_not_exists\(#(\w+)\)", inner):
        return item | {match[1]: item.get(match[1]) or NOW}
    if match := re.fullmatch(r"NOT contains\(#(\w+), (:\w+)\)", inner):
        member = values[match[2]]
        assert isinstance(member, int)
        return item | {match[1]: frozenset({member})}
    if match := re.fullmatch(r"size\(#(\w+)\) = :\w+", inner):
        return item | {match[1]: frozenset({0})}
    match = re.fullmatch(r"#(\w+) (=|<=|<|>=) (:\w+)", inner)
    assert match is not None, f"the test does not know clauses like {inner!r}"
    wanted = values.get(match[3], ex.CONSTANTS.get(match[3]))
    return item | {match[1]: _against(match[2], wanted)}


def _against(comparator: str, wanted: Plain | None) -> Plain:
    if comparator == "=":
        return wanted + 1 if isinstance(wanted, int) else "another"
    assert isinstance(wanted, int)
    return {"<": wanted, "<=": wanted + 1, ">=": wanted - 1}[comparator]


@pytest.fixture
def table(backend: Backend) -> Table:
    retrier = Retrier(clock=backend.clock, rng=random.Random(0))
    meter = UsageMeter(lock=ThreadSpawner().lock())
    return Table(client=backend.client, name=backend.table, retrier=retrier, meter=meter)


def put(backend: Backend, item: dict[str, Plain | None]) -> Item:
    stored = KEY | to_item(item)
    backend.client.put_item(TableName=backend.table, Item=stored)
    return stored


def test_every_statement_with_an_update_has_a_case() -> None:
    assert {case.statement for case in CASES} == {statement for statement in ex.STATEMENTS if statement.update}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.statement.name)
def test_a_satisfied_condition_applies_and_each_clause_violated_alone_refuses(
    backend: Backend, table: Table, case: Case
) -> None:
    clauses = clauses_of(case.statement.condition)
    assert len(clauses) == case.clauses

    before = put(backend, case.item)
    applied = table.update(case.statement, KEY, case.values)
    assert isinstance(applied, Applied)
    assert applied.item != before

    for clause in clauses:
        if clause == "attribute_exists(#pk)":
            continue  # the next test
        stored = put(backend, violated(case.item, clause, case.values))
        outcome = table.update(case.statement, KEY, case.values)
        assert outcome == Refused(old=stored, repeated=False), clause
        assert table.get(KEY, what="item") == stored, clause


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.statement.name)
def test_a_missing_item_refuses_all_but_tickets(backend: Backend, table: Table, case: Case) -> None:
    outcome = table.update(case.statement, KEY, case.values)

    if case.statement is ex.TICKET:
        assert outcome == Applied(item=KEY | to_item({"schema": 1, "next": 1}))
    else:
        assert outcome == Refused(old=None, repeated=False)
        assert table.get(KEY, what="item") is None


def test_create_refuses_any_item_with_the_key(backend: Backend, table: Table) -> None:
    stored = put(backend, {"schema": 1})

    assert table.put(KEY | to_item(ROW), what="row") == Refused(old=stored, repeated=False)
    assert table.get(KEY, what="item") == stored

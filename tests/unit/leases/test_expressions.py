"""Claims about the statements: names only through placeholders, every value known, nothing the evaluator refuses."""

import random
import re

import pytest

from spotproof import contract
from spotproof.concurrency import ThreadSpawner
from spotproof.leases import expressions as ex
from spotproof.leases.attribute_values import to_item
from spotproof.leases.memory.conditions import condition_of
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.memory.updates import update_of
from spotproof.leases.table import Table, UsageMeter
from spotproof.retries import Retrier
from tests.fakes.clock import FakeClock

# The words of the expression language; any other bare word would be an attribute name.
LANGUAGE = {
    "SET", "ADD", "REMOVE", "AND", "OR", "NOT",
    "attribute_exists", "attribute_not_exists", "if_not_exists", "size", "contains",
}  # fmt: skip
TEXTS = [text for one in ex.STATEMENTS for text in (one.condition, one.update) if text] + [
    one.key for one in ex.SELECTIONS
]


@pytest.mark.parametrize("text", TEXTS)
def test_no_attribute_name_is_bare_so_none_can_be_a_reserved_word(text: str) -> None:
    bare = re.findall(r"(?<![#:\w])[A-Za-z_]\w*", text)

    assert set(bare) <= LANGUAGE


def test_the_names_map_gives_each_placeholder_the_attribute_of_its_name() -> None:
    assert ex.COMMIT.names["#output_sha256"] == "output_sha256"
    for statement in ex.STATEMENTS:
        assert all(placeholder == f"#{name}" for placeholder, name in statement.names.items())
        assert set(statement.names) == set(re.findall(r"#\w+", f"{statement.condition} {statement.update}"))
        assert statement.placeholders == set(re.findall(r":\w+", f"{statement.condition} {statement.update}"))


@pytest.mark.parametrize("statement", ex.STATEMENTS, ids=lambda statement: statement.name)
def test_every_statement_is_of_the_subset_that_the_in_memory_table_runs(statement: ex.Statement) -> None:
    condition_of(statement.condition)
    if statement.update:
        update_of(statement.update)


@pytest.mark.parametrize("selection", ex.SELECTIONS, ids=lambda selection: selection.name)
def test_every_query_asks_an_index_of_the_contract_for_its_partition(selection: ex.Selection) -> None:
    partition = {index.name: index.partition_key for index in contract.TABLE_INDEXES} | {None: contract.PARTITION_KEY}

    condition_of(selection.key)

    assert selection.key.startswith(f"#{partition[selection.index]} = :")


def test_statements_are_listed_and_named_once() -> None:
    defined = [value for value in vars(ex).values() if isinstance(value, ex.Statement)]

    assert len(defined) == len(ex.STATEMENTS) == len({statement.name for statement in defined})


def test_every_constant_is_used() -> None:
    used = frozenset[str]().union(*(statement.placeholders for statement in ex.STATEMENTS))

    assert set(ex.CONSTANTS) <= used


@pytest.mark.parametrize("statement", [ex.COMMIT, ex.FAIL_FOR_GOOD, ex.QUARANTINE_LOST], ids=lambda one: one.name)
def test_what_becomes_final_leaves_the_claimable_index(statement: ex.Statement) -> None:
    removed = statement.update.partition("REMOVE")[2].partition("ADD")[0]

    for name in (contract.CLAIMABLE_INDEX.partition_key, contract.CLAIMABLE_INDEX.sort_key, "reclaim_at"):
        assert f"#{name}" in removed


def test_a_value_left_out_is_told_by_name_before_anything_is_sent() -> None:
    clock = FakeClock()
    retrier = Retrier(clock=clock, rng=random.Random(0))
    client = InMemoryTable("t")
    table = Table(client=client, name="t", retrier=retrier, meter=UsageMeter(lock=ThreadSpawner().lock()))

    with pytest.raises(KeyError, match=":until"):
        table.update(ex.HOLD, to_item({"pk": "p", "sk": "s"}), {":held": 1, ":seq": 1})
    assert table.meter.usage().requests == 0

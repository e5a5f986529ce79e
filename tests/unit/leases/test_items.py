"""Claims about items: every field survives, damage is told with the item's key."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof import contract
from spotproof.errors import ItemError, ItemTooNewError
from spotproof.leases.attribute_values import item_bytes, to_attribute_value, to_item
from spotproof.leases.item_reader import ItemReader
from spotproof.leases.model import (
    CheckpointPreset,
    FailurePolicy,
    Host,
    NoticePolicy,
    RunOptions,
    SessionState,
    Stop,
    StopKind,
)
from spotproof.leases.run_items import run_from_item, run_to_item
from spotproof.leases.session_items import session_from_item, session_to_item
from spotproof.leases.shard_items import new_row, shard_from_item, shortened_error
from tests.fakes.leases import NOON, a_run, a_session

texts = st.text(max_size=20)
HARD_STOPS = [kind for kind in StopKind if kind is not StopKind.RETIRED]
RETIRED = Stop(kind=StopKind.RETIRED, deadline=None)
numbers = st.integers(min_value=0, max_value=2**53)


@given(
    options=st.builds(
        RunOptions,
        ttl_s=st.floats(min_value=0.1, max_value=1e6),
        failures_max=numbers,
        on_failure=st.sampled_from(FailurePolicy),
        checkpoint=st.sampled_from(CheckpointPreset),
        checkpoint_interval_s=st.none() | st.floats(min_value=0.05, max_value=1e6),
        window_s=st.none() | st.floats(min_value=30, max_value=3600),
        on_notice=st.sampled_from(NoticePolicy),
        deadline_s=st.none() | st.floats(min_value=1, max_value=1e6),
        on_demand_workers_max=st.none() | numbers,
        job=st.dictionaries(texts, texts, max_size=4),
    ),
    job=texts,
    shards=numbers,
    closed=st.frozensets(st.integers(min_value=0, max_value=999), max_size=9),
    usd_max=st.none() | st.floats(min_value=0.01, max_value=1e6),
    workers=numbers,
)
def test_a_run_survives_its_item(
    options: RunOptions, job: str, shards: int, closed: frozenset[int], usd_max: float | None, workers: int
) -> None:
    run = a_run(options=options, job=job, shards=shards, closed=closed, usd_max=usd_max, workers=workers)

    assert run_from_item(run_to_item(run)) == run


@given(
    host=st.builds(
        Host, instance_id=texts, zone=texts, batch_attempt=numbers, vcpus=st.floats(min_value=0, max_value=512)
    ),
    state=st.sampled_from(SessionState),
    held=st.none() | numbers,
    stop=st.none() | st.builds(Stop, kind=st.sampled_from(HARD_STOPS), deadline=st.none() | numbers) | st.just(RETIRED),
    hint=st.none() | numbers,
)
def test_a_session_survives_its_item(
    host: Host, state: SessionState, held: int | None, stop: Stop | None, hint: int | None
) -> None:
    session = a_session(host=host, state=state, held=held, stop=stop, hint_until=hint, bucket=42)

    assert session_from_item(session_to_item(session)) == session


def test_only_a_run_that_goes_on_is_in_the_active_index() -> None:
    assert run_to_item(a_run())["active_pk"] == {"S": contract.ACTIVE_RUNS}


def test_only_a_known_instance_is_in_the_instance_index() -> None:
    assert "instance_id" not in session_to_item(a_session(host=Host(instance_id="")))
    assert session_to_item(a_session())["instance_id"] == {"S": "i-0a"}


def test_every_item_carries_its_schema_and_a_newer_one_is_refused() -> None:
    for item, read in (
        (run_to_item(a_run()), run_from_item),
        (session_to_item(a_session()), session_from_item),
        (new_row(a_run(), 3, owner=None, now=NOON), shard_from_item),
    ):
        assert item["schema"] == {"N": "1"}
        with pytest.raises(ItemTooNewError, match="upgrade spotproof"):
            read(item | {"schema": {"N": "2"}})


@pytest.mark.parametrize(
    "damage", [{"fencing_token": None}, {"fencing_token": {"S": "1"}}, {"shard_state": {"N": "1"}}]
)
def test_a_damaged_row_is_told_with_its_key_and_attribute(damage: dict[str, dict[str, str] | None]) -> None:
    item = {**new_row(a_run(), 3, owner=None, now=NOON), **damage}
    damaged = {name: value for name, value in item.items() if value is not None}

    with pytest.raises(ItemError, match=rf"'{next(iter(damage))}' of item RUN#2026-11-22#0001/S#00000003"):
        shard_from_item(damaged)


def test_options_added_by_a_later_version_are_ignored() -> None:
    item = run_to_item(a_run())
    options = item["options"]["S"].replace("{", '{"added_later": 5, ', 1)

    assert run_from_item(item | {"options": {"S": options}}) == a_run()


def test_options_missing_in_an_older_run_take_their_defaults() -> None:
    item = run_to_item(a_run(options=replace(RunOptions(), ttl_s=5.0)))

    assert run_from_item(item | {"options": {"S": '{"ttl_s": 5.0}'}}).options == replace(RunOptions(), ttl_s=5.0)


@pytest.mark.parametrize(
    ("error", "kept"),
    [("short", "short"), ("two\nlines\t  here ", "two lines here"), ("", ""), ("x" * 500, "x" * 239 + "…")],
)
def test_an_error_is_kept_in_one_short_line(error: str, kept: str) -> None:
    assert shortened_error(error) == kept


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({"a": "xyz"}, 4),
        ({"a": "é"}, 3),
        ({"a": 5}, 3),
        ({"a": 1234}, 4),
        ({"ab": frozenset({1, 2})}, 6),
        ({"a": [{"b": "c"}]}, 1 + 3 + 1 + 3 + 1 + 2),
        ({"gone": None}, 0),
    ],
)
def test_sizes_are_those_the_service_counts(values: dict[str, object], size: int) -> None:
    assert item_bytes(to_item(values)) == size  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("stored", "read"), [("7", 7), ("-7", -7), ("7.0", 7), ("7e2", 700), (str(2**60 + 1), 2**60 + 1)]
)
def test_a_whole_number_is_read_exactly_however_it_is_written(stored: str, read: int) -> None:
    assert ItemReader({"count": {"N": stored}}).integer("count") == read


@pytest.mark.parametrize("value", [True, None, b"x", object()])
def test_a_type_we_never_store_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        to_attribute_value(value)  # type: ignore[arg-type]

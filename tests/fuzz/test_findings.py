"""Inputs that once broke a reader: what fuzzing found, claim by claim."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from spotproof.capacity.pool_records import pool_from_item
from spotproof.capacity.queue_blocks import block_from_item
from spotproof.capacity.sizing.record import decode_record
from spotproof.checkpoints.directory_entries import flaw_in_link
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.manifest_keys import epoch_of
from spotproof.clock import parse_utc
from spotproof.commits.staging import digest_of, read_output_pointer
from spotproof.commits.success import read_success, success_key
from spotproof.contract import staging_prefix
from spotproof.errors import (
    LINE_CHARS_MAX,
    ConfigurationError,
    InputError,
    ItemError,
    OutputConflictError,
    OutputDamagedError,
)
from spotproof.interruptions.imds import parse_instance_action, parse_rebalance
from spotproof.interruptions.model import SourceUnavailableError
from spotproof.leases.model import OutputFile, OutputPointer
from spotproof.leases.run_items import run_from_item, run_to_item
from spotproof.leases.session_items import session_from_item, session_to_item
from spotproof.leases.shard_items import new_row, shard_from_item
from spotproof.settings import AwsSettings, BatchSettings, positive_float
from spotproof.shards.model import InputPart, ShardPlan
from spotproof.shards.sources.parquet import rows_of_table
from spotproof.shards.sources.survey import SampledKey
from spotproof.shards.strategies import time_window
from spotproof.shards.values import Moment, key_from_json
from spotproof.worker.host import launched_at_ms
from spotproof_cli.game_day import log_entries
from spotproof_cli.terminal_text import clean
from spotproof_cli.worker_logs import parse_line
from tests.fakes.leases import NOON, a_run, a_session
from tests.fuzz.targets.input_data import targets as data_targets
from tests.fuzz.targets.plans import targets as plan_targets
from tests.unit.capacity.sizing_samples import a_record

DEEP = '{"a":' * 100_000
BEFORE_YEAR_ONE = "0001-01-01T00:00:00+14:00"
RUN = a_run()


def changed(item: Mapping[str, Any], **attributes: dict[str, Any]) -> dict[str, Any]:
    return {**item, **attributes}


@pytest.mark.parametrize(
    "attributes",
    [
        {"state": {"S": "RUNNING "}},
        {"pk": {"S": "nan"}},
        {"stripes": {"N": "0"}},
        {"session_buckets": {"N": "-1"}},
        {"shards": {"N": "-1"}},
        {"shards": {"N": "1E+400"}},
        {"options": {"S": "{"}},
        {"options": {"S": "[]"}},
        {"options": {"S": DEEP}},
        {"options": {"S": '{"ttl_s": "90"}'}},
        {"options": {"S": '{"ttl_s": null}'}},
        {"options": {"S": '{"ttl_s": NaN}'}},
        {"options": {"S": '{"failures_max": true}'}},
        {"options": {"S": '{"job": {"x": 1}}'}},
        {"options": {"S": '{"checkpoint": "never"}'}},
    ],
)
def test_a_run_that_nobody_could_have_written_is_a_damaged_item(attributes: dict[str, Any]) -> None:
    with pytest.raises(ItemError, match="edited by hand"):
        run_from_item(changed(run_to_item(RUN), **attributes))


def test_options_that_are_none_by_default_may_be_none() -> None:
    item = changed(run_to_item(RUN), options={"S": '{"deadline_s": null, "usd_max": 5}'})

    assert run_from_item(item).options.usd_max == 5


@pytest.mark.parametrize(
    "attributes",
    [
        {"shard_state": {"S": "-inf"}},
        {"class_pk": {"S": "&&"}},
        {"sk": {"S": "S#00000'"}},
        {"pk": {"S": "'"}},
        {"usage": {"L": [{"N": "1"}]}, "owner": {"S": "w"}},
        {"usage": {"L": [{"S": "1"}]}},
        {"output": {"L": [{"S": "x"}]}},
    ],
)
def test_a_row_that_nobody_could_have_written_is_a_damaged_item(attributes: dict[str, Any]) -> None:
    with pytest.raises(ItemError, match="edited by hand"):
        shard_from_item(changed(new_row(RUN, 3, owner=None, now=NOON), **attributes))


@pytest.mark.parametrize(
    "attributes",
    [{"state": {"S": ""}}, {"stop_kind": {"S": "not:ice"}}, {"pk": {"S": "RUN#x#SESS"}}, {"pk": {"S": "1"}}],
)
def test_a_session_that_nobody_could_have_written_is_a_damaged_item(attributes: dict[str, Any]) -> None:
    with pytest.raises(ItemError, match="edited by hand"):
        session_from_item(changed(session_to_item(a_session()), **attributes))


def test_the_error_names_the_item_and_the_attribute_that_is_wrong() -> None:
    with pytest.raises(ItemError, match=r"item RUN#2026-11-22/META is damaged .*'LOST' is not a valid RunState"):
        run_from_item(changed(run_to_item(RUN), state={"S": "LOST"}))


@pytest.mark.parametrize(
    "item", [{"interruptions": {"S": "x"}}, {"interruptions": {"L": [{"M": {}}]}}, {"opened_at": {"N": "0.5"}}]
)
def test_a_damaged_pool_is_named(item: dict[str, Any]) -> None:
    with pytest.raises(ItemError, match=r"item of 'm6i\.large/us-east-1a' is damaged"):
        pool_from_item("m6i.large/us-east-1a", item)


def test_a_damaged_queue_is_named() -> None:
    with pytest.raises(ItemError, match="item of 'spot' is damaged"):
        block_from_item("spot", {"since": {"S": "yesterday"}})


@pytest.mark.parametrize(
    "document", [DEEP, f'{{"time": "{BEFORE_YEAR_ONE}"}}', f'{{"noticeTime": "{BEFORE_YEAR_ONE}"}}']
)
def test_metadata_beyond_the_calendar_or_beyond_any_depth_is_a_degraded_channel(document: str) -> None:
    with pytest.raises(SourceUnavailableError):
        parse_instance_action(document, notice_lead_s=120.0)
    with pytest.raises(SourceUnavailableError):
        parse_rebalance(document, hint_s=1200.0)
    assert launched_at_ms(document) is None


def test_a_notice_a_moment_after_the_beginning_of_time_is_a_degraded_channel() -> None:
    assert parse_utc("0001-01-01T00:01:00Z").year == 1
    with pytest.raises(SourceUnavailableError):
        parse_instance_action('{"time": "0001-01-01T00:01:00Z"}', notice_lead_s=120.0)


def test_a_manifest_of_endless_depth_is_none_of_ours() -> None:
    objects = InMemoryObjectStore()
    objects.put(success_key(RUN), DEEP.encode())

    with pytest.raises(OutputConflictError, match="not a manifest of ours"):
        read_success(objects, RUN)


def test_a_record_with_a_number_beyond_every_float_is_damaged() -> None:
    body = json.loads(a_record().encode())

    with pytest.raises(ItemError, match="damaged"):
        decode_record(json.dumps({**body, "vcpus": 10**400}).encode(), what="the record")


@pytest.mark.parametrize(
    "name", ["part-00000007/e\0.json", "part-00000007/../../x", "part-00000007/a\nb", "part-00000007//x"]
)
def test_a_staged_list_can_not_name_what_no_worker_may_name(name: str) -> None:
    prefix = staging_prefix(RUN.run_id, 7)
    file = OutputFile(name=name, staged_key=f"{prefix}1-w/x", sha256="a" * 64, size_bytes=1)
    pointer = OutputPointer(files=(file,), manifest_key=None, sha256=digest_of([file]), size_bytes=1, records=1)

    with pytest.raises(OutputDamagedError, match="not its own"):
        read_output_pointer(InMemoryObjectStore(), RUN.run_id, 7, pointer)


@pytest.mark.parametrize(
    "data", [{"decimal": "7/5"}, {"decimal": "sNaN"}, {"float": "nan"}, float("nan"), {"decimal": "NaN"}]
)
def test_a_key_without_a_place_in_the_order_is_no_boundary(data: Any) -> None:
    with pytest.raises(ValueError, match="not a "):
        key_from_json(data)


@pytest.mark.parametrize(("start", "stop"), [(-1, 5), (5, 4), (0, 301)])
def test_a_part_is_a_piece_of_its_object(start: int, stop: int) -> None:
    with pytest.raises(ValueError, match="of an object of 300"):
        InputPart.from_json({"o": ["data", "in/a.csv", '"1"', 300], "r": [start, stop]})


def test_a_plan_has_no_negative_number_of_shards() -> None:
    header = {"shards": -1, "skew": {}}

    with pytest.raises(ValueError, match="a plan of -1 shards"):
        ShardPlan.from_json(header)


@pytest.mark.parametrize(
    "index",
    [
        {"pages": [[8, 50, -1, "0" * 64]]},  # -1 raw bytes would mean: as many as there are
        {"page_shards": 0.5},
        {"header": [0, 0, 0, ""]},
        {"schema": True},
    ],
)
def test_a_plan_with_a_forged_index_is_refused(index: dict[str, Any]) -> None:
    [forged] = [target for target in plan_targets() if target.name == "plan-forged"]
    parts = {**forged.seeds[0], "index": index}

    with pytest.raises(InputError):
        forged.attempt(parts)


@pytest.mark.parametrize("parts", [[[-2, -1]], [[0, 3]], [[2, 1]], [["0", "1"]]])
def test_a_shard_reads_no_part_that_its_plan_does_not_have(parts: list[Any]) -> None:
    [forged] = [target for target in plan_targets() if target.name == "plan-forged"]
    plan = json.loads(json.dumps(forged.seeds[0]))
    plan["pages"][0][0]["parts"] = parts

    with pytest.raises(InputError, match="shard 0 can't be read"):
        forged.attempt(plan)


@pytest.mark.parametrize(
    "line", ['{"event": "x", "ts": "nope"}', '{"message": "", "timestamp": "2026-11-22T12:00:00"}', DEEP]
)
def test_lines_of_the_users_code_are_none_of_our_events(line: str) -> None:
    assert log_entries.parse_line(line, stream="s") is None


def test_a_line_of_endless_depth_is_none_of_ours() -> None:
    assert parse_line({"message": DEEP, "timestamp": NOON}) is None


@pytest.mark.parametrize("name", ["AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ATTEMPT", "AWS_BATCH_JOB_ARRAY_SIZE"])
@pytest.mark.parametrize("value", ["'", "-1", "0.5", "1e400", "9" * 5000, "٣"])
def test_a_number_of_batch_that_is_none_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a whole number"):
        BatchSettings.from_env({name: value})


def test_a_number_of_seconds_beyond_the_calendar_is_named() -> None:
    with pytest.raises(ConfigurationError, match="X must be a number above 0 and at most 1e"):
        positive_float({"X": "1e300"}, "X", 1.0)


@pytest.mark.parametrize("url", ["http://[", "x", "http://h:99999", "http://\x00/"])
def test_an_endpoint_that_is_no_address_is_named(url: str) -> None:
    with pytest.raises(ConfigurationError, match="AWS_ENDPOINT_URL must be a URL"):
        AwsSettings.from_env({"AWS_ENDPOINT_URL": url})


@pytest.mark.parametrize("target", ["b\ud800", "x" * 300, "a/" * 3000])
def test_a_link_that_no_file_system_takes_is_a_flaw(target: str) -> None:
    assert flaw_in_link("a/link", target) is not None


def test_an_epoch_of_thousands_of_digits_is_no_epoch() -> None:
    assert epoch_of(f"checkpoints/run-1/00000007/{'9' * 5000}/m/x", run_id="run-1", shard=7) is None
    assert epoch_of("checkpoints/run-1/00000007/00000003/m/x", run_id="run-1", shard=7) == 3


def test_an_error_of_ours_is_one_line_with_its_beginning_and_its_end() -> None:
    text = str(InputError(f"name {'x' * 10_000!r} is wrong\n\x1b[2J\u202e: use a shorter one"))

    assert len(text) < LINE_CHARS_MAX + 100
    assert text.isprintable()
    assert text.startswith("name 'xxx")
    assert text.endswith("use a shorter one")


def test_an_error_that_quotes_what_must_be_escaped_is_no_longer_than_any_other() -> None:
    text = str(InputError("columns: " + "\0" * 5000 + "; give others"))

    assert len(text) < LINE_CHARS_MAX + 100
    assert text.startswith("columns: \\x00")
    assert text.endswith("; give others")


@pytest.mark.parametrize(
    "invisible", ["\xad", "\u061c", "\u180e", "\U000e0041", "\u202e", "\u2066", "\x07", "\x85", "\ud800"]
)
def test_no_invisible_character_reaches_the_terminal(invisible: str) -> None:
    assert clean(f"a{invisible}b").replace(" ", "") == "ab"


def test_a_time_that_python_does_not_know_is_an_input_error_and_the_table_still_has_it() -> None:
    table = pa.table({"at": pa.array([2**62], pa.timestamp("us"))})

    with pytest.raises(InputError, match=r"none of Python's .*use batch.table"):
        rows_of_table(table)


def test_a_sampled_time_beyond_the_calendar_ends_planning_with_the_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row group's statistics did not tell, so that the survey did not look at the values."""
    [parquet] = [target for target in data_targets() if target.name == "input-parquet"]
    [by_time] = [seed for seed in parquet.seeds if seed[2] == "time:at:1d"]
    far = SampledKey(key=Moment(10**30, zoned=False), weight=1.0)
    monkeypatch.setattr(time_window, "sample_keys", lambda *_: [far])

    with pytest.raises(InputError, match="column 'at' has times outside the calendar"):
        parquet.attempt(by_time)

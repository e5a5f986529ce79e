"""The job, the prepared data and the reference agree on real flights."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest

from batch_jobs.examples import flight_delays
from demo.data import COLUMNS, ROWS_PER_GROUP, flights_archive, prepare, read_csv, write_months
from demo.outputs import RunOutput
from demo.reference import compute_reference
from demo.statistics import FIELDS, DelayStatistics, first_difference, merged
from spotproof.checkpoints.state import State

HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin"
)
HEADER += ",dest,air_time,distance,hour,minute,time_hour\n"
FLIGHTS = (
    HEADER
    + """\
2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,544,545,-1,1004,1022,-18,B6,725,N804JB,JFK,BQN,183,1576,5,45,2013-01-01T10:00:00Z
2013,1,31,,2359,NA,,344,NA,UA,726,,EWR,IAH,,1400,23,59,2013-02-01T04:00:00Z
2013,2,1,557,600,-3,709,723,,UA,5708,N829AS,EWR,IAH,53,229,6,0,2013-02-01T11:00:00Z
"""
).encode()


class FakeOutput:
    def __init__(self) -> None:
        self.files: dict[str, io.BytesIO] = {}

    def open(self, name: str) -> Any:
        file = self.files[name] = io.BytesIO()
        file.close = lambda: None  # type: ignore[method-assign]
        return file


class FakeBatch:
    def __init__(self, records: list[dict[str, Any]], end: int) -> None:
        self.records, self.end = records, end


class FakeShard:
    """Serves rows of a Parquet file, two at a time."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows, self.output, self.options, self.slept_s = rows, FakeOutput(), {"pace_s": "0.5"}, 0.0

    def batches(self, after: int | None, records: int) -> Iterator[FakeBatch]:
        for start in range(after or 0, len(self.rows), 2):
            yield FakeBatch(self.rows[start : start + 2], start + 2)

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds


def run(shard: FakeShard, state: State, *, yields_max: int = 1000) -> bytes | None:
    """The Parquet output, or None if the job was stopped after some yields."""
    steps = flight_delays.flight_delays(shard, state)
    for _ in range(yields_max):
        try:
            next(steps)
        except StopIteration as done:
            buffer = io.BytesIO()
            parquet.write_table(done.value, buffer)
            return buffer.getvalue()
    return None


def output_of(shard: FakeShard, table: bytes | None) -> RunOutput:
    assert table is not None
    return RunOutput(objects={"part.parquet": table, "routes.json": shard.output.files["routes.json"].getvalue()})


@pytest.fixture
def months(tmp_path: Path) -> Path:
    write_months(FLIGHTS, tmp_path)
    return tmp_path


def rows_of(directory: Path) -> list[dict[str, Any]]:
    return [row for path in sorted(directory.glob("*.parquet")) for row in parquet.read_table(path).to_pylist()]


def test_the_job_computes_what_the_reference_computes(months: Path) -> None:
    shard = FakeShard(rows_of(months))

    output = output_of(shard, run(shard, State()))

    expected = compute_reference(FLIGHTS)
    assert output.statistics() == expected
    assert expected.carriers["UA"] == (3, 1, -1, 2, 1, 11, 11)
    assert expected.routes == {"EWR-IAH": (3, 1, -1, 2, 1, 11, 11), "JFK-BQN": (1, 0, -1, 0, 1, -18, 0)}


def test_a_job_that_goes_on_from_its_state_writes_the_same_bytes(months: Path) -> None:
    undisturbed = FakeShard(rows_of(months))
    whole = output_of(undisturbed, run(undisturbed, State()))
    state, resumed = State(), FakeShard(rows_of(months))

    assert run(FakeShard(rows_of(months)), state, yields_max=1) is None
    output = output_of(resumed, run(resumed, state))

    assert state["cursor"] == 4
    assert output.digests() == whole.digests()


def test_the_pace_is_an_option_of_the_run(months: Path) -> None:
    shard = FakeShard(rows_of(months))

    run(shard, State())

    assert shard.slept_s == 4 * 0.5  # four flights


def test_a_shard_without_flights_has_an_output_with_the_same_columns() -> None:
    shard = FakeShard([])

    table = run(shard, State())

    assert table is not None
    assert parquet.read_table(io.BytesIO(table)).schema.names == ["carrier", *FIELDS]


def test_the_prepared_files_are_by_month_of_new_york_and_keep_what_is_missing_missing(months: Path) -> None:
    january = parquet.read_table(months / "flights-01.parquet")

    assert january.column_names == list(COLUMNS)
    assert january["dep_delay"].to_pylist() == [2, -1, None]
    assert str(january.schema.field("time_hour").type) == "timestamp[ms, tz=UTC]"


def test_preparing_twice_gives_the_same_bytes_and_preparing_again_does_nothing(tmp_path: Path) -> None:
    archive = flights_archive()
    first = prepare(archive, tmp_path / "a")
    stamps = [file.stat().st_mtime_ns for file in first.files]

    again, elsewhere = prepare(archive, tmp_path / "a"), prepare(archive, tmp_path / "b")

    assert [file.stat().st_mtime_ns for file in again.files] == stamps
    assert [file.read_bytes() for file in elsewhere.files] == [file.read_bytes() for file in first.files]


@pytest.mark.slow
def test_all_336776_flights_are_prepared_in_twelve_files_of_several_row_groups(tmp_path: Path) -> None:
    data = prepare(flights_archive(), tmp_path)

    files = [parquet.ParquetFile(file) for file in data.files]

    assert len(files) == 12
    assert sum(file.metadata.num_rows for file in files) == 336_776
    assert all(file.num_row_groups == -(-file.metadata.num_rows // ROWS_PER_GROUP) for file in files)
    assert compute_reference(read_csv(flights_archive())).flights == 336_776


def test_merging_adds_and_keeps_the_worst() -> None:
    parts = [{"UA": (1, 0, 5, 5, 1, 3, 3)}, {"UA": (2, 1, -2, 1, 1, -9, 0), "AA": (1, 1, 0, 0, 0, 0, 0)}]

    assert merged(parts) == {"AA": (1, 1, 0, 0, 0, 0, 0), "UA": (3, 1, 3, 5, 2, -6, 3)}


def test_the_first_difference_is_named() -> None:
    expected = DelayStatistics(carriers={"UA": (1,)}, routes={"EWR-IAH": (1,)})
    actual = DelayStatistics(carriers={"UA": (1,)}, routes={})

    assert first_difference(expected, expected) is None
    assert first_difference(expected, actual) == "route EWR-IAH: expected (1,), got None"

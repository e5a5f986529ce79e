"""Tests of trace files: both formats, and the sample in the repository."""

import json
from pathlib import Path

import pytest

from bench.policies.trace import SAMPLE, Trace, read_traces, write_trace


def test_a_trace_survives_its_file(tmp_path: Path) -> None:
    for up in ((True, True, False, True), (False,), (False, True)):
        trace = Trace(name="zone", kind="preemption", step_s=34, source="made up", up=up)

        write_trace(trace, tmp_path / "zone.json")

        assert read_traces(tmp_path) == [trace]


def test_the_authors_format_is_read(tmp_path: Path) -> None:
    path = tmp_path / "preemption" / "zone_type_1.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"metadata": {"gap_seconds": 34}, "data": [0, 1, 2, 0], "prices": [1.0, 1.0, 1.0, 1.0]}))

    (trace,) = read_traces(tmp_path)

    assert (trace.name, trace.kind, trace.step_s, trace.up) == (
        "zone_type_1",
        "preemption",
        34,
        (False, True, True, False),
    )
    assert (trace.share_up, trace.losses) == (0.5, 1)


def test_the_first_hours_are_cut_by_time() -> None:
    trace = Trace(name="zone", kind="availability", step_s=1800, source="made up", up=(True, False, True, True))

    assert trace.first(1).up == (True, False)


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    (tmp_path / "nowhere").mkdir()

    with pytest.raises(ValueError, match=r"other\.json is neither"):
        read_traces(tmp_path)
    with pytest.raises(ValueError, match=r"no \*\.json"):
        read_traces(tmp_path / "nowhere")


def test_every_sample_names_its_source() -> None:
    traces = read_traces(SAMPLE)

    assert [trace.kind for trace in traces] == ["availability"] * 3 + ["preemption"]
    assert all("NSDI 2024" in trace.source for trace in traces)

"""Each claim of a game day fails when it does not hold."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from spotproof import contract, events
from spotproof.interruptions.stop_file import StopFile, StopFileKind
from spotproof.leases.model import Run, RunId, RunOptions, RunState, Shard, ShardState
from spotproof_cli.downloads import RemoteFile
from spotproof_cli.game_day.evidence import Evidence
from spotproof_cli.game_day.experiments import ActionView, ExperimentView
from spotproof_cli.game_day.log_entries import LogEntry
from spotproof_cli.game_day.plans import PLANS, Aim
from spotproof_cli.game_day.promise import latencies, struck
from spotproof_cli.game_day.report import fields, lines, make_report, mark
from spotproof_cli.success_manifest import SuccessManifest

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC).timestamp()
RUN = Run(
    run_id=RunId("r"), state=RunState.COMPLETE, job="j", plan_key="p", plan_sha256="", parameters_sha256="",
    input_uri="", output_uri="s3://data/out/", shards=2, stripes=1, session_buckets=1,
    options=RunOptions(checkpoint_interval_s=2.0), closed=frozenset({0}), created_at=0,
)  # fmt: skip
EXPERIMENT = ExperimentView(
    experiment_id="EXP1", status="completed", reason="Experiment completed.", started_at=T0 + 9, ended_at=T0 + 140,
    actions=(
        ActionView(
            name=contract.GAME_DAY_INSTANCES, action_id="x", status="completed", reason="", started_at=T0 + 10.4
        ),
    ),
)  # fmt: skip
FILES = tuple(
    RemoteFile(name=f"part-{index}", bucket="data", key=f"out/part-{index}", sha256="0", size_bytes=7)
    for index in range(2)
)
MANIFEST = SuccessManifest(files=FILES, shards=(0, 1), records=2, quarantined=(), cost={})


def entry(at: float, event: str, **more: Any) -> LogEntry:
    return LogEntry(at=T0 + at, event=event, stream="s", fields=more)


def on(shard: int, token: int, instance: str = "i-a", session: str = "a") -> dict[str, Any]:
    return {"shard": shard, "fencing_token": token, "instance_id": instance, "session_id": session}


GOOD = (
    entry(0.0, events.SHARD_LEASED, **on(0, 1)),
    entry(0.0, events.SHARD_LEASED, **on(1, 1, "i-b", "b")),
    entry(2.0, events.CHECKPOINT_SAVED, **on(0, 1), duration_ms=100),
    entry(11.0, events.STOP_SEEN, kind="notice", signal="imds", instance_id="i-a"),
    entry(11.5, events.STOP_SEEN, kind="notice", signal="imds", instance_id="i-a"),
    entry(12.4, events.STOP_SEEN, kind="notice", signal="stop-file", instance_id="i-a"),
    entry(13.0, events.SHARD_RELEASED, **on(0, 1), lost_ms=0),
    entry(20.0, events.SHARD_COMMITTED, **on(1, 1, "i-b", "b")),
    entry(21.0, events.SHARD_LEASED, **on(0, 2, "i-b", "b")),
    entry(30.0, events.SHARD_COMMITTED, **on(0, 2, "i-b", "b")),
)


def stop_file(*, at: float, written: float, kind: StopFileKind = StopFileKind.NOTICE) -> StopFile:
    moments = {name: datetime.fromtimestamp(T0 + each, UTC) for name, each in (("e", at), ("w", written))}
    deadline = datetime.fromtimestamp(T0 + at + 120, UTC) if kind is StopFileKind.NOTICE else None
    return StopFile(
        kind=kind, instance_id="i-a", deadline=deadline, event_id="e", event_time=moments["e"],
        written_at=moments["w"], expires_at=datetime.fromtimestamp(T0 + 1000, UTC),
    )  # fmt: skip


def evidence(**changes: Any) -> Evidence:
    rows = {index: Shard(run_id=RUN.run_id, index=index, state=ShardState.DONE, fencing_token=1) for index in range(2)}
    given: dict[str, Any] = {
        "plan": PLANS["interrupt"],
        "aim": Aim(selection="COUNT(1)", arns=(), number=1, reason="every Spot instance works for the run"),
        "groups": (),
        "experiment": EXPERIMENT,
        "run": RUN,
        "shards": rows,
        "sessions": (),
        "entries": GOOD,
        "stop_files": {"i-a": stop_file(at=10, written=12)},
        "manifest": MANIFEST,
        "published": {file.key: file.size_bytes for file in FILES},
        "started_at": T0 + 9,
        "ended_at": T0 + 40,
    }
    return Evidence(**{**given, **changes})


def without(*events_gone: str) -> tuple[LogEntry, ...]:
    return tuple(each for each in GOOD if each.event not in events_gone)


def test_a_good_game_day_keeps_every_claim() -> None:
    report = make_report(evidence(), strict=True)

    assert [mark(each) for each in report.verdicts] == ["✓"] * 9
    assert report.verdict == "kept"


def test_the_way_of_a_shard_is_measured_step_by_step() -> None:
    measured = latencies(struck(evidence()))

    assert {name: [round(each, 1) for each in durations] for name, durations in measured.items()} == {
        "notice → stop file": [1.6],
        "notice → first seen by a worker": [0.6],
        "notice → shard let go": [2.6],
        "stop file → shard let go": [1.0],
        "released → leased again": [8.0],
        "notice → seen through imds": [0.6],
        "notice → seen through stop-file": [2.0],
    }


def test_a_stop_file_that_came_after_the_release_had_no_part_in_it() -> None:
    measured = latencies(struck(evidence(stop_files={"i-a": stop_file(at=10, written=14)})))

    assert measured["stop file → shard let go"] == []
    assert [round(each, 1) for each in measured["notice → shard let go"]] == [2.6]


def broken_claims(found: Evidence, *, strict: bool = False) -> list[str]:
    return [each.claim for each in make_report(found, strict=strict).broken]


CARRIED_OUT = "the experiment did what the plan says"
COMMITTED = "every shard committed exactly once"
PUBLISHED = "every output published once, and all of them there"
LET_GO = "every struck worker let go before its host was taken"
LOST = "at most one checkpoint interval redone per struck shard"


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"experiment": replace(EXPERIMENT, status="failed", reason="Target resolution")}, CARRIED_OUT),
        (
            {"experiment": replace(EXPERIMENT, status="stopped", reason="Experiment halted by stop condition.")},
            CARRIED_OUT,
        ),
        ({"experiment": replace(EXPERIMENT, actions=(*EXPERIMENT.actions, replace(EXPERIMENT.actions[0], name="SpotGroups", status="skipped")))}, CARRIED_OUT),
        ({"stop_files": {}, "entries": without(events.STOP_SEEN)}, CARRIED_OUT),
        ({"entries": (*GOOD, entry(31, events.SHARD_COMMITTED, **on(0, 1)))}, None),
        ({"entries": (*GOOD, entry(31, events.SHARD_LEASED, **on(0, 3)), entry(32, events.SHARD_COMMITTED, **on(0, 3)))}, COMMITTED),
        ({"manifest": None}, PUBLISHED),
        ({"manifest": replace(MANIFEST, shards=(0, 0, 1))}, PUBLISHED),
        ({"manifest": replace(MANIFEST, shards=(0,))}, PUBLISHED),
        ({"published": {"out/part-0": 7}}, PUBLISHED),
        ({"published": {"out/part-0": 7, "out/part-1": 8}}, PUBLISHED),
    ],
)  # fmt: skip
def test_what_is_not_so_breaks_its_claim_and_no_other(changes: dict[str, Any], claim: str | None) -> None:
    assert broken_claims(evidence(**changes)) == ([claim] if claim else [])


def test_a_shard_that_is_not_done_breaks_the_first_promise() -> None:
    rows = {0: Shard(run_id=RUN.run_id, index=0, state=ShardState.DONE, fencing_token=1)}

    assert COMMITTED in broken_claims(evidence(shards=rows))


def released(at: float, lost_ms: float) -> Sequence[LogEntry]:
    return [
        entry(at, events.SHARD_RELEASED, **on(0, 1), lost_ms=lost_ms) if each.event == events.SHARD_RELEASED else each
        for each in GOOD
    ]


def test_a_shard_held_beyond_the_reclaim_is_not_let_go_in_time() -> None:
    assert broken_claims(evidence(entries=released(131.0, 0))) == [LET_GO]


def test_a_worker_that_is_never_heard_of_again_loses_what_it_did_since_its_last_save() -> None:
    found = evidence(entries=without(events.SHARD_RELEASED))

    assert broken_claims(found) == [LET_GO, LOST]
    (strike,) = struck(found)
    assert strike.shards[0].lost_s == pytest.approx(130 - 2)


@pytest.mark.parametrize(("lost_ms", "broken"), [(4.0, []), (2100, []), (2300, [LOST])])
def test_a_struck_shard_may_lose_one_interval(lost_ms: float, broken: list[str]) -> None:
    assert broken_claims(evidence(entries=released(13.0, lost_ms))) == broken


def test_anything_lost_after_a_notice_is_shown_and_counts_when_strict() -> None:
    found = evidence(entries=released(13.0, 50))

    assert broken_claims(found) == []
    assert broken_claims(found, strict=True) == ["nothing redone after a notice"]


def test_a_latency_above_its_bar_counts_only_when_strict() -> None:
    found = evidence(stop_files={"i-a": stop_file(at=10, written=16)})

    assert broken_claims(found) == []
    assert broken_claims(found, strict=True) == ["notice → stop file, p95 ≤ 5 s"]


def test_what_could_not_be_measured_is_not_broken_even_when_strict() -> None:
    found = evidence(stop_files={})  # the event was lost; the workers saw the notice themselves

    report = make_report(found, strict=True)
    assert report.verdict == "kept"
    assert [mark(each) for each in report.verdicts].count("·") == 1


def test_a_run_that_has_not_ended_is_not_judged_by_its_end() -> None:
    found = evidence(run=replace(RUN, state=RunState.RUNNING), manifest=None, shards={})

    report = make_report(found, strict=False)

    assert report.verdict == "unfinished"
    assert {each.claim for each in report.verdicts}.isdisjoint({COMMITTED, PUBLISHED, LET_GO, LOST})


def test_notices_from_before_the_experiment_and_rebalances_are_not_its_strikes() -> None:
    earlier = entry(3.0, events.STOP_SEEN, kind="notice", signal="imds", instance_id="i-b")
    terminate = entry(12.0, events.STOP_SEEN, kind="terminate", signal="sigterm", instance_id="i-c")
    files = {
        "i-a": stop_file(at=10, written=12),
        "i-d": stop_file(at=3, written=4),
        "i-e": stop_file(at=11, written=12, kind=StopFileKind.REBALANCE),
    }

    found = struck(evidence(entries=(*GOOD, earlier, terminate), stop_files=files))

    assert [each.instance_id for each in found] == ["i-a"]


def test_an_event_that_carries_whole_seconds_still_belongs_to_the_experiment() -> None:
    (strike,) = struck(evidence(stop_files={"i-a": stop_file(at=10, written=11)}))

    assert strike.noticed_at == T0 + 10.4  # not before it was sent


def test_a_shard_that_ended_before_the_notice_was_not_struck() -> None:
    early = (entry(0, events.SHARD_LEASED, **on(7, 1)), entry(9, events.SHARD_COMMITTED, **on(7, 1)))

    (strike,) = struck(evidence(entries=(*early, *GOOD)))

    assert [each.shard for each in strike.shards] == [0]


def test_the_report_says_the_same_to_programs_and_to_people() -> None:
    report = make_report(evidence(published={}), strict=False)

    document, text = fields(report), "\n".join(lines(report))

    assert (document["schema"], document["verdict"], document["plan"]) == (1, "broken", "interrupt")
    assert document["latencies_s"]["released → leased again"] == {"count": 1, "p50_s": 8.0, "p95_s": 8.0, "max_s": 8.0}
    assert document["struck"][0]["shards"][0]["outcome"] == "saved and handed back"
    assert text.startswith("# Game day `interrupt` on run `r`: broken")
    for each in document["claims"]:
        assert f"| {each['claim']} |" in text
    assert "shard 0: saved and handed back 2.6 s after the notice, leased again 8.0 s later, nothing lost" in text

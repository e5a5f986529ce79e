"""Every checker fails on a write that breaks its promise, and on no other: made by hand, without a world around it."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final

import pytest

from simulation.checks.base import Check, ObjectChange, Report, TableWrite
from simulation.checks.cleanup import CleanupCheck
from simulation.checks.failures import FailureCheck
from simulation.checks.generations import GenerationCheck
from simulation.checks.ledger import LedgerCheck
from simulation.checks.lost_work import LostWorkCheck
from simulation.checks.objects import ObjectCheck
from simulation.checks.output import OutputCheck
from simulation.checks.parsed import shard_from_item
from simulation.checks.progress import ProgressCheck
from simulation.checks.rows import RowCheck
from simulation.checks.runs import RunCheck
from simulation.checks.sessions import SessionCheck
from simulation.checks.stops import StopCheck
from simulation.checks.takings import TakingCheck
from simulation.checks.topups import TopUpCheck
from simulation.checks.workers import WorkerCheck
from simulation.cloud.aws_event import moment_of
from simulation.cloud.s3 import SimS3
from simulation.faults.calls import Call
from simulation.kernel.process import EPOCH
from simulation.scenario import Scenario, draw_scenario
from simulation.workload import DATA_BUCKET, OUTPUT_PREFIX, WORK_BUCKET
from simulation.world import World, silence
from spotproof import contract
from spotproof.checkpoints.codec import compress
from spotproof.checkpoints.in_memory import InMemoryObjectStore
from spotproof.checkpoints.manifest import Manifest, ManifestId, MapEntry, encode_manifest
from spotproof.checkpoints.segment import Segment
from spotproof.checkpoints.serializers import DEFAULT
from spotproof.clock import to_epoch_ms
from spotproof.leases.attribute_values import Item, to_item
from spotproof.leases.model import (
    Host,
    Run,
    RunId,
    RunOptions,
    RunState,
    Session,
    SessionId,
    SessionState,
    Shard,
    Stop,
    StopKind,
)
from spotproof.leases.run_items import run_to_item
from spotproof.leases.session_items import session_to_item
from spotproof.leases.shard_items import new_row

NOW_MS: Final = to_epoch_ms(EPOCH)
RUN: Final = Run(
    run_id=RunId("run"),
    state=RunState.RUNNING,
    job="fold",
    plan_key="runs/run/plan",
    plan_sha256="0" * 64,
    parameters_sha256="0" * 64,
    input_uri="s3://data/in/",
    output_uri="s3://data/out/",
    shards=2,
    stripes=2,
    session_buckets=1,
    options=RunOptions(failures_max=2, losses_max=2, checkpoint_interval_s=10),
    closed=frozenset(),
    created_at=NOW_MS,
)
OURS: Final = SessionId("ours")
SESSION: Final = Session(
    session_id=OURS,
    run_id=RUN.run_id,
    bucket=0,
    host=Host(instance_id="i-0123456789abcdef0"),
    state=SessionState.ALIVE,
    until=NOW_MS + 30_000,
    seq=3,
    held=0,
    stop=None,
    hint_until=None,
    started_at=NOW_MS,
)
RETIRED: Final = Stop(kind=StopKind.RETIRED, deadline=None)
NOTICE: Final = Stop(kind=StopKind.NOTICE, deadline=NOW_MS + 120_000)


class Clock:
    """Of a process without skew: as many seconds as a test says."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> Any:
        return EPOCH

    def monotonic(self) -> float:
        return self.seconds


class Stand:
    """What a checker sees of a world, and a way to show it one thing after the other."""

    def __init__(self, kind: type[Check]) -> None:
        self.report = Report()
        self.run_id, self.options, self.skew_max_ms = RUN.run_id, RUN.options, 0
        self.run: Run = RUN
        self.s3 = SimS3((DATA_BUCKET, WORK_BUCKET), now=lambda: moment_of(0))
        self.raw_work = InMemoryObjectStore()
        self.fleet = SimpleNamespace(instances={SESSION.host.instance_id: SimpleNamespace(is_live=True)})
        self.scheduler = SimpleNamespace(now=0)
        self.scenario = SimpleNamespace(peace_s=0.0)
        self.book = SimpleNamespace(struck=Counter())
        self.generations = GenerationCheck(self)
        self.checks: dict[type[Check], Check] = {
            GenerationCheck: self.generations,
            ProgressCheck: ProgressCheck(self),
            kind: kind(self),
        }
        self.leased: Shard | None = None
        self.check: Any = self.checks[kind]
        self.table: Any = None
        self.rows: dict[tuple[str, str], Item] = {}
        self.process = SimpleNamespace(
            name="worker 1", kind="worker", clock=Clock(), scheduler=self.scheduler, suspended_us=0, exit_code=0
        )

    def epoch_ms(self) -> int:
        return NOW_MS

    @property
    def run_ended(self) -> bool:
        return self.run.state.ended

    def shard(self, index: int) -> Shard | None:
        return self.leased

    def save(self, saved: Manifest) -> None:
        """A worker writes the manifest."""
        body = encode_manifest(saved)
        self.s3.put_object(Bucket=WORK_BUCKET, Key=saved.key, Body=body)
        change = ObjectChange(bucket=WORK_BUCKET, key=saved.key, old=None, new=body, call=self.call("checkpoint"))
        self.generations.changed(change)

    def call(self, intent: str, values: dict[str, Any] | None = None, **parameters: Any) -> Call:
        if values is not None:
            parameters["ExpressionAttributeValues"] = to_item({f":{name}": value for name, value in values.items()})
        operation = parameters.pop("operation", "update_item")
        return Call(
            number=1, process=self.process, service="", operation=operation, intent=intent, parameters=parameters
        )

    def write(self, item: Item, intent: str = "", values: dict[str, Any] | None = None) -> None:
        """Store the item; without an intent nobody in the world did it."""
        key = item["pk"]["S"], item["sk"]["S"]
        call = self.call(intent, values) if intent else None
        self.check.wrote(TableWrite(partition=key[0], sort=key[1], old=self.rows.get(key), new=item, call=call))
        self.rows[key] = item

    def put(self, bucket: str, key: str, body: bytes | None, operation: str = "put_object") -> None:
        old = self.s3.objects(bucket, key).get(key)
        if body is not None:
            self.s3.put_object(Bucket=bucket, Key=key, Body=body)
        call = self.call("data", operation=operation)
        self.check.changed(ObjectChange(bucket=bucket, key=key, old=old, new=body, call=call))

    @property
    def broken(self) -> set[str]:
        return {violation.invariant for violation in self.report.violations}


def row(index: int = 0, **changes: Any) -> Item:
    """Shard `index`, leased by our session under token 1, with changes; None removes."""
    item = new_row(RUN, index, owner=OURS, now=NOW_MS)
    item |= to_item({name: value for name, value in changes.items() if value is not None})
    return {name: value for name, value in item.items() if name not in changes or changes[name] is not None}


def ready(token: int = 2, **changes: Any) -> Item:
    return row(shard_state="READY", owner=None, fencing_token=token, claimable_pk="pk", claimable_at=NOW_MS, **changes)


def session(**changes: Any) -> Item:
    return session_to_item(dataclasses.replace(SESSION, **changes))


def run_item(**changes: Any) -> Item:
    return run_to_item(dataclasses.replace(RUN, **changes)) | (
        to_item({"finalizer": changes["finalizer"], "finalizer_until": changes["finalizer_until"]})
        if "finalizer" in changes
        else {}
    )


OWN: Final = {"owner": OURS, "token": 1}
FOREIGN: Final = {"owner": "theirs", "token": 1}
DONE: Final[dict[str, Any]] = {"shard_state": "DONE", "done_at": NOW_MS, "usage": [1, 2, 3, 4]}
ON_DEMAND: Final[dict[str, Any]] = {"class_pk": contract.claimable_pk(RUN.run_id, "on-demand")}

# name: (before, after, intent, values) and what is broken; nothing for the right way to do it
ROWS: Final[dict[str, tuple[Item, Item, str, dict[str, Any], set[str]]]] = {
    "a commit": (row(), row(**DONE), "commit", OWN, set()),
    "a commit that does not say what it took": (row(), row(**DONE | {"usage": None}), "commit", OWN, {"ledger"}),
    "a release that forgets earlier work": (row(earlier_ms=9), ready(earlier_ms=8), "release", OWN, {"ledger"}),
    "the last interruption on Spot": (
        row(interruptions=2),
        ready(interruptions=3, **ON_DEMAND),
        "release to on-demand",
        OWN,
        set(),
    ),
    "a requeue that is one interruption too many": (
        row(interruptions=2),
        ready(interruptions=3, **ON_DEMAND),
        "requeue to on-demand",
        {"owner": OURS},
        set(),
    ),
    "an interruption too many": (row(interruptions=2), ready(interruptions=3), "release", OWN, {"class"}),
    "a class that changes early": (
        row(interruptions=0),
        ready(interruptions=1, **ON_DEMAND),
        "release to on-demand",
        OWN,
        {"class"},
    ),
    "a class that goes back": (
        row(interruptions=2, **ON_DEMAND),
        ready(interruptions=2),
        "release",
        OWN,
        {"class"},
    ),
    "a second commit": (row(**DONE), row(**DONE), "commit", OWN, {"I1", "I3"}),
    "another one's commit": (row(), row(**DONE), "commit", FOREIGN, {"I3"}),
    "a commit of an older token": (row(fencing_token=2), row(fencing_token=2, **DONE), "commit", OWN, {"I3"}),
    "a release": (row(), ready(interruptions=1), "release", OWN, set()),
    "a release that keeps the token": (row(), ready(token=1), "release", OWN, {"I2"}),
    "a release that lowers the token": (row(fencing_token=9), ready(), "release", {**OWN, "token": 9}, {"I2"}),
    "a release that counts a failure": (row(), ready(failures=1), "release", OWN, {"I8"}),
    "a claim": (ready(), row(fencing_token=3), "claim ready", {"seen": 2, "owner": OURS}, set()),
    "a claim with a stale token": (ready(), row(fencing_token=3), "claim ready", {"seen": 1}, {"I2"}),
    "a requeue of a loss": (row(), ready(losses=1), "requeue lost", {"owner": OURS}, set()),
    "a requeue from somebody else": (row(), ready(losses=1), "requeue lost", {"owner": "theirs"}, {"I3"}),
    "a requeue without a count": (row(), ready(), "requeue lost", {"owner": OURS}, {"I8"}),
    "an early quarantine": (
        row(),
        row(shard_state="QUARANTINED", owner=None, fencing_token=2, failures=1),
        "fail for good",
        OWN,
        {"I8"},
    ),
    "a drain": (
        row(),
        row(reclaim_at=NOW_MS + 9, claimable_pk="pk", claimable_at=NOW_MS + 9),
        "drain",
        {"owner": OURS},
        set(),
    ),
    "a drain that is claimable at once": (
        row(),
        row(reclaim_at=NOW_MS + 9, claimable_pk="pk", claimable_at=NOW_MS),
        "drain",
        {"owner": OURS},
        {"I10"},
    ),
    "a drain that nobody can find": (row(), row(reclaim_at=NOW_MS + 9), "drain", {"owner": OURS}, {"I10"}),
    "a pointer that goes back": (
        row(checkpoint_key="1/m/2-n", checkpoint_seq=2),
        row(checkpoint_key="1/m/1-n", checkpoint_seq=1),
        "record checkpoint",
        OWN,
        {"I5"},
    ),
    "a row with an owner that is not leased": (row(), ready() | {"owner": {"S": OURS}}, "release", OWN, {"I3"}),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_are_judged_by_what_they_were_and_became(name: str) -> None:
    before, after, intent, values, broken = ROWS[name]
    stand = Stand(RowCheck)
    stand.write(before)
    stand.report.violations.clear()
    stand.write(after, intent, values)
    assert stand.broken >= broken
    assert bool(stand.broken) == bool(broken)


SESSIONS: Final[dict[str, tuple[list[Item], tuple[Item, str, dict[str, Any]], set[str]]]] = {
    "a heartbeat": ([session()], (session(seq=4), "heartbeat", {"until": NOW_MS}), set()),
    "a late duplicate": ([session()], (session(seq=2), "heartbeat", {"until": NOW_MS}), {"I3"}),
    "a heartbeat of the dead": (
        [session(state=SessionState.DEAD)],
        (session(seq=4), "heartbeat", {"until": NOW_MS}),
        {"I3"},
    ),
    "a hold after a stop": ([session(stop=NOTICE)], (session(stop=NOTICE, held=1, seq=4), "hold", {}), {"I11"}),
    "a hold beside a lease": ([session(), row()], (session(held=1, seq=4), "hold", {}), {"I11"}),
    "a lease that is not held": ([session(held=1)], (row(), "shard", {}), {"I11"}),
    "a lease that is held": ([session()], (row(), "shard", {}), set()),
    "a second deadline": (
        [session(stop=NOTICE)],
        (session(stop=Stop(kind=StopKind.NOTICE, deadline=NOW_MS)), "mark stop with deadline", {}),
        {"I10"},
    ),
    "a rescue of the living": ([session()], (session(state=SessionState.DEAD), "fence expired session", {}), {"I10"}),
    "a rescue of the silent": (
        [session(until=NOW_MS - 60_000)],
        (session(until=NOW_MS - 60_000, state=SessionState.DEAD), "fence expired session", {}),
        set(),
    ),
}


@pytest.mark.parametrize("name", SESSIONS)
def test_sessions_cover_their_leases_and_end_when_they_are_silent(name: str) -> None:
    before, (after, intent, values), broken = SESSIONS[name]
    stand = Stand(SessionCheck)
    for item in before:
        stand.write(item)
    stand.write(after, intent, values)
    assert stand.broken == broken


def test_a_session_whose_word_was_not_stored_is_not_silent() -> None:
    stand = Stand(SessionCheck)
    stand.write(session(until=NOW_MS - 60_000))
    stand.write(session(until=NOW_MS - 60_000, seq=4), "heartbeat", {"until": NOW_MS + 30_000})
    stand.write(session(until=NOW_MS - 60_000, seq=4, state=SessionState.DEAD), "fence expired session")
    assert stand.broken == {"I10"}


DEAD: Final = {"state": SessionState.DEAD}
TAKINGS: Final[dict[str, tuple[Item, tuple[Item, str], str, set[str]]]] = {
    "a loss": (session(**DEAD), (ready(losses=1), "requeue lost"), "worker", set()),
    "a loss with a notice on record": (
        session(**DEAD, stop=NOTICE),
        (ready(losses=1), "requeue lost"),
        "worker",
        {"I8"},
    ),
    "a loss of a retired worker": (
        session(**DEAD, stop=RETIRED),
        (ready(losses=1), "requeue lost"),
        "worker",
        set(),
    ),
    "an interruption of a retired worker without notice": (
        session(**DEAD, stop=RETIRED),
        (ready(interruptions=1), "requeue interrupted"),
        "controller",
        {"I8"},
    ),
    "an interruption without notice": (
        session(**DEAD),
        (ready(interruptions=1), "requeue interrupted"),
        "controller",
        {"I8"},
    ),
    "a shard of the living": (session(), (ready(losses=1), "requeue lost"), "worker", {"I3"}),
    "a claim that is due": (session(), (row(fencing_token=2), "claim drained"), "worker", set()),
    "a session on a living instance": (
        session(),
        (session(**DEAD, stop=NOTICE), "fence session"),
        "instance_state_change",
        {"I10"},
    ),
    "a session without a reason": (session(), (session(**DEAD), "fence session"), "worker", {"I8", "I10"}),
}


@pytest.mark.parametrize("name", TAKINGS)
def test_leases_are_taken_from_the_fenced_for_the_reason_on_record(name: str) -> None:
    before, (after, intent), who, broken = TAKINGS[name]
    stand = Stand(TakingCheck)
    stand.process.kind = who
    stand.write(row(reclaim_at=NOW_MS))
    stand.write(before)
    stand.write(after, intent)
    assert stand.broken == broken


def test_a_drained_shard_is_not_claimed_before_its_host_is_gone() -> None:
    stand = Stand(TakingCheck)
    stand.write(row(reclaim_at=NOW_MS + 60_000))
    stand.write(row(fencing_token=2), "claim drained")
    assert stand.broken == {"I10"}


@pytest.mark.parametrize(
    ("error", "wait_ms", "broken"),
    [
        ("user-code: RuntimeError: a bug", 5_000, set()),
        ("user-code: LetGoError: notice by imds", 5_000, {"I8"}),
        ("user-code: RuntimeError: a bug", -5_000, {"I8"}),
    ],
)
def test_failures_are_the_shards_own_and_wait(error: str, wait_ms: int, broken: set[str]) -> None:
    stand = Stand(FailureCheck)
    stand.check.calling(stand.call("fail", {**OWN, "error": error, "claimable_at": NOW_MS + wait_ms}))
    assert stand.broken == broken


CLOSED: Final = {"closed": frozenset({0})}
ALL_CLOSED: Final = {"closed": frozenset({0, 1})}
RUNS: Final[dict[str, tuple[list[Item], tuple[Item, dict[str, Any]], set[str]]]] = {
    "a stripe of finished shards": ([row(**DONE)], (run_item(**CLOSED), {}), set()),
    "a stripe with an open shard": ([row()], (run_item(**CLOSED), {}), {"I6"}),
    "a stripe with a hole": ([], (run_item(**CLOSED), {}), {"I6"}),
    "a stripe that opens again": ([row(**DONE), run_item(**CLOSED)], (run_item(), {}), {"I6"}),
    "an end with open stripes": ([], (run_item(state=RunState.COMPLETE), {"epoch": 0}), {"I7"}),
    "an end of a paused run by an older finalizer": (
        [row(**DONE), row(1, **DONE), run_item(**ALL_CLOSED, finalizer_epoch=2, state=RunState.PAUSED)],
        (run_item(**ALL_CLOSED, finalizer_epoch=2, state=RunState.COMPLETE), {"epoch": 1}),
        {"I7"},
    ),
    "an end by an older finalizer": (
        [row(**DONE), row(1, **DONE), run_item(**ALL_CLOSED, finalizer_epoch=2)],
        (run_item(**ALL_CLOSED, finalizer_epoch=2, state=RunState.COMPLETE), {"epoch": 1}),
        {"I7"},
    ),
    "a run that wakes up": ([run_item(state=RunState.CANCELLED)], (run_item(), {}), {"I7"}),
    "a second finalizer at a time": (
        [run_item(finalizer="a", finalizer_until=NOW_MS + 60_000, finalizer_epoch=1)],
        (run_item(finalizer="b", finalizer_until=NOW_MS + 60_000, finalizer_epoch=2), {}),
        {"I7"},
    ),
    "a finalizer after another one's term": (
        [run_item(finalizer="a", finalizer_until=NOW_MS - 1, finalizer_epoch=1)],
        (run_item(finalizer="b", finalizer_until=NOW_MS + 60_000, finalizer_epoch=2), {}),
        set(),
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_runs_close_and_end_in_order(name: str) -> None:
    before, (after, values), broken = RUNS[name]
    stand = Stand(RunCheck)
    stand.write(run_item())
    for item in before:
        stand.write(item)
    stand.write(after, "end run", values)
    assert stand.broken == broken


def success(*files: str) -> bytes:
    shards = [{"index": index, "files": [{"name": n, "sha256": "0" * 64} for n in files]} for index in range(2)]
    return json.dumps({"shards": shards, "quarantined": []}).encode()


@pytest.mark.parametrize(
    ("old", "body", "closed", "broken"),
    [
        (None, success(), True, set()),
        (b"{}", success(), True, {"I7"}),
        (None, success(), False, {"I7"}),
        (None, b'{"shards": [], "quarantined": []}', True, {"I6"}),
        (None, success("part-00000000.json"), True, {"I7"}),
    ],
    ids=["once, after all", "twice", "with open stripes", "without its shards", "before its files"],
)
def test_success_is_written(old: bytes | None, body: bytes, closed: bool, broken: set[str]) -> None:
    stand = Stand(RunCheck)
    stand.write(row(**DONE))
    stand.write(row(1, **DONE))
    if closed:
        stand.write(run_item(**ALL_CLOSED))
    key = f"{OUTPUT_PREFIX}{contract.SUCCESS_NAME}"
    if old is not None:
        stand.s3.put_object(Bucket=DATA_BUCKET, Key=key, Body=old)
    stand.put(DATA_BUCKET, key, body)
    assert stand.broken == broken


def test_a_pointer_to_nothing_is_seen() -> None:
    stand = Stand(ObjectCheck)
    stand.write(row(checkpoint_key="00000001/m/000000000001-n", checkpoint_seq=1), "record checkpoint", OWN)
    assert stand.broken == {"I5"}


def test_a_commit_without_its_staged_object_is_seen() -> None:
    stand = Stand(ObjectCheck)
    files = [{"name": "part-00000000.json", "key": "00000001-ours/part-00000000.json", "sha256": "0" * 64, "bytes": 1}]
    output: dict[str, Any] = {"output": files, "output_sha256": "1" * 64, "output_bytes": 1, "records": 0}
    stand.write(row(**DONE, **output), "commit", OWN)
    assert stand.broken == {"I4"}


def test_a_final_object_without_commit_or_written_again_or_deleted_is_seen() -> None:
    for old, new, words in (
        (None, b"x", "before a DONE row"),
        (b"x", b"x", "written again"),
        (b"x", None, "deleted"),
    ):
        stand = Stand(ObjectCheck)
        key = f"{OUTPUT_PREFIX}part-00000000.json"
        if old is not None:
            stand.s3.put_object(Bucket=DATA_BUCKET, Key=key, Body=old)
        stand.put(DATA_BUCKET, key, new)
        assert any(words in violation.words for violation in stand.report.violations)
        assert stand.broken == {"I4"}


def manifest(position: int, *, seq: int = 1, epoch: int = 1, parent: str | None = None, **changes: Any) -> Manifest:
    """Of a worker that had folded so many records."""
    return Manifest(
        **{
            "run_id": RUN.run_id,
            "shard": 0,
            "id": ManifestId(epoch=epoch, seq=seq, nonce="n"),
            "parent": parent,
            "writer": OURS,
            "created": EPOCH,
            "serializer": DEFAULT.format_id,
            "inline": DEFAULT.encode({"position": position}, at="state").decode(),
            "values": None,
            "maps": {},
            "images": {},
            "slice_bytes": 4096,
            **changes,
        }
    )


def pointing_at(saved: Manifest, **changes: Any) -> Item:
    tail = saved.key.removeprefix(contract.checkpoints_prefix(RUN.run_id, 0))
    return row(checkpoint_key=tail, checkpoint_seq=saved.id.seq, fencing_token=saved.id.epoch, **changes)


@pytest.mark.parametrize(("position", "broken"), [(7, set()), (0, {"I9"}), (9, {"I9"})])
def test_work_goes_on_where_the_pointers_save_began(position: int, broken: set[str]) -> None:
    stand = Stand(ProgressCheck)
    first = stand.check.diary(stand.process)
    stand.write(row(), "shard")
    first.began(0, 0, 100)
    first.folded(0, 7, 7, 107)
    first.folded(0, 2, 9, 109)
    saved = manifest(7)
    stand.save(saved)
    stand.write(pointing_at(saved), "record checkpoint", OWN)
    stand.process.name = "worker 2"
    stand.write(row(fencing_token=2), "claim ready", {"seen": 1})
    stand.check.diary(stand.process).began(0, position, 100 + position)
    assert stand.broken == broken


@pytest.mark.parametrize(("digest", "broken"), [(107, set()), (108, {"I5"})])
def test_a_restored_state_is_the_one_that_others_had_at_that_position(digest: int, broken: set[str]) -> None:
    stand = Stand(ProgressCheck)
    first = stand.check.diary(stand.process)
    first.began(0, 0, 100)
    first.folded(0, 7, 7, 107)
    stand.check.diary(stand.process).began(0, 7, digest)
    assert stand.broken == broken


PART: Final = b"part of a state"
PACK: Final = f"{contract.checkpoints_prefix(RUN.run_id, 0)}00000001/d/000000000001-n-00"


def in_a_pack() -> Segment:
    packed = compress(PART)
    return Segment(
        key=PACK,
        offset=4,
        size_bytes=packed.size_bytes,
        raw_bytes=packed.raw_bytes,
        codec=packed.codec,
        xxh3=packed.xxh3,
        count=1,
    )


@pytest.mark.parametrize(
    ("stored", "broken"),
    [(b"else" + PART, set()), (b"else" + PART[::-1], {"I5"}), (PART, {"I5"}), (None, {"I5"})],
    ids=["whole", "other bytes", "too short", "gone"],
)
def test_every_segment_of_the_pointers_checkpoint_is_verified(stored: bytes | None, broken: set[str]) -> None:
    stand = Stand(ObjectCheck)
    saved = manifest(1, maps={"m": MapEntry(base=in_a_pack(), deltas=(), length=1)})
    if stored is not None:
        stand.s3.put_object(Bucket=WORK_BUCKET, Key=PACK, Body=stored)
    stand.save(saved)
    stand.write(pointing_at(saved), "record checkpoint", OWN)
    assert stand.broken == broken


def test_a_pointer_to_a_changed_manifest_is_seen() -> None:
    stand = Stand(ObjectCheck)
    saved = manifest(1)
    stand.save(saved)
    stand.s3.put_object(Bucket=WORK_BUCKET, Key=saved.key, Body=encode_manifest(manifest(2)))
    stand.write(pointing_at(saved), "record checkpoint", OWN)
    assert stand.broken == {"I5"}


@pytest.mark.parametrize(("age", "broken"), [(0, {"I5"}), (1, {"I5"}), (2, set())])
def test_the_two_newest_generations_are_not_deleted(age: int, broken: set[str]) -> None:
    stand = Stand(ObjectCheck)
    generations: list[Manifest] = []
    for seq in (1, 2, 3):
        saved = manifest(seq, seq=seq, parent=generations[-1].key if generations else None)
        stand.save(saved)
        stand.write(pointing_at(saved), "record checkpoint", OWN)
        generations.append(saved)
    stand.put(WORK_BUCKET, generations[-1 - age].key, None, "delete_objects")
    assert stand.broken == broken


@pytest.mark.parametrize(
    ("kind", "token", "broken"),
    [("controller", 1, {"I5"}), ("worker", 1, set()), ("controller", 2, set())],
    ids=["by the sweep", "by its owner", "when the lease is over"],
)
def test_what_an_owner_is_writing_is_not_swept(kind: str, token: int, broken: set[str]) -> None:
    stand = Stand(ObjectCheck)
    stand.s3.put_object(Bucket=WORK_BUCKET, Key=PACK, Body=PART)
    stand.leased = shard_from_item(row(fencing_token=token))
    stand.process.kind = kind
    stand.put(WORK_BUCKET, PACK, None, "delete_objects")
    assert stand.broken == broken


LEDGER: Final = {"work_ms": 600, "redone_ms": 100, "checkpoint_ms": 200, "idle_ms": 100}


@pytest.mark.parametrize(
    ("changes", "broken"),
    [({}, set()), ({"idle_ms": 0}, {"ledger"}), ({"redone_ms": -100, "work_ms": 800}, {"ledger"})],
)
def test_a_session_books_its_whole_time(changes: dict[str, int], broken: set[str]) -> None:
    stand = Stand(LedgerCheck)
    stand.check.answered_call(stand.call("session", operation="put_item"))
    stand.scheduler.now = 1_000_000
    stand.check.calling(stand.call("end session", {**LEDGER, **changes}))
    assert stand.broken == broken


class Deaf:
    """A diary that nobody reads."""

    def began(self, shard: int, position: int, digest: int) -> None: ...

    def folded(self, shard: int, records: int, position: int, digest: int) -> None: ...

    def returned(self, shard: int) -> None: ...


@pytest.mark.parametrize(
    ("redone_ms", "committed", "broken"), [(3000, False, set()), (0, True, set()), (0, False, {"ledger"})]
)
def test_lost_work_is_booked_as_redone(redone_ms: int, committed: bool, broken: set[str]) -> None:
    stand = Stand(LostWorkCheck)
    diary = stand.check.diary(stand.process, Deaf())
    diary.began(0, 0, 0)
    stand.process.clock.seconds = 3.0
    diary.folded(0, 1, 1, 0)
    if committed:
        stand.write(row(**DONE), "commit", OWN)
    stand.check.calling(stand.call("end session", {"redone_ms": redone_ms}))
    assert stand.broken == broken


@pytest.mark.parametrize(
    ("stop", "seconds", "broken"),
    [
        (None, (1, 2, 3), set()),
        (NOTICE, (1, 2, 3), set()),
        (NOTICE, (1, 110), set()),
        (NOTICE, (1, 110, 111), {"I9"}),
        (Stop(kind=StopKind.CANCELLED, deadline=None), (1,), set()),
        (Stop(kind=StopKind.CANCELLED, deadline=None), (1, 2), {"I9"}),
        (Stop(kind=StopKind.PAUSED, deadline=None), (1, 2), {"I9"}),
        (RETIRED, (1, 2, 3), set()),
    ],
)
def test_a_worker_lets_go_when_it_is_told(stop: Stop | None, seconds: tuple[int, ...], broken: set[str]) -> None:
    stand = Stand(StopCheck)
    item = session(stop=stop)
    stand.table = SimpleNamespace(item=lambda _key: item)
    stand.check.answered_call(stand.call("heartbeat", Key={name: item[name] for name in ("pk", "sk")}))
    for second in seconds:
        stand.process.clock.now = lambda second=second: EPOCH + timedelta(seconds=second)
        stand.check.reached_safe_point(stand.process)
    assert stand.broken == broken


@pytest.mark.parametrize(("every", "late", "broken"), [(10, 0, set()), (10, 2, set()), (10, 9, {"I9"}), (0, 0, {"I9"})])
def test_no_more_than_an_interval_is_at_risk_once_faults_are_over(every: int, late: int, broken: set[str]) -> None:
    """A save covers what the job had when it began, not when it became durable."""
    stand = Stand(LostWorkCheck)
    stand.scheduler.now = 100_000_000
    stand.checks[ProgressCheck].wrote(
        TableWrite(partition="", sort="S#0", old=None, new=row(), call=stand.call("shard"))
    )
    diary = stand.check.diary(stand.process, Deaf())
    diary.began(0, 0, 0)
    for position in range(1, 40):
        stand.process.clock.seconds += 1.0
        diary.folded(0, 1, position, 0)
        if every and position > late and (position - late) % every == 0:
            saved = manifest(position - late, seq=position)
            stand.save(saved)
            stand.write(pointing_at(saved), "record checkpoint", OWN)
    assert stand.broken == broken


def test_who_has_lost_its_lease_can_not_save_what_it_goes_on_with() -> None:
    stand = Stand(LostWorkCheck)
    stand.scheduler.now = 100_000_000
    diary = stand.check.diary(stand.process, Deaf())
    diary.began(0, 0, 0)
    for position in range(1, 40):
        stand.process.clock.seconds += 1.0
        diary.folded(0, 1, position, 0)
    assert not stand.broken


@pytest.mark.parametrize(
    ("next_key", "intent", "broken"),
    [(f"{OUTPUT_PREFIX}part-00000000.json", "data", set()), ("", "release", set()), ("", "take ticket", {"I1"})],
    ids=["publishes", "never got an answer", "goes on to another shard"],
)
def test_a_worker_recognises_its_own_commit(next_key: str, intent: str, broken: set[str]) -> None:
    stand = Stand(WorkerCheck)
    stand.write(row(**DONE), "commit", OWN)
    stand.check.calling(stand.call(intent, Key=next_key))
    assert stand.broken == broken


@pytest.mark.parametrize(
    ("changes", "exit_code", "broken"),
    [
        (ALL_CLOSED, contract.EXIT_DONE, set()),
        ({}, contract.EXIT_INTERRUPTED, set()),
        ({}, contract.EXIT_DONE, {"I10"}),
        ({"exhausted": frozenset({0, 1}), "carer": "theirs"}, contract.EXIT_DONE, set()),
        ({"exhausted": frozenset({0, 1}), "carer": OURS}, contract.EXIT_DONE, {"I10"}),
    ],
    ids=["nothing is left", "its host goes", "work is left", "another one cares", "it was to care itself"],
)
def test_a_worker_leaves_for_good_when(changes: dict[str, Any], exit_code: int, broken: set[str]) -> None:
    stand = Stand(WorkerCheck)
    stand.table = SimpleNamespace(item=stand.rows.get)
    stand.write(session(), "session")
    stand.run = dataclasses.replace(RUN, **changes)
    stand.process.exit_code = exit_code
    stand.check.exited(stand.process)
    assert stand.broken == broken


@pytest.mark.parametrize(
    ("stop", "broken"),
    [
        (RETIRED, set()),
        (Stop(kind=StopKind.PAUSED, deadline=None), set()),
        (NOTICE, {"I10"}),
        (None, {"I10"}),
    ],
)
def test_a_worker_that_was_sent_away_leaves_for_good(stop: Stop | None, broken: set[str]) -> None:
    stand = Stand(WorkerCheck)
    stand.table = SimpleNamespace(item=stand.rows.get)
    stand.write(session(), "session")
    stand.write(session(stop=stop), "mark stop")
    stand.process.exit_code = contract.EXIT_DONE
    stand.check.exited(stand.process)
    assert stand.broken == broken


@pytest.mark.parametrize(("state", "broken"), [(RunState.PAUSED, set()), (RunState.RUNNING, {"I10"})])
def test_a_worker_that_came_to_a_paused_run_leaves_for_good(state: RunState, broken: set[str]) -> None:
    """Without a session; and somebody may have resumed the run by the time it has left."""
    stand = Stand(WorkerCheck)
    stand.write(run_item(state=state), "pause run")
    stand.process.exit_code = contract.EXIT_DONE
    stand.check.exited(stand.process)
    assert stand.broken == broken


def test_one_reason_gives_one_worker() -> None:
    marker = to_item({"pk": contract.topups_pk(RUN.run_id), "sk": "KEY#stuck-1", "job_id": "job-1"})
    stand = Stand(TopUpCheck)
    stand.write(marker, "top-up")
    stand.write(marker, "top-up")
    assert not stand.broken
    stand.write(marker | to_item({"job_id": "job-2"}), "top-up")
    assert stand.broken == {"top-up"}


@pytest.mark.parametrize(
    ("deleted", "looked_at", "broken"),
    [(True, 2, set()), (False, 2, {"cleanup"}), (False, 1, set()), (True, None, {"cleanup"})],
    ids=["deleted", "left", "came after the look", "nobody looked"],
)
def test_a_clean_run_left_nothing_behind(deleted: bool, looked_at: int | None, broken: set[str]) -> None:
    stand = Stand(CleanupCheck)
    for folder in (contract.checkpoints_prefix(RUN.run_id), contract.staging_prefix(RUN.run_id)):
        if looked_at is not None:
            stand.scheduler.now = looked_at
            stand.check.calling(stand.call("", operation="list_objects_v2", Prefix=folder))
        key = f"{folder}00000000/00000001-ours/part"
        stand.report.now = 1
        stand.put(WORK_BUCKET, key, b"x")
        if deleted:
            stand.s3.delete_objects(Bucket=WORK_BUCKET, Delete={"Objects": [{"Key": key}]})
    stand.write(run_item(state=RunState.COMPLETE), "mark cleaned")
    assert stand.broken == broken


@pytest.fixture(scope="module")
def calm_world() -> World:
    """A world that has seen its job to the end without a fault."""
    silence()
    drawn: Scenario = draw_scenario(1)
    world = World(dataclasses.replace(drawn, rates={}))
    assert not world.run_to_end().violations
    return world


@pytest.fixture
def output(calm_world: World) -> Iterator[World]:
    """Its output, put right again afterwards."""
    before = dict(calm_world.s3.objects(DATA_BUCKET, OUTPUT_PREFIX))
    calm_world.report.violations.clear()
    yield calm_world
    for key in calm_world.s3.objects(DATA_BUCKET, OUTPUT_PREFIX):
        calm_world.s3.vanish(DATA_BUCKET, key)
    for key, body in before.items():
        calm_world.s3.put_object(Bucket=DATA_BUCKET, Key=key, Body=body)


def judged(world: World) -> set[str]:
    world.checks[OutputCheck].ended()
    return {violation.invariant for violation in world.report.violations}


def parts(world: World) -> list[str]:
    keys = world.s3.objects(DATA_BUCKET, OUTPUT_PREFIX)
    return [key for key in keys if not key.endswith(contract.SUCCESS_NAME)]


def test_the_right_output_is_right(output: World) -> None:
    assert parts(output)
    assert not judged(output)


def test_a_changed_output_is_seen(output: World) -> None:
    output.s3.put_object(Bucket=DATA_BUCKET, Key=parts(output)[0], Body=b"{}")
    assert judged(output) == {"output"}


def test_a_missing_output_is_seen(output: World) -> None:
    output.s3.vanish(DATA_BUCKET, parts(output)[0])
    assert judged(output) == {"output"}


def test_an_output_of_nobody_is_seen(output: World) -> None:
    output.s3.put_object(Bucket=DATA_BUCKET, Key=f"{OUTPUT_PREFIX}part-00000999.json", Body=b"{}")
    assert judged(output) == {"output"}


def test_a_run_without_success_is_seen(output: World) -> None:
    output.s3.vanish(DATA_BUCKET, f"{OUTPUT_PREFIX}{contract.SUCCESS_NAME}")
    assert judged(output) == {"I7"}


def test_a_run_that_failed_is_seen(output: World) -> None:
    item = next(item for item in output.table.items() if item["sk"]["S"] == contract.RUN_SK)
    key = (item["pk"]["S"], item["sk"]["S"])
    output.operator.overwrite(key, item | to_item({"state": "FAILED"}))
    try:
        assert "output" in judged(output)
    finally:
        output.operator.overwrite(key, item)

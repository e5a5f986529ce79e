"""The small worlds: each as small as can be, and together every actor at every call it makes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from simulation.cloud.timing import Timing
from simulation.enumeration import turns
from simulation.enumeration.script import Cue
from simulation.scenario import DEFAULT_PORTIONS, Scenario
from simulation.workload import INPUT_PREFIX, Workload
from spotproof.checkpoints.carry import EngineSizes
from spotproof.commits.buckets import DEFAULT_SIZES, PartSizes

# Longer than the ttl, than all time-outs but the finalizer's, and than its term and the next round of the controller.
PAUSE_S: Final = 130.0
PEACE_S: Final = 3600.0  # nothing but the plan strikes anyway; two hours later the run must have ended
QUICK: Final = Timing(
    boot_s=(5, 6), pull_s=(1, 2), report_s=1.0, unseen_s=120.0, shutdown_s=(5, 6), host_gone_s=(5, 6), idle_s=600.0
)
TWO_PARTS: Final = PartSizes(single_write_max=8, write_part_bytes=16, single_copy_max=8, copy_part_bytes=16)
TWO_PACKS: Final = EngineSizes(slice_bytes=4096, pack_bytes=4096, delta_bytes=512, chain_max=2, inline_bytes=0, width=2)
BEGINS: Final = "worker dynamodb.get_item run"
READ: Final = "worker s3.get_object data"  # the planner's is the first
CLAIM: Final = "worker dynamodb.update_item take ticket"
SAVES: Final = "worker s3.put_object checkpoint"
SAVED: Final = "worker dynamodb.update_item record checkpoint"
UPLOAD: Final = "worker s3.create_multipart_upload staging"
COMMIT: Final = "worker dynamodb.update_item commit"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallWorld:
    """A scenario without background faults, and what befalls its hosts and jobs."""

    name: str
    about: str
    workers: int = 1
    shards: int = 1
    batches: int = 1  # per shard
    pace_s: float = 5.0  # per batch
    poisoned: bool = False
    keeps: frozenset[str] = frozenset()  # kinds of state besides a map; checkpoints then travel in tiny portions
    in_parts: bool = False  # outputs and a file of the function's own are uploaded and copied in parts
    options: Mapping[str, str] = field(default_factory=dict)
    cues: tuple[Cue, ...] = ()
    pause_s: float = PAUSE_S  # longer than the ttl
    since: str = ""  # the scene, in which pairs strike, begins at the first call of this site; empty: at the first call
    with_finalizer: bool = False  # whether the scene goes on to the very end
    seed: int = 1

    def scenario(self) -> Scenario:
        """The same at every call: nothing is drawn but latencies and ids, from one seed."""
        return Scenario(
            seed=self.seed,
            workload=_workload(self),
            workers=self.workers,
            options={
                "ttl_s": "40",
                "heartbeat_s": "20",
                "checkpoint_interval_s": "4",
                "poll_s": "20",
                "failures_max": "1000",
                "losses_max": "1000",
                **self.options,
            },
            rates={},
            peace_s=PEACE_S,
            skew_s=0.0,
            page_bytes_max=1024 * 1024,
            page_keys_max=1000,
            pause_s=self.pause_s,
            timing=QUICK,
            in_parts=TWO_PARTS if self.in_parts else DEFAULT_SIZES,
            in_portions=TWO_PACKS if self.keeps else DEFAULT_PORTIONS,
        )


def _workload(world: SmallWorld) -> Workload:
    """One object per shard, one record per batch."""
    objects: dict[str, bytes] = {}
    records: dict[int, dict[str, Any]] = {}
    for shard in range(world.shards):
        rows = [_record(shard * world.batches + number + 1) for number in range(world.batches)]
        records |= {row["id"]: row for row in rows}
        lines = [b'{"id":%d,"key":"a","value":%d}\n' % (row["id"], row["value"]) for row in rows]
        objects[f"{INPUT_PREFIX}{shard}.ndjson"] = b"".join(lines)
    return Workload(
        objects=objects,
        records=records,
        shard_by="objects",
        batch_records=1,
        pace_s=world.pace_s,
        poison=frozenset({1}) if world.poisoned else frozenset(),
        opens_file=world.in_parts,
        keeps=world.keeps,
        toils=world.keeps != frozenset(),
    )


def _record(number: int) -> dict[str, Any]:
    return {"id": number, "key": "a", "value": 10 * number}


_WORLDS: Final = (
    SmallWorld(
        name="alone",
        batches=2,
        about="one worker does one shard, saves once, and closes the run",
        with_finalizer=True,
    ),
    SmallWorld(
        name="in parts",
        about="one worker does one shard, whose output is uploaded and published in parts",
        in_parts=True,
        since=UPLOAD,
    ),
    SmallWorld(
        name="two",
        about="two workers share two shards; the last one closes the run",
        workers=2,
        shards=2,
        options={"poll_s": "60"},
        since=CLAIM,
    ),
    SmallWorld(
        name="notice",
        about="a host gets its notice in mid-shard: its worker saves and lets go, the next one goes on from there",
        batches=2,
        pace_s=10.0,
        options={"poll_s": "5", "checkpoint_interval_s": "1000"},
        cues=(Cue(site=READ, nth=2, turn=turns.notice, after_s=0.5),),
        since=SAVED,
    ),
    SmallWorld(
        name="saving",
        about="a host gets its notice while a save of an array and a file is under way; the next worker restores them",
        batches=4,
        keeps=frozenset({"array", "file"}),
        options={"poll_s": "2"},
        cues=(Cue(site=SAVES, turn=turns.short_notice),),
        since=SAVES,
    ),
    SmallWorld(
        name="late notice",
        batches=2,
        options={"ttl_s": "200", "heartbeat_s": "100", "poll_s": "60"},
        pause_s=260.0,
        about="a host is gone before its worker has let go: the lease is taken when the notice is over",
        cues=(Cue(site=SAVED, turn=turns.late_notice),),
        since=SAVED,
    ),
    SmallWorld(
        name="host lost",
        batches=2,
        about="a host is gone, with the last attempt of its job: a worker is topped up",
        cues=(Cue(site=SAVED, turn=turns.lose_last_attempt),),
        since=SAVED,
    ),
    SmallWorld(
        name="vanished",
        batches=2,
        about="a worker vanishes: its session expires and is rescued by the other one",
        workers=2,
        options={"poll_s": "60"},
        cues=(Cue(site=SAVED, turn=turns.vanish),),
        since=SAVED,
    ),
    SmallWorld(
        name="crash",
        batches=2,
        about="a worker dies of a bug and is not replaced: the controller rescues its lease and finds the run stuck",
        cues=(Cue(site=SAVED, turn=turns.crash),),
        since=SAVED,
    ),
    SmallWorld(
        name="rebalance",
        about="a host is at risk: its worker saves, finishes and takes nothing new; the hint expires",
        shards=2,
        options={"hint_s": "30"},
        cues=(Cue(site=CLAIM, turn=turns.rebalance, after_s=1.0),),
        since=CLAIM,
    ),
    SmallWorld(
        name="poison",
        about="a shard fails twice and is quarantined",
        poisoned=True,
        options={"failures_max": "2"},
        since=CLAIM,
        with_finalizer=True,
    ),
    SmallWorld(
        name="losses",
        batches=2,
        about="a shard whose worker vanishes is quarantined at once",
        options={"losses_max": "1", "poll_s": "60"},
        cues=(Cue(site=SAVED, turn=turns.vanish), Cue(site=BEGINS, turn=turns.allow_quarantine)),
        since=SAVED,
        with_finalizer=True,
    ),
    SmallWorld(
        name="terminated",
        batches=2,
        about="somebody terminates one of two workers: it is not replaced, the other one does the rest",
        workers=2,
        options={"poll_s": "60"},
        cues=(Cue(site=SAVED, turn=turns.terminate),),
        since=SAVED,
    ),
    SmallWorld(
        name="cancel",
        about="the run is cancelled when its worker is about to commit",
        cues=(Cue(site=COMMIT, turn=turns.cancel),),
        since=COMMIT,
        with_finalizer=True,
    ),
)
SMALL_WORLDS: Final[Mapping[str, SmallWorld]] = MappingProxyType({world.name: world for world in _WORLDS})

"""Whether a run that went through a storm kept every promise."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from demo.outputs import RunOutput
from spotproof.leases.model import RunState, ShardState
from tests.local.storm.aftermath import (
    Drain,
    came_too_late,
    commits,
    drain_of,
    lost_work_s,
    split_at_restore,
    what_zombie_noticed,
)
from tests.local.storm.plan import Blow
from tests.local.storm.play import Played
from tests.local.storm.stage import INTERVAL_S

LOST_S_MAX: Final = INTERVAL_S + 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A promise that a run did not keep."""

    run_id: str
    seed: int
    promise: str
    seen: str

    def __str__(self) -> str:
        return f"{self.run_id} (seed {self.seed}): {self.promise}: {self.seen}"


def judge(played: Played, undisturbed: RunOutput) -> list[Broken]:
    """Every promise that does not hold; nothing if all do."""
    found = [*_completion(played), *_output(played, undisturbed), *_zombies(played), *_work(played)]
    ledger = played.ledger
    return [Broken(run_id=ledger.run_id, seed=ledger.seed, promise=what, seen=seen) for what, seen in found]


def _completion(played: Played) -> Iterator[tuple[str, str]]:
    run, shards = played.run, played.snapshot.shards
    if run.state is not RunState.COMPLETE:
        yield "the run completes", f"it is {run.state}: {run.reason}"
    not_done = [i for i in range(run.shards) if i not in shards or shards[i].state is not ShardState.DONE]
    if not_done:
        yield "every shard is committed", f"not done: {not_done}"
    _, after = split_at_restore(played)
    twice = {shard: count for shard, count in commits(after).items() if count > 1}
    if twice:
        yield "no shard is committed twice", f"commits by shard: {twice}"


def _output(played: Played, undisturbed: RunOutput) -> Iterator[tuple[str, str]]:
    expected, actual = undisturbed.digests(), played.output.digests()
    different = sorted(name for name in expected | actual if expected.get(name) != actual.get(name))
    if different or not expected:
        yield "the output is the undisturbed run's, byte for byte", f"different or missing: {different}"
    manifest = json.loads(played.output.success or b"{}")
    indexes = [shard["index"] for shard in manifest.get("shards", [])]
    if indexes != list(range(played.run.shards)):
        yield "_SUCCESS names every shard once", f"it names {indexes}"
    listed = _listed(manifest)
    if listed != actual:
        yield "_SUCCESS names every object with its hash", f"it names {sorted(listed)}, there are {sorted(actual)}"


def _listed(manifest: Mapping[str, list[dict[str, list[dict[str, str]]]]]) -> dict[str, str]:
    return {file["name"]: file["sha256"] for shard in manifest.get("shards", []) for file in shard["files"]}


def _zombies(played: Played) -> Iterator[tuple[str, str]]:
    for dealt in played.ledger.blows:
        if dealt.step.blow is not Blow.FREEZE or dealt.cut_short or came_too_late(dealt, played):
            continue
        where = f"shard {dealt.victim.shard}, token {dealt.victim.fencing_token}"
        if dealt.commit_refused is None:
            yield "a frozen worker is fenced", f"{where}: nobody took its shard"
        if what_zombie_noticed(dealt, played) is None:
            yield "a zombie notices that it is one", f"{where}: its log says nothing"


def _work(played: Played) -> Iterator[tuple[str, str]]:
    for dealt in played.ledger.blows:
        if dealt.cut_short:
            continue
        where = f"shard {dealt.victim.shard}, token {dealt.victim.fencing_token}"
        match dealt.step.blow:
            case Blow.KILL:
                lost_s = lost_work_s(dealt, played)
                if lost_s is not None and lost_s > LOST_S_MAX:
                    yield "a kill costs an interval and 5 s at most", f"{where}: {lost_s:.1f} s"
            case Blow.MEMORY | Blow.DISK:
                if dealt.over_at is None:
                    yield "a worker without memory or disk leaves", f"{where}: its process is still there"
            case Blow.NOTICE | Blow.TERMINATE:
                drain = drain_of(dealt, played)
                if drain is not None:
                    yield from ((promise, f"{where}: {drain}") for promise in _broken_by(drain))


def _broken_by(drain: Drain) -> Iterator[str]:
    if drain.lost_s > LOST_S_MAX:
        yield "a stop costs an interval and 5 s at most"
    if drain.window_s is not None and (drain.took_s is None or drain.took_s >= drain.window_s):
        yield "a notice is long enough to let go"

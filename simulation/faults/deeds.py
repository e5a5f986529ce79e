"""Faults that strike the world and not a single call: damaged data, wrong clocks, second thoughts of people."""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from simulation.checks.generations import GenerationCheck
from simulation.checks.parsed import CURRENT, shard_from_item
from simulation.checks.progress import ProgressCheck
from simulation.cloud.s3_buckets import Damage
from simulation.faults.forged_manifests import FORGERIES
from simulation.kernel.process import Process
from simulation.kernel.scheduler import microseconds
from simulation.worker import KIND
from simulation.workload import DATA_BUCKET, WORK_BUCKET
from spotproof import contract
from spotproof.checkpoints.manifest import SCHEMA, seal
from spotproof.leases.model import ShardState

LOOK_S: Final = 15.0  # between two opportunities
JUMP_S: Final = 600
NEWER: Final = "99"
HANDED_ON: Final = "D1 damaged when handed on"
Deed = Callable[[Any, random.Random], bool]


def _vanished_checkpoint(world: Any, rng: random.Random) -> bool:
    """The lifecycle, or a person, deleted an object of a checkpoint."""
    key = _some_key(world, rng, contract.CHECKPOINTS_PREFIX)
    if key is None:
        return False
    _damaged(world, key)
    world.s3.vanish(WORK_BUCKET, key)
    return True


def _vanished_stop_file(world: Any, rng: random.Random) -> bool:
    key = _some_key(world, rng, contract.CONTROL_PREFIX)
    if key is None:
        return False
    world.s3.vanish(WORK_BUCKET, key)
    return True


def _corrupt_checkpoint(world: Any, rng: random.Random) -> bool:
    """Flipped, cut short, or another object's bytes."""
    key = _some_key(world, rng, contract.CHECKPOINTS_PREFIX)
    return key is not None and _damage(world, rng, key, rng.choice(tuple(Damage)))


def _damage(world: Any, rng: random.Random, key: str, how: Damage) -> bool:
    others = [each for each in sorted(world.s3.objects(WORK_BUCKET, contract.CHECKPOINTS_PREFIX)) if each != key]
    if not others:
        return False
    other = rng.choice(others)
    if how is Damage.SWAP:
        bytes_there = world.s3.objects(WORK_BUCKET, other)[other]
        if world.s3.objects(WORK_BUCKET, key)[key] == bytes_there or _newer_of(key, bytes_there):
            how = Damage.FLIP
    _damaged(world, key)
    world.s3.corrupt(WORK_BUCKET, key, how, other=other if how is Damage.SWAP else None)
    return True


def _newer_of(key: str, data: bytes) -> bool:
    """Whether they are what a newer version wrote at the key, and an earlier swap kept: nobody would roll them back again."""
    try:
        body = json.loads(data)
    except ValueError:
        return False
    if not isinstance(body, dict) or body.get("schema") != int(NEWER):
        return False
    return key.endswith(f"/m/{body['seq']:012d}-{body['nonce']}")


def _forged_checkpoint(world: Any, rng: random.Random) -> bool:
    """Somebody who may write into the bucket changes a manifest and seals it again: it must not be believed."""
    found = _manifest(world, rng)
    if found is None:
        return False
    key, body = found
    name = rng.choice(tuple(FORGERIES))
    if not FORGERIES[name](body, rng):
        return False
    _damaged(world, key)
    world.s3.put_object(Bucket=WORK_BUCKET, Key=key, Body=seal(body))
    return True


def _newer_checkpoint(world: Any, rng: random.Random) -> bool:
    """A newer version of the product wrote a checkpoint's manifest, and is rolled back after a while."""
    found = _manifest(world, rng)
    if found is None:
        return False
    key, body = found
    ours = world.s3.objects(WORK_BUCKET, key)[key]
    world.s3.put_object(Bucket=WORK_BUCKET, Key=key, Body=seal({**body, "schema": int(NEWER)}))

    def roll_back() -> None:
        if key in world.s3.objects(WORK_BUCKET, key):
            world.s3.put_object(Bucket=WORK_BUCKET, Key=key, Body=ours)

    world.scheduler.after(5 + 90 * rng.random(), roll_back)
    return True


def _newer_row(world: Any, rng: random.Random) -> bool:
    """A newer version of the product wrote a shard's row, and is rolled back after a while."""
    rows = [item for item in world.table.items() if item["sk"]["S"].startswith(contract.SHARD_SK_PREFIX)]
    if not rows:
        return False
    chosen = rng.choice(rows)
    key = (chosen["pk"]["S"], chosen["sk"]["S"])
    world.operator.overwrite(key, {**chosen, "schema": {"N": NEWER}})

    def roll_back() -> None:
        now = world.table.item(key)
        if now is not None:
            world.operator.overwrite(key, {**now, "schema": CURRENT})

    world.scheduler.after(5 + 90 * rng.random(), roll_back)
    return True


def _changed_input(world: Any, rng: random.Random) -> bool:
    """Somebody writes an input object again while the run reads it."""
    if world.run is None or world.run_ended:
        return False
    key = rng.choice(sorted(world.workload.objects))
    world.may_quarantine = True
    world.s3.put_object(Bucket=DATA_BUCKET, Key=key, Body=world.workload.objects[key] + b"\n")
    return True


def _submitted_again(world: Any, _rng: random.Random) -> bool:
    world.operator.submit()
    return True


def _cancelled(world: Any, _rng: random.Random) -> bool:
    if world.run is None:
        return False
    world.operator.cancel()
    return True


def _restored_table(world: Any, rng: random.Random) -> bool:
    """Point-in-time recovery to a moment up to minutes ago, with workers alive."""
    if world.run is None or world.run_ended:
        return False
    restored: bool = world.operator.restore_table(rng)
    return restored


def _clock_jumped(world: Any, rng: random.Random) -> bool:
    process = _some_worker(world, rng)
    if process is None:
        return False
    seconds = rng.randrange(-JUMP_S, JUMP_S)
    process.skew_us += microseconds(seconds)
    world.skew_max_ms = max(world.skew_max_ms, 2 * abs(process.skew_us) // 1000)
    return True


def _heartbeat_died(world: Any, rng: random.Random) -> bool:
    """The thread is gone, as after a fork of the user's code, and the main thread works on."""
    process = _some_worker(world, rng)
    return process is not None and process.kill_task("session-heartbeat")


DEEDS: Final[Mapping[str, Deed]] = {
    "A12 checkpoint vanished": _vanished_checkpoint,
    "A12 stop file vanished": _vanished_stop_file,
    "C2 clock jumped": _clock_jumped,
    "D1 checkpoint damaged": _corrupt_checkpoint,
    "D1 checkpoint forged": _forged_checkpoint,
    "D2 newer checkpoint": _newer_checkpoint,
    "D6 input changed": _changed_input,
    "K1 submitted twice": _submitted_again,
    "K2 cancelled": _cancelled,
    "K3 table restored": _restored_table,
    "K6 newer row": _newer_row,
    "P6 heartbeat died": _heartbeat_died,
}


class Deeds:
    """Gives every deed its opportunities until peace."""

    def __init__(self, world: Any, rng: random.Random) -> None:
        self._world = world
        self._rng = rng

    def start(self) -> None:
        if self._world.book.rates.get(HANDED_ON, 0.0) > 0:
            self._world.table.watch.append(self._wrote)
        if any(self._world.book.rates.get(name, 0.0) > 0 for name in DEEDS):
            self._world.scheduler.after(LOOK_S * self._rng.random(), self._look)

    def _wrote(self, key: tuple[str, str], old: Any, new: Any, _intent: str) -> None:
        """A shard is handed on with its checkpoint: what is damaged now is restored next."""
        if not key[1].startswith(contract.SHARD_SK_PREFIX) or old is None or new is None:
            return
        before, after = shard_from_item(old), shard_from_item(new)
        given_up = before.state is ShardState.LEASED and after.state is ShardState.READY
        if given_up and after.checkpoint is not None and self._world.book.strikes(HANDED_ON, "world"):
            pointer = after.checkpoint.manifest_key
            self._world.scheduler.after(0.0, lambda: self._damage_generation(pointer))

    def _damage_generation(self, manifest_key: str) -> None:
        saved = self._world.checks[GenerationCheck].generation(manifest_key)
        keys = [] if saved is None else sorted(saved.keys - {manifest_key})
        key = self._rng.choice([*keys, *keys, manifest_key])  # rather of the data
        if key in self._world.s3.objects(WORK_BUCKET, key) and _damage(self._world, self._rng, key, Damage.FLIP):
            self._world.trace.note(self._world.scheduler.now, "world", HANDED_ON)

    def _look(self) -> None:
        book = self._world.book
        if book.at_peace:
            return
        if book.rates.get("K3 table restored", 0.0) > 0:
            self._world.operator.keep_snapshot()
        for name, deed in DEEDS.items():
            if self._rng.random() < book.rates.get(name, 0.0) and deed(self._world, self._rng):
                book.count(name, "world")
                self._world.trace.note(self._world.scheduler.now, "world", name)
        self._world.scheduler.after(LOOK_S, self._look)


def _some_key(world: Any, rng: random.Random, prefix: str) -> str | None:
    keys = sorted(world.s3.objects(WORK_BUCKET, prefix))
    return rng.choice(keys) if keys else None


def _manifest(world: Any, rng: random.Random) -> tuple[str, dict[str, Any]] | None:
    """A manifest's key and its members but the root; None if there is none of this version, or it is damaged."""
    keys = [key for key in sorted(world.s3.objects(WORK_BUCKET, contract.CHECKPOINTS_PREFIX)) if "/m/" in key]
    if not keys:
        return None
    key = rng.choice(keys)
    try:
        body: dict[str, Any] = json.loads(world.s3.objects(WORK_BUCKET, key)[key])
    except ValueError:
        return None
    if body.pop("root", None) is None or body.get("schema") != SCHEMA:
        return None  # it has another object's bytes, or is newer already
    return key, body


def _some_worker(world: Any, rng: random.Random) -> Process | None:
    living: list[Process] = [process for process in world.processes if process.alive and process.kind == KIND]
    return rng.choice(living) if living else None


def _damaged(world: Any, key: str) -> None:
    """Tell the checkers that the shard's checkpoint may be lost."""
    shard = int(key.removeprefix(contract.checkpoints_prefix(world.run_id)).partition("/")[0])
    progress = world.checks[ProgressCheck]
    progress.damaged(shard)

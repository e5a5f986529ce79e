"""The job that simulated workers run: a fold whose right answer is known, over input drawn from the seed."""

import errno
import json
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from simulation.fold import KEYS, Fold, Totals, add

DATA_BUCKET: Final = "data"
WORK_BUCKET: Final = "work"
INPUT_PREFIX: Final = "in/"
OUTPUT_PREFIX: Final = "out/"
# A day in which Europe's clocks jump (C4), one with a leap second in history, and the turn of a year.
GIANT: Final = 120  # records; others have 24 at most
HANGS: Final = "P7 hangs"
DAYS: Final = ("2026-03-29T0", "2016-12-31T2", "2025-12-31T2")


class Diary(Protocol):
    """Hears what the job does, for the checkers. `position`: records folded so far; `digest`: of the whole state."""

    def began(self, shard: int, position: int, digest: int) -> None: ...

    def folded(self, shard: int, records: int, position: int, digest: int) -> None: ...

    def returned(self, shard: int) -> None: ...


class Mischief(Protocol):
    """Faults of the user's own code, by their id; True: do it now."""

    def strikes(self, fault: str, site: str) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One job's input and how it is worked on. `poison`: ids of records on which the function always raises."""

    objects: dict[str, bytes]  # key in the data bucket -> body
    records: dict[int, dict[str, Any]]  # by id
    shard_by: str
    batch_records: int
    pace_s: float  # per record
    poison: frozenset[int]
    opens_file: bool  # the function writes a file of its own besides the value it returns
    toils: bool = False  # its work goes on when the worker is told to stop; otherwise it waits, which then ends early
    keeps: frozenset[str] = frozenset()  # kinds of parts of the fold besides the map of totals (fold.py)

    @property
    def sizes(self) -> list[int]:
        """Records of each object."""
        header = 1 if self.is_csv else 0
        return [body.count(b"\n") - header for body in self.objects.values()]

    @property
    def is_csv(self) -> bool:
        return any(key.endswith(".csv") for key in self.objects)

    def function(
        self, diary: Diary, mischief: Mischief, hang: Callable[[], None], toil: Callable[[float], None]
    ) -> Callable[[Any, Any], Generator[None, None, Any]]:
        """The user's function for one worker process; `hang` blocks its thread for good, `toil` for seconds."""

        def fold(shard: Any, state: Any) -> Generator[None, None, Any]:
            position: int = state.get("position") or 0
            fold_of = Fold(state, keeps=self.keeps, position=position)
            diary.began(shard.index, position, fold_of.digest())
            for batch in shard.batches(after=state.get("cursor"), records=self.batch_records):
                _misbehave(mischief, hang)
                for record in batch.records:
                    if int(record["id"]) in self.poison:
                        raise ValueError(f"record {record['id']} is poison")
                position += len(batch.records)
                fold_of.add(batch.records, position=position)
                state["position"], state["cursor"] = position, batch.end
                (toil if self.toils else shard.sleep)(len(batch.records) * self.pace_s)
                diary.folded(shard.index, len(batch.records), position, fold_of.digest())
                yield
            totals = fold_of.result()
            if self.opens_file:
                with shard.output.open("totals.txt") as file:
                    file.write(json.dumps(totals).encode())
            diary.returned(shard.index)
            return totals

        return fold

    def expected(self) -> Totals:
        """The fold over all records but poison, independent of any sharding: count, sum and a product of every key."""
        totals: Totals = {}
        for number in sorted(self.records):
            add(totals, self.records[number])
        return totals


def draw_workload(rng: random.Random, *, poisoned: bool) -> Workload:
    """Input of a few objects, one of them empty or a giant at times, in NDJSON or CSV."""
    objects: dict[str, bytes] = {}
    records: dict[int, dict[str, Any]] = {}
    day = rng.choice(DAYS)
    count = rng.choice((1, 2, 3, 3, 4, 6))
    csv = rng.random() < 0.25
    giant = rng.randrange(count) if rng.random() < 0.2 else None
    for number in range(count):
        size = 0 if rng.random() < 0.08 and number else rng.randint(1, 24)
        if number == giant:
            size = GIANT
        rows = [_record(rng, len(records) + place + 1, day) for place in range(size)]
        records |= {row["id"]: row for row in rows}
        name = f"{INPUT_PREFIX}teil-{number:02d}-ü.{'csv' if csv else 'ndjson'}"
        objects[name] = _csv(rows) if csv else b"".join(_line(row) for row in rows)
    poison = frozenset(rng.sample(sorted(records), 1)) if poisoned and records else frozenset()
    return Workload(
        objects=objects,
        records=records,
        shard_by=_draw_sharding(rng),
        batch_records=rng.choice((1, 3, 5, 10)),
        pace_s=rng.choice((0.05, 0.5, 2.0)),
        poison=poison,
        opens_file=rng.random() < 0.15,
    )


def _draw_sharding(rng: random.Random) -> str:
    return rng.choice(
        ("objects",) * 6 + ("size:400B", "size:150B", "hash:key:3", "range:value:3", "time:at:1h:Europe/Berlin")
    )


def _record(rng: random.Random, number: int, day: str) -> dict[str, Any]:
    moment = f"{day}{rng.randrange(4)}:{rng.randrange(60):02d}:{rng.randrange(60):02d}Z"
    return {"id": number, "key": rng.choice(KEYS), "value": rng.choice((0, 7, 7, -3, 10**12)), "at": moment}


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def _csv(rows: list[dict[str, Any]]) -> bytes:
    lines = ["id,key,value,at", *(f"{row['id']},{row['key']},{row['value']},{row['at']}" for row in rows)]
    return ("\n".join(lines) + "\n").encode()


def _misbehave(mischief: Mischief, hang: Callable[[], None]) -> None:
    if mischief.strikes(HANGS, "user code"):
        hang()
    if mischief.strikes("P7 raises", "user code"):
        raise RuntimeError("a bug that comes and goes")
    if mischief.strikes("P7 exits", "user code"):
        raise SystemExit(3)
    if mischief.strikes("P5 disk full", "user code"):
        raise OSError(errno.ENOSPC, "No space left on device")
    if mischief.strikes("A13 huge error", "user code"):
        raise ValueError("x" * 500_000)

"""Plans: workers that race to plan or join one run while its input changes, and readers of what was planned.

The first plan stored wins (K1). Whatever the keys, every record of the pinned input is in exactly one shard, and an
object that is not the pinned one is refused, never read (D6).
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from spotproof.contract import plan_key
from spotproof.errors import AwsError, InputChangedError, InputError, RunConflictError
from spotproof.leases.dynamodb import DynamoDBLeaseStore
from spotproof.leases.memory.table import InMemoryTable
from spotproof.leases.model import Run, RunId, RunOptions
from spotproof.retries import Retrier
from spotproof.shards import plan_file, planner
from spotproof.shards.model import ObjectPin, PlannedShard
from spotproof.shards.plan_file import PlanReader
from spotproof.shards.reader import ShardReader
from spotproof.shards.sources import lines
from spotproof.worker.planning import RunJoiner, RunRequest
from tests.fakes.clock import FakeClock
from tests.fakes.crashing_store import Crash
from tests.fakes.lease_oracle import LeaseOracle
from tests.fakes.leases import a_run
from tests.stateful.campaign import CountedMachine
from tests.stateful.input_bucket import InputBucket, Interference, die, etag, time_out
from tests.stateful.plan_input import FORMATS, Row, encode, is_seen, key_lists, key_of, names, object_key, serial_of
from tests.stateful.table_faults import Fault, FaultyClient, faults

DATA: Final = "data-bucket"
WORK: Final = "work-bucket"
RUN_IDS: Final = ("nightly", "nightly", "nightly", "b", "c", "d", "e")
INPUTS: Final = (f"s3://{DATA}/in/", f"s3://{DATA}/in/", f"s3://{DATA}/in/sub")
LINES_BY: Final = ("auto", "objects", "size:40B", "size:1KiB")
COLUMNS_BY: Final = (*LINES_BY, "hash:k:3", "range:k:4", "range:k:2")
SHARDS_MAX: Final = 80
GIANT_ROWS: Final = 60
DISTURBANCES: Final = (
    "none",
    "none",
    "time-out before",
    "time-out after",
    "killed before",
    "killed after",
    "an equal joiner",
    "an equal joiner",
    "another submission",
    "the input changes",
)

picks = st.integers(0, 99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """An object as it once was."""

    key: str
    data: bytes
    rows: tuple[Row, ...]


class Plans(CountedMachine):
    reached = (
        "a run is planned",
        "a run is joined",
        "another submission is refused",
        "a planner dies",
        "a changed object is refused",
        "an empty input is refused",
        "every record once",
        "a shard is read in two parts",
    )
    reached_in_the_long_run = (
        "the input changes during planning",
        "an equal joiner is faster",
        "a dead planner's plan is used",
        "too many shards are refused",
        "a plan of many pages",
        "a key that many rows share",
    )

    def __init__(self) -> None:
        super().__init__()
        self.patches = pytest.MonkeyPatch()
        self.patches.setattr(plan_file, "PAGE_SHARDS", 3)
        self.patches.setattr(plan_file, "PAGES_CACHED", 2)
        self.patches.setattr(plan_file, "TAIL_BYTES", 300)
        self.patches.setattr(planner, "SHARDS_MAX", SHARDS_MAX)
        self.patches.setattr(lines, "OVERRUN_BYTES", 16)

    @initialize(extension=st.sampled_from(FORMATS), numbers=key_lists)
    def upload(self, extension: str, numbers: list[int]) -> None:
        self.extension = extension
        self.clock = FakeClock()
        self.retrier = Retrier(clock=self.clock, rng=random.Random(0))
        self.bucket = InputBucket()
        self.table = FaultyClient(LeaseOracle(InMemoryTable("t"), a_run()))
        self.store = DynamoDBLeaseStore(self.table, "t", self.clock, self.retrier)
        self.versions: dict[str, Version] = {}  # by ETag; rows are unique, so ETags are
        self.first_plans: dict[str, bytes] = {}
        self.runs: dict[RunId, Run] = {}
        self.died: list[RunRequest] = []
        self.uploaded = 0
        self.put("a", numbers, newline=True)

    # --- input -----------------------------------------------------------------------------------------------------

    @rule(name=names, numbers=key_lists, newline=st.booleans())
    def put(self, name: str, numbers: list[int], newline: bool) -> None:
        key = object_key(name, self.extension)
        rows = []
        for number in numbers:
            self.uploaded += 1
            rows.append(Row(key_of(number, self.extension), self.uploaded))
        self.store_version(key, rows, newline=newline)

    @rule(number=st.integers(0, 20), several=st.booleans())
    def put_giant(self, number: int, several: bool) -> None:
        """One object that holds most of the input, maybe under one key."""
        self.put("a", [number + (row % 3 if several else 0) for row in range(GIANT_ROWS)], newline=True)

    def store_version(self, key: str, rows: list[Row], *, newline: bool) -> None:
        data = encode(rows, self.extension, ends_with_newline=newline)
        self.bucket.objects[DATA, key] = data
        self.versions[f"{key} {etag(data)}"] = Version(key=key, data=data, rows=tuple(rows))

    @precondition(lambda self: any(bucket == DATA for bucket, _ in self.bucket.objects))
    @rule(pick=picks)
    def delete(self, pick: int) -> None:
        there = sorted(place for place in self.bucket.objects if place[0] == DATA)
        if len(there) > 1 or pick % 3 == 0:  # an input that is gone for good tells little
            del self.bucket.objects[there[pick % len(there)]]

    @precondition(lambda self: self.runs)
    @rule(pick=picks)
    def restore(self, pick: int) -> None:
        """Somebody puts back what a run had pinned."""
        for pin in self.pins_of(self.some_run(pick)):
            self.bucket.objects[DATA, pin.key] = self.version_of(pin).data

    # --- joining ---------------------------------------------------------------------------------------------------

    def request(self, run: int, by: int, where: int) -> RunRequest:
        choices = LINES_BY if self.extension == "txt" else COLUMNS_BY
        return RunRequest(
            run_id=RunId(RUN_IDS[run % len(RUN_IDS)]),
            job="words",
            input_uri=INPUTS[where % len(INPUTS)],
            output_uri="s3://data-bucket/out/",
            shard_by=choices[by % len(choices)],
            options=RunOptions(),
            queue="spot",
            job_definition="spotproof-words",
        )

    @rule(run=picks, by=picks, where=picks)
    def join(self, run: int, by: int, where: int) -> None:
        self.attempt(self.request(run, by, where), changed=False)

    @precondition(lambda self: self.died)
    @rule(pick=picks)
    def submit_again(self, pick: int) -> None:
        """After its worker died: whatever it left behind serves or does not matter."""
        self.attempt(self.died.pop(pick % len(self.died)), changed=False)

    @rule(
        run=picks,
        by=picks,
        where=picks,
        what=st.sampled_from(DISTURBANCES),
        at=st.integers(1, 8),
        fault=faults,
        numbers=key_lists,
    )
    def join_disturbed(
        self, run: int, by: int, where: int, what: str, at: int, fault: Fault | None, numbers: list[int]
    ) -> None:
        request = self.request(run, by, where)
        struck: list[str] = []

        def meanwhile(do: Callable[[], None]) -> Callable[[], None]:
            def strike() -> None:
                self.bucket.interference = None
                struck.append(what)
                self.table.arm(None)
                do()

            return strike

        actions: dict[str, Callable[[], None]] = {
            "time-out before": time_out,
            "time-out after": time_out,
            "killed before": die,
            "killed after": die,
            "an equal joiner": lambda: self.attempt(replace(request, queue="on-demand"), changed=False),
            "another submission": lambda: self.attempt(replace(request, job="letters"), changed=False),
            "the input changes": lambda: self.put("a", numbers, newline=True),
        }
        if what in actions:
            self.bucket.requests = 0
            self.bucket.interference = Interference(
                at=at, what=meanwhile(actions[what]), before=not what.endswith("after")
            )
        self.table.arm(fault)
        try:
            self.attempt(request, changed=what == "the input changes")
        finally:
            self.table.arm(None)
        if struck == ["the input changes"]:
            self.note("the input changes during planning")
        if struck == ["an equal joiner"]:
            self.note("an equal joiner is faster")

    def attempt(self, request: RunRequest, *, changed: bool) -> None:
        """One worker joins; what it gets must be the run of that id, or the reason why it can't have it."""
        before = self.runs.get(request.run_id)
        planned = (WORK, plan_key(request.run_id, request.parameters_sha256)) in self.bucket.objects
        wanted = Counter(row.serial for row in self.input_rows(request.input_uri))
        joiner = RunJoiner(store=self.store, s3=self.s3, retrier=self.retrier, clock=self.clock, work_bucket=WORK)
        try:
            run = joiner.join(request)
        except Crash:
            self.note("a planner dies")
            self.died.append(request)
            return
        except RunConflictError:
            stored = self.stored(request.run_id)
            assert stored is not None
            assert stored.parameters_sha256 != request.parameters_sha256, "K1: an equal submission is refused"
            self.note("another submission is refused")
            return
        except InputChangedError:
            assert changed, "the input is said to have changed"
            return
        except InputError as error:
            assert before is None
            self.check_refusal(str(error), wanted, changed=changed)
            return
        except AwsError:
            return
        finally:
            self.bucket.interference = None
            self.learn_of_runs()
        assert run == self.stored(request.run_id), "a run that is not the stored one"
        assert run.parameters_sha256 == request.parameters_sha256, "K1: another submission's run"
        if before is not None:
            assert run == before, "K1: a run changed"
            self.note("a run is joined")
            return
        self.note("a dead planner's plan is used" if planned else "a run is planned")
        if not changed and not planned:
            found = Counter(row.serial for pin in self.pins_of(run) for row in self.version_of(pin).rows)
            assert found == wanted, "the plan leaves out or invents records"

    def check_refusal(self, text: str, wanted: Counter[int], *, changed: bool) -> None:
        if "more than" in text:
            self.note("too many shards are refused")
        elif not changed:
            assert not wanted, f"records there are, yet: {text}"
            self.note("an empty input is refused")

    def input_rows(self, uri: str) -> list[Row]:
        """Rows of the data objects at or under the address, as they are now."""
        prefix = uri.removeprefix(f"s3://{DATA}/")
        folder = prefix if prefix.endswith("/") else prefix + "/"
        return [
            row
            for (bucket, key), data in self.bucket.objects.items()
            if bucket == DATA and key.startswith(folder) and is_seen(key)
            for row in self.versions[f"{key} {etag(data)}"].rows
        ]

    def stored(self, run_id: RunId) -> Run | None:
        self.table.arm(None)
        return self.store.get_run(run_id)

    def learn_of_runs(self) -> None:
        for run_id in RUN_IDS:
            run = self.stored(RunId(run_id))
            if run is not None:
                self.runs.setdefault(run.run_id, run)

    # --- reading ---------------------------------------------------------------------------------------------------

    @property
    def s3(self) -> Any:
        return self.bucket

    def plan_of(self, run: Run) -> PlanReader:
        return PlanReader(s3=self.s3, retrier=self.retrier, bucket=WORK, key=run.plan_key, sha256=run.plan_sha256)

    def some_run(self, pick: int) -> Run:
        runs = sorted(self.runs)
        return self.runs[runs[pick % len(runs)]]

    def shards_of(self, run: Run) -> list[PlannedShard]:
        plan = self.plan_of(run)
        assert plan.header.shards == run.shards
        if run.shards > 6:
            self.note("a plan of many pages")
        order = list(range(run.shards))
        random.Random(run.shards).shuffle(order)
        by_index = {index: plan.shard(index) for index in order}  # in any order, over pages that come and go
        return [by_index[index] for index in range(run.shards)]

    def pins_of(self, run: Run) -> list[ObjectPin]:
        return sorted({part.pin for shard in self.shards_of(run) for part in shard.parts}, key=lambda pin: pin.key)

    def version_of(self, pin: ObjectPin) -> Version:
        return self.versions[f"{pin.key} {pin.etag}"]

    def is_there(self, pin: ObjectPin) -> bool:
        return self.bucket.objects.get((DATA, pin.key)) == self.version_of(pin).data

    def serials(self, run: Run, shard: PlannedShard, *, records: int, pause_after: int | None) -> list[int]:
        """What a shard's readers see: one, or a second that goes on behind batch number `pause_after`."""
        header = self.plan_of(run).header
        seen: list[int] = []
        reader = ShardReader(shard, header, s3=self.s3, retrier=self.retrier)
        for number, batch in enumerate(reader.batches(records=records)):
            seen.extend(serial_of(record) for record in batch.records)
            if number == pause_after:
                rest = ShardReader(shard, header, s3=self.s3, retrier=self.retrier)
                for later in rest.batches(after=batch.end, records=records + 1):
                    seen.extend(serial_of(record) for record in later.records)
                self.note("a shard is read in two parts")
                break
        return seen

    @precondition(lambda self: self.runs)
    @rule(pick=picks, records=st.integers(1, 7), pause_after=st.integers(0, 3))
    def read(self, pick: int, records: int, pause_after: int) -> None:
        """Every shard of a run: its own records, or a refusal that names a changed object."""
        run = self.some_run(pick)
        shards = self.shards_of(run)
        found: Counter[int] = Counter()
        complete = True
        owner: dict[Any, set[int]] = defaultdict(set)
        keys = {row.serial: row.key for pin in self.pins_of(run) for row in self.version_of(pin).rows}
        for shard in shards:
            intact = all(self.is_there(part.pin) for part in shard.parts)
            try:
                serials = self.serials(run, shard, records=records, pause_after=pause_after)
            except InputChangedError:
                assert not intact, "D6: an unchanged object is refused"
                self.note("a changed object is refused")
                complete = False
                continue
            assert intact, "D6: a changed object was read"
            assert set(serials) <= keys.keys(), "D6: a record that was not planned"
            found.update(serials)
            for serial in serials:
                owner[repr(keys[serial])].add(shard.index)
        if complete:
            assert found == Counter(keys.keys()), "every record is in exactly one shard"
            self.note("every record once")
            self.check_keys(run, owner, keys)

    def check_keys(self, run: Run, owner: dict[Any, set[int]], keys: dict[int, Any]) -> None:
        """D7: shards by hash or range never share a key."""
        strategy = self.plan_of(run).header.strategy
        if strategy.startswith(("hash", "range")):
            shared = [key for key, shards in owner.items() if len(shards) > 1]
            assert not shared, f"D7: {shared} lie in several shards of {strategy}"
            if max(Counter(keys.values()).values(), default=0) > GIANT_ROWS // 4:
                self.note("a key that many rows share")

    # --- what must hold --------------------------------------------------------------------------------------------

    @invariant()
    def a_plan_is_never_written_twice(self) -> None:
        for (bucket, key), data in self.bucket.objects.items() if hasattr(self, "bucket") else ():
            if bucket == WORK:
                assert self.first_plans.setdefault(key, data) == data, "I4: a plan was replaced"

    def teardown(self) -> None:
        self.patches.undo()

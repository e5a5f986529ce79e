"""The catalogue of faults: every id of the plan, what it is, and which names in the book of faults play it where."""

from dataclasses import dataclass
from typing import Final

from lambdas.functions import FUNCTIONS
from simulation.cloud.batch_attempts import ContainerFate
from simulation.cloud.batch_blocked import UNDETERMINED
from simulation.cloud.fates import Fate
from simulation.cloud.instance import Lifecycle
from simulation.faults.calls import CallFault
from simulation.faults.drawn import SAVES
from spotproof.interruptions.imds import NOTICE_PATH, REBALANCE_PATH, ROOT
from spotproof.worker.host import IDENTITY_PATH
from stacks.routes import EVENT_ROUTES

EVERY_CALL: Final[tuple[str, ...]] = ()  # every site of an AWS call at which the fault can strike: the campaign knows
ALL: Final = tuple(function.service for function in FUNCTIONS)
EVENT_DRIVEN: Final = tuple(route.handler.split(".")[1] for route in EVENT_ROUTES if not route.every_minutes)
SPOT: Final = f"ec2 {Lifecycle.SPOT}"
ON_DEMAND: Final = f"ec2 {Lifecycle.ON_DEMAND}"
FACTS: Final = tuple(
    f"worker {path}"
    for path in (
        "latest/api/token", ROOT + "instance-id", ROOT + "instance-type", ROOT + "instance-life-cycle",
        ROOT + "placement/availability-zone", NOTICE_PATH, REBALANCE_PATH, IDENTITY_PATH,
    )
)  # fmt: skip
STALE_READS: Final = (
    "dynamodb.query claimable shards", "dynamodb.query partition", "dynamodb.query runs by activity",
    "dynamodb.query sessions on instance", "dynamodb.get_item top-up",
)  # fmt: skip
UPLOAD: Final = tuple(
    f"worker s3.{operation}"
    for operation in (
        "create_multipart_upload staging", "upload_part staging", "complete_multipart_upload staging",
        "create_multipart_upload data", "upload_part_copy data", "complete_multipart_upload data",
    )
)  # fmt: skip
MOMENTS: Final = tuple(
    f"worker {call}"
    for call in (
        "dynamodb.update_item hold", "s3.put_object checkpoint", "dynamodb.update_item record checkpoint",
        "s3.put_object staging", "dynamodb.update_item commit", "s3.get_object checkpoint",
    )
)  # fmt: skip
CONTROL_TESTS: Final = "tests/simulation/test_control.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One name in the book, and the sites where it must have struck in a campaign."""

    name: str
    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One id. `elsewhere`: a test that plays it, where no name in the book does; `note`: what is not played, and why."""

    id: str
    words: str
    plays: tuple[Play, ...] = ()
    elsewhere: tuple[str, ...] = ()
    note: str = ""


def _play(name: str, *sites: str) -> Play:
    return Play(name=str(name), sites=sites)


def _has(name: str) -> Play:
    """A property that some worlds have from their beginning."""
    return Play(name=name, sites=("scenario",))


_CATALOGUE: Final = (
    Fault(id="E1", words="event delivered twice", plays=(_play("E1", *ALL),)),
    Fault(
        id="E2",
        words="event late: minutes to hours, or a notice shortly before the end",
        plays=(_play("E2", *ALL), _play(Fate.LATE_NOTICE, SPOT)),
    ),
    Fault(id="E3", words="events out of order", plays=(_play("E3", *ALL),)),
    Fault(
        id="E4",
        words="event missing; no notice at all, or none in instance metadata",
        plays=(_play("E4", *ALL), _play("E4 notice not in metadata", "imds"), _play(Fate.RECLAIMED_UNANNOUNCED, SPOT)),
    ),
    Fault(id="E5", words="forged or malformed event", plays=(_play("E5", *EVENT_DRIVEN),)),
    Fault(
        id="E6", words="unknown instance, job or run, other account or region", plays=(_play("E6", *EVENT_DRIVEN),)
    ),
    Fault(id="E7", words="unknown extra fields", plays=(_play("E7", *EVENT_DRIVEN),)),
    Fault(id="E8", words="rebalance recommendation without a notice", plays=(_play(Fate.REBALANCE_ONLY, SPOT),)),
    Fault(id="E9", words="notice without an interruption", plays=(_play(Fate.WARNING_ONLY, SPOT),)),
    Fault(
        id="E10",
        words="job event before or after the shards' own changes",
        plays=(_play("E2", "job_state_change"), _play("E3", "job_state_change")),
    ),
    Fault(
        id="E11",
        words="burst of notices",
        plays=(_play("E11", "spot_interruption"),),
        note="20 at once, in one world of thirty 1,000: each costs an invocation",
    ),
    Fault(id="L1", words="function hangs to its time-out after any of its calls", plays=(_play("L1", *ALL),)),
    Fault(id="L2", words="function given up and retried, and it goes on", plays=(_play("L2", *ALL),)),
    Fault(id="L3", words="function throttled, or without concurrency", plays=(_play("L3", *ALL),)),
    Fault(id="L4", words="cold start longer than a notice", plays=(_play("L4", *ALL),)),
    Fault(id="L5", words="dead letter sent again hours later", plays=(_play("L5", *ALL),)),
    Fault(
        id="L6",
        words="batch that fails in part",
        plays=(_play("A2 entry refused", "events.put_events"),),
        note="no function has a batch source; PutEvents, which answers entry by entry, plays it",
    ),
    Fault(id="L7", words="two versions of a function at once", plays=(_play("L7", *ALL),)),
    Fault(id="L8", words="function out of memory", plays=(_play("L8", *ALL),)),
    Fault(id="A1", words="call throttled", plays=(_play(CallFault.THROTTLED, *EVERY_CALL),)),
    Fault(
        id="A2",
        words="call fails before its effect, or reaches nobody",
        plays=(
            _play(CallFault.FAILED_BEFORE, *EVERY_CALL),
            _play(CallFault.UNREACHABLE, *EVERY_CALL),
            _play("A2 entry refused", "events.put_events"),
        ),
    ),
    Fault(
        id="A3",
        words="call takes effect, its answer is lost",
        plays=(_play(CallFault.FAILED_AFTER, *EVERY_CALL), _play(CallFault.TIMED_OUT_AFTER, *EVERY_CALL)),
    ),
    Fault(
        id="A4",
        words="failed condition, by ourselves (late duplicate, lost answer) or by others; conflict of S3 writes",
        plays=(_play(CallFault.SENT_TWICE, *EVERY_CALL), _play(CallFault.CONFLICTED, *EVERY_CALL)),
        note="by others: every race of two workers",
    ),
    Fault(
        id="A5",
        words="S3 says SlowDown, or its answer breaks off",
        plays=(_play(CallFault.SLOW_DOWN, *EVERY_CALL), _play(CallFault.CUT, *EVERY_CALL)),
    ),
    Fault(
        id="A6",
        words="multipart upload left in part, completed twice, not aborted",
        plays=(
            _has("A6 written in parts"),
            _play(CallFault.KILLED_BEFORE, *UPLOAD),
            _play(CallFault.SENT_TWICE, *UPLOAD),
            _play(CallFault.FAILED_AFTER, *UPLOAD),
        ),
        elsewhere=("tests/simulation/test_s3_faults.py",),
        note="the same at the finalizer's copies",
    ),
    Fault(
        id="A7",
        words="stale eventually consistent read",
        plays=(_play("A7", *STALE_READS), _play("A7 job not listed yet", "batch.list_jobs")),
    ),
    Fault(id="A8", words="credentials expire for a while", plays=(_play(CallFault.EXPIRED, *EVERY_CALL),)),
    Fault(
        id="A9", words="instance metadata unreachable, slow, refusing, or talking nonsense", plays=(_play("A9", *FACTS),)
    ),
    Fault(id="A10", words="signature refused for a wrong clock", plays=(_play(CallFault.SKEWED, *EVERY_CALL),)),
    Fault(
        id="A11",
        words="access to one prefix denied for a while, or to one object or the pointer of a save",
        plays=(_play(CallFault.DENIED, *EVERY_CALL), _play(CallFault.REFUSED, *SAVES)),
    ),
    Fault(
        id="A12",
        words="object deleted by a lifecycle rule or a person",
        plays=(_play("A12 checkpoint vanished", "world"), _play("A12 stop file vanished", "world")),
    ),
    Fault(
        id="A13",
        words="transaction cancelled by another one; error text beyond an item's size",
        plays=(_play("A13", "dynamodb.transact_write_items"), _play("A13 huge error", "user code")),
    ),
    Fault(id="A14", words="a service answers nobody for minutes", plays=(_play(CallFault.OUTAGE, *EVERY_CALL),)),
    Fault(
        id="A15",
        words="queries answered in pages",
        plays=(_has("A15 queries in pages"),),
        note="a page holds 1,000 or 2,500 bytes instead of 1 MB; listings of S3 and Batch break after 1 to 3 entries",
    ),
    Fault(id="A16", words="S3 slow: seconds a request, for minutes", plays=(_play(CallFault.SLOW, *EVERY_CALL),)),
    Fault(
        id="P1",
        words="killed at any call; host gone without a word; host that never boots",
        plays=(
            _play(CallFault.KILLED_BEFORE, *EVERY_CALL),
            _play(CallFault.KILLED_AFTER, *EVERY_CALL),
            _play(Fate.HOST_FAILURE, SPOT, ON_DEMAND),
            _play("P1 host too", "ec2 worker"),
            _play("P1 boot failed", SPOT, ON_DEMAND),
        ),
    ),
    Fault(
        id="P2",
        words="SIGTERM, and SIGKILL 30 or 110 s later",
        plays=(_play(ContainerFate.STOPPED, "batch"),),
    ),
    Fault(
        id="P3",
        words="process stands still and goes on as a zombie",
        plays=(
            _play(CallFault.PAUSED_BEFORE, *EVERY_CALL),
            _play(CallFault.PAUSED_AFTER, *EVERY_CALL),
            _play(Fate.SUSPENDED, SPOT, ON_DEMAND),
        ),
    ),
    Fault(id="P4", words="container out of memory", plays=(_play(ContainerFate.OUT_OF_MEMORY, "batch"),)),
    Fault(
        id="P5",
        words="disk full",
        plays=(_play("P5 disk full", "user code"),),
        note="a file system that turns read-only is the same OSError to the worker",
    ),
    Fault(id="P6", words="heartbeat's thread gone, the rest works on", plays=(_play("P6 heartbeat died", "world"),)),
    Fault(
        id="P7",
        words="user code hangs, raises, exits",
        plays=(_play("P7 hangs", "user code"), _play("P7 raises", "user code"), _play("P7 exits", "user code")),
        note="gigabytes on standard output are the log driver's: nothing of ours reads them",
    ),
    Fault(
        id="P8",
        words="interrupted before the first claim, during a save, a commit, a restore",
        plays=(
            _play(Fate.NOTICE, SPOT),
            _play(Fate.REBALANCE_THEN_NOTICE, SPOT),
            _play("P8 cannot pull", "batch"),
            _play(CallFault.KILLED_BEFORE, *MOMENTS),
            _play(CallFault.KILLED_AFTER, *MOMENTS),
        ),
    ),
    Fault(
        id="P9",
        words="interrupted again while recovering",
        plays=(_play(CallFault.KILLED_AFTER, "worker s3.get_object checkpoint"),),
        note="notices and failures of hosts strike at any time, also while a worker restores",
    ),
    Fault(
        id="P10", words="all instances at once", plays=(_play(Fate.ALL_NOTICED, SPOT), _play(Fate.ALL_FAILED, SPOT))
    ),
    Fault(
        id="P11",
        words="no capacity for hours",
        plays=(
            _play("P11 no spot capacity", SPOT),
            _play("P11 no on-demand capacity", ON_DEMAND),
            _has("P11 spot dries up"),
            _has("P11 spot dries up for good"),
            _play(UNDETERMINED, SPOT),
        ),
        note="Batch says that a queue is blocked, and at times not why",
    ),
    Fault(id="C1", words="wall clocks wrong by up to ten minutes", plays=(_has("C1 wrong clocks"),)),
    Fault(id="C2", words="wall clock jumps", plays=(_play("C2 clock jumped", "world"),)),
    Fault(id="C3", words="monotonic clock stands", plays=(_play(Fate.SUSPENDED, SPOT, ON_DEMAND),)),
    Fault(
        id="C4",
        words="summer time, leap second and turn of the year in time shards",
        plays=(_has("C4 time shards over a change of clocks"),),
    ),
    Fault(
        id="D1",
        words="checkpoint damaged, cut short or foreign; or forged, under a right digest",
        plays=(
            _play("D1 checkpoint damaged", "world"),
            _play("D1 damaged when handed on", "world"),
            _play("D1 checkpoint forged", "world"),
        ),
    ),
    Fault(
        id="D2",
        words="checkpoint of another version",
        plays=(_play("D2 newer checkpoint", "world"),),
        note="no version wrote an older schema than this one",
    ),
    Fault(id="D3", words="poison record", plays=(_has("D3 poison record"),)),
    Fault(id="D4", words="empty object", plays=(_has("D4 empty object"),)),
    Fault(id="D5", words="one giant object", plays=(_has("D5 giant object"),)),
    Fault(id="D6", words="input changed during the run", plays=(_play("D6 input changed", "world"),)),
    Fault(
        id="D7", words="equal values at range boundaries", plays=(_has("D7 equal values at range boundaries"),)
    ),
    Fault(id="D8", words="keys in unicode", plays=(_has("D8 unicode keys"),)),
    Fault(
        id="K1",
        words="submitted twice, by people or by Batch",
        plays=(_play("K1 submitted twice", "world"), _play(ContainerFate.TAKEN_FOR_LOST, "batch")),
    ),
    Fault(id="K2", words="cancelled while it works and commits", plays=(_play("K2 cancelled", "world"),)),
    Fault(id="K3", words="table restored to an earlier moment", plays=(_play("K3 table restored", "world"),)),
    Fault(
        id="K4",
        words="two runs with one output prefix",
        elsewhere=(f"{CONTROL_TESTS}::test_two_runs_with_one_output_prefix",),
        note="a configuration, not a fault of a moment",
    ),
    Fault(
        id="K5",
        words="stack deleted under a running job",
        elsewhere=(f"{CONTROL_TESTS}::test_a_stack_deleted_under_a_running_job",),
        note="after it no run can end well",
    ),
    Fault(
        id="K6",
        words="rows and checkpoints of a newer version",
        plays=(_play("K6 newer row", "world"), _play("D2 newer checkpoint", "world")),
    ),
)  # fmt: skip
CATALOGUE: Final = {fault.id: fault for fault in _CATALOGUE}


def markdown() -> str:
    """The table of docs/simulation.md."""
    rows = ["| id | what goes wrong | played by | where |", "|---|---|---|---|"]
    for fault in CATALOGUE.values():
        names = [_shown(play) for play in fault.plays] + [f"`{test}`" for test in fault.elsewhere]
        sites = list(dict.fromkeys(_place(play) for play in fault.plays)) + [fault.note] * bool(fault.note)
        rows.append(f"| {fault.id} | {fault.words} | {', '.join(names)} | {'; '.join(sites)} |")
    return "\n".join(rows) + "\n"


def _shown(play: Play) -> str:
    return f"`{play.name}`"


def _place(play: Play) -> str:
    if play.sites == EVERY_CALL:
        return "every AWS call"
    if play.sites == ALL:
        return "every function"
    if play.sites == EVENT_DRIVEN:
        return "every function that takes events"
    return ", ".join(f"`{site}`" for site in play.sites)

"""The dashboard as facts: rows that each answer a question, and what is drawn in them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spotproof import contract, events

SUM, MAX, MIN, AVERAGE = "Sum", "Maximum", "Minimum", "Average"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One metric of ours in a graph."""

    metric: str
    statistic: str = SUM
    label: str = ""
    lifecycle: str = ""  # of those workers only
    right: bool = False  # on an axis of its own, for it is of another unit or size


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Lines over time; the unit is in the title, or in the label of a line at the right."""

    title: str
    lines: tuple[Line, ...]
    period_s: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The answer to a saved query."""

    query: str


class Native(StrEnum):
    """What AWS measures itself, at no charge."""

    FUNCTION_ERRORS = "Errors of functions"
    GIVEN_UP = "Events given up, requests throttled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question; at most four things fit side by side."""

    asks: str
    hint: str
    shows: tuple[Graph | Table | Native, ...]


ROWS: Final = (
    Row(
        asks="Is it moving?",
        hint="Claimable shards go down and done ones up. Age grows while nobody takes a shard: look at the last row.",
        shows=(
            Graph(
                title="Shards of runs that go on",
                lines=(
                    Line(metric=events.METRIC_SHARDS_CLAIMABLE, statistic=MAX),
                    Line(metric=events.METRIC_SHARDS_LEASED, statistic=MAX),
                    Line(metric=events.METRIC_SHARDS_DONE, statistic=MAX),
                ),
            ),
            Graph(
                title="Commits a minute",
                lines=(
                    Line(metric=events.METRIC_SHARDS_COMMITTED),
                    Line(metric=events.METRIC_RECORDS_COMMITTED, right=True),
                ),
            ),
            Graph(
                title="Longest wait of a shard, s",
                lines=(Line(metric=events.METRIC_OLDEST_CLAIMABLE_S, statistic=MAX),),
            ),
            Graph(
                title="Runs and workers",
                lines=(
                    Line(metric=events.METRIC_RUNS_ACTIVE, statistic=MAX),
                    Line(metric=events.METRIC_SPOT_WORKERS, statistic=MAX),
                    Line(metric=events.METRIC_ON_DEMAND_WORKERS, statistic=MAX),
                ),
            ),
        ),
    ),
    Row(
        asks="Is Spot hurting?",
        hint="Interruptions are normal; lost work and short notices are not.",
        shows=(
            Graph(
                title="Interruptions",
                lines=(
                    Line(metric=events.METRIC_INTERRUPTION_WARNINGS),
                    Line(metric=events.METRIC_REBALANCE_RECOMMENDATIONS),
                    Line(metric=events.METRIC_INSTANCES_TERMINATED),
                    Line(metric=events.METRIC_POOLS_OPEN, statistic=MAX),
                ),
                period_s=300,
            ),
            Graph(
                title="Work lost, ms",
                lines=(
                    Line(metric=events.METRIC_WORK_LOST_MS),
                    Line(metric=events.METRIC_WORK_LOST_MS, label="on Spot", lifecycle=contract.LIFECYCLE_SPOT),
                ),
                period_s=300,
            ),
            Graph(
                title="Going on elsewhere, ms",
                lines=(
                    Line(metric=events.METRIC_RESUME_MS, statistic="p50", label="resume, p50"),
                    Line(metric=events.METRIC_RESUME_MS, statistic="p99", label="resume, p99"),
                    Line(metric=events.METRIC_NOTICE_LEFT_MS, statistic=MIN, label="least left of a notice"),
                ),
                period_s=300,
            ),
            Table(query="interruptions-by-pool"),
        ),
    ),
    Row(
        asks="Are we safe?",
        hint="A lost lease is one more worker that was refused in time. Quarantined shards are missing in the output.",
        shows=(
            Graph(
                title="Shards in trouble",
                lines=(
                    Line(metric=events.METRIC_SHARDS_FAILED),
                    Line(metric=events.METRIC_SHARDS_QUARANTINED),
                    Line(metric=events.METRIC_LEASES_LOST),
                ),
                period_s=300,
            ),
            Graph(
                title="Taken from silent or dying workers",
                lines=(
                    Line(metric=events.METRIC_SHARDS_REQUEUED),
                    Line(metric=events.METRIC_SESSIONS_RESCUED),
                ),
                period_s=300,
            ),
            Graph(
                title="Checkpoints, ms",
                lines=(
                    Line(metric=events.METRIC_CHECKPOINT_MS, statistic="p95", label="until durable, p95"),
                    Line(metric=events.METRIC_CHECKPOINT_STALL_MS, statistic=MAX, label="job held, longest"),
                    Line(metric=events.METRIC_CHECKPOINT_FAILURES, label="failures", right=True),
                ),
                period_s=300,
            ),
            Graph(
                title="Checkpoint bytes",
                lines=(Line(metric=events.METRIC_CHECKPOINT_BYTES),),
                period_s=300,
            ),
        ),
    ),
    Row(
        asks="Is the control plane healthy?",
        hint="The heartbeat is one a minute. Of a notice's 120 seconds the stop file takes a few.",
        shows=(
            Graph(
                title="Controller",
                lines=(
                    Line(metric=events.METRIC_CONTROLLER_HEARTBEAT),
                    Line(metric=events.METRIC_CONTROLLER_FAILURES),
                ),
            ),
            Graph(
                title="From notice to stop file, ms",
                lines=(Line(metric=events.METRIC_STOP_FILE_LATENCY_MS, statistic="p99"),),
                period_s=300,
            ),
            Native.FUNCTION_ERRORS,
            Native.GIVEN_UP,
        ),
    ),
    Row(
        asks="What does it cost?",
        hint="Of runs as they end. Efficiency is useful of paid vCPU-seconds.",
        shows=(
            Graph(
                title="US dollars of runs that ended, an hour",
                lines=(
                    Line(metric=events.METRIC_RUN_COST_USD),
                    Line(metric=events.METRIC_RUN_SAVED_USD, label="saved against on-demand"),
                ),
                period_s=3600,
            ),
            Graph(
                title="Efficiency",
                lines=(Line(metric=events.METRIC_EFFICIENCY, statistic=AVERAGE),),
                period_s=3600,
            ),
            Graph(
                title="vCPU-seconds of runs that ended, an hour",
                lines=(
                    Line(metric=events.METRIC_USEFUL_VCPU_S),
                    Line(metric=events.METRIC_PAID_VCPU_S),
                    Line(metric=events.METRIC_RUN_S, statistic=MAX, label="longest run, s", right=True),
                ),
                period_s=3600,
            ),
            Graph(
                title="On-demand workers",
                lines=(
                    Line(metric=events.METRIC_ON_DEMAND_ADDED),
                    Line(metric=events.METRIC_ON_DEMAND_RETIRED),
                ),
                period_s=300,
            ),
        ),
    ),
    Row(
        asks="What do workers wait for?",
        hint="Batch's own words, and what helps; `spotproof status` says the same of one run.",
        shows=(
            Graph(
                title="Workers without a host",
                lines=(
                    Line(metric=events.METRIC_WORKERS_WAITING, statistic=MAX),
                    Line(metric=events.METRIC_WORKERS_STUCK, statistic=MAX),
                    Line(metric=events.METRIC_QUEUES_BLOCKED),
                ),
            ),
            Graph(
                title="Workers that ended",
                lines=(
                    Line(metric=events.METRIC_WORKERS_FAILED),
                    Line(metric=events.METRIC_WORKERS_REPLACED),
                ),
                period_s=300,
            ),
            Table(query="workers-waiting"),
            Table(query="failures"),
        ),
    ),
)

# Emitted and on no graph: what they are for is said in docs/monitoring.md.
NOT_DRAWN: Final = (
    events.METRIC_EVENTS_REJECTED,  # an alarm and a query
    events.METRIC_RUNS_PAUSED,  # an alarm
    events.METRIC_RUNS_FINISHED,
    events.METRIC_STOP_FILES_WRITTEN,
    events.METRIC_ORPHANS_DELETED,
)

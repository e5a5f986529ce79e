"""The vocabulary: every metric that the exporter shows, with its labels. Rules and dashboards quote these names."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PREFIX: Final = "spotproof_"
SERIES_MAX: Final = 200  # of one metric; what comes later is counted under OTHER
OTHER: Final = "other"


class Kind(StrEnum):
    """Prometheus's types, as far as they are used."""

    GAUGE = "gauge"  # as last read; gone when what it tells of is gone
    COUNTER = "counter"  # since this exporter started; never falls


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. `open_label` is the label whose values come from outside: it becomes OTHER when there are too many."""

    name: str  # without PREFIX; a counter's ends in _total
    kind: Kind
    help: str  # one sentence with its unit
    labels: tuple[str, ...] = ()
    open_label: str | None = None

    @property
    def full_name(self) -> str:
        return PREFIX + self.name

    def values(self, given: Mapping[str, str]) -> tuple[str, ...]:
        """The values of `labels` in their order."""
        assert given.keys() == set(self.labels), f"{self.name} has the labels {self.labels}, not {sorted(given)}"
        return tuple(given[label] for label in self.labels)

    def folded(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """The series that is used instead when there are SERIES_MAX of them."""
        return tuple(
            OTHER if label == self.open_label else value for label, value in zip(self.labels, values, strict=True)
        )


def _gauge(name: str, text: str, *labels: str, open_label: str | None = None) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, help=text, labels=labels, open_label=open_label)


def _counter(name: str, text: str, *labels: str, open_label: str | None = None) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, help=text, labels=labels, open_label=open_label)


# --- runs, from the table --------------------------------------------------------------------------------------------
RUNS: Final = _gauge("runs", "Live runs by state.", "state")
RUNS_ENDED: Final = _counter("runs_ended_total", "Runs that ended, by how.", "state")
SHARDS: Final = _gauge("shards", "Shards of live runs by state.", "job_name", "state", open_label="job_name")
SHARDS_FINISHED: Final = _counter(
    "shards_finished_total", "Shards committed or quarantined.", "job_name", "outcome", open_label="job_name"
)
RUN_PAUSED: Final = _gauge("run_paused", "1 while the run is paused, else 0.", "run")
RUN_SHARDS: Final = _gauge("run_shards", "Shards of a live run by state.", "run", "state")
RUN_WORKERS: Final = _gauge("run_workers", "Live workers of a live run.", "run", "lifecycle")
RUN_REQUEUED_AGE: Final = _gauge(
    "run_oldest_requeued_age_seconds",
    "Since when the longest waiting shard that was handed back waits for a worker; 0 if none does.",
    "run",
)
RUN_ETA: Final = _gauge("run_eta_seconds", "Seconds to the end if the shards left go as the finished ones did.", "run")
RUN_COST: Final = _gauge("run_cost_usd", "What a live run cost so far, at the prices of now.", "run")
RUN_ON_DEMAND_COST: Final = _gauge(
    "run_on_demand_cost_usd", "What the seconds of a live run's workers would have cost on demand.", "run"
)
RUN_WORKERS_COST: Final = _gauge(
    "run_workers_cost_usd",
    "The part of run_cost_usd that its workers' seconds cost: what on demand is compared with.",
    "run",
)
RUN_WASTED: Final = _gauge("run_wasted_usd", "Of run_cost_usd, everything but work at Spot's price.", "run")
RUN_BUDGET: Final = _gauge("run_budget_usd", "Dollars at which the run pauses; absent without a budget.", "run")
RUN_INTERRUPTIONS: Final = _gauge("run_interruptions", "Workers of a live run that were interrupted, so far.", "run")

# --- workers, from the sessions of the table ---------------------------------------------------------------------------
WORKERS_STARTED: Final = _counter("workers_started_total", "Workers that opened a session.", "lifecycle")
INTERRUPTIONS: Final = _counter(
    "interruptions_total",
    "Workers that were interrupted, by Spot pool and by how it was learned.",
    "pool",
    "signal",
    open_label="pool",
)
REBALANCES: Final = _counter(
    "rebalance_recommendations_total", "Workers whose host was recommended to be replaced.", "pool", open_label="pool"
)
WORKER_SECONDS: Final = _counter(
    "worker_seconds_total",
    "Seconds that workers reported by what they did; work that was lost is part of work.",
    "lifecycle",
    "activity",
)
WORK_LOST: Final = _counter(
    "work_lost_seconds_total", "Of work, the seconds since the last save that nobody has any more.", "lifecycle"
)
COST: Final = _counter("cost_usd_total", "Dollars that runs cost, at the prices when they were read.", "lifecycle")
COST_SPARED: Final = _counter(
    "cost_spared_usd_total",
    "Dollars of cost_usd_total that turned out not to be charged: hosts taken in their first hour.",
    "lifecycle",
)

# --- Batch -------------------------------------------------------------------------------------------------------------
WORKERS: Final = _gauge("workers", "Workers that Batch knows, by how far they are.", "lifecycle", "state")
WORKERS_WAITING: Final = _gauge("workers_waiting", "Workers that have not started, by why.", "reason")
REQUESTED_VCPUS: Final = _gauge("requested_vcpus", "vCPUs that waiting and running workers ask for.", "lifecycle")
ENVIRONMENT_VCPUS: Final = _gauge(
    "environment_vcpus",
    "vCPUs that a compute environment runs or starts (desired) and may run (max).",
    "environment",
    "lifecycle",
    "bound",
    open_label="environment",
)
ENVIRONMENT_USABLE: Final = _gauge(
    "environment_usable", "1 if Batch places jobs in the environment, else 0.", "environment", open_label="environment"
)

# --- EC2 and Auto Scaling ------------------------------------------------------------------------------------------------
NODES: Final = _gauge("nodes", "Instances that are pending or running.", "lifecycle")
ALLOCATABLE_VCPUS: Final = _gauge("allocatable_vcpus", "vCPUs of these instances.", "lifecycle")
NODES_ADDED: Final = _counter("nodes_added_total", "Instances that were launched.", "lifecycle")
NODES_REMOVED: Final = _counter("nodes_removed_total", "Instances that are gone, by why.", "lifecycle", "reason")
FAILED_SCALE_UPS: Final = _counter(
    "failed_scale_ups_total",
    "Launches that EC2 refused, by compute environment and why.",
    "environment",
    "reason",
    open_label="environment",
)

# --- the exporter itself -------------------------------------------------------------------------------------------------
INFO: Final = _gauge("exporter_info", "1; the version and the prefix of the stacks that are read.", "version", "prefix")
READING_AGE: Final = _gauge(
    "reading_age_seconds", "How old the numbers of this source are at the moment of the scrape.", "source"
)
READING_DURATION: Final = _gauge("reading_duration_seconds", "How long the last reading took.", "source")
READING_OK: Final = _gauge("reading_ok", "1 if the last reading succeeded, else 0.", "source")
READING_FAILURES: Final = _counter("reading_failures_total", "Readings that failed.", "source")
RUNS_UNREADABLE: Final = _gauge("runs_unreadable", "Live runs with a damaged or too new item: in no other number.")

METRICS: Final = tuple(value for value in vars().copy().values() if isinstance(value, Metric))

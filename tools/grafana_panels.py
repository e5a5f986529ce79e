"""The panels of the Grafana dashboard: questions, and the queries that answer them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

RATE: Final = "$__rate_interval"
RANGE: Final = "$__range"
RUN: Final = 'run=~"$run"'
DEPLOYMENT: Final = 'instance=~"$exporter"'


class View(StrEnum):
    """Grafana's panel types, as far as they are used."""

    LINES = "timeseries"
    NUMBER = "stat"
    TABLE = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """PromQL, and how its series are called; empty: by their labels."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel. `unit` is Grafana's name of it."""

    title: str
    says: str
    queries: tuple[Query, ...]
    unit: str = "short"
    view: View = View.LINES
    width: int = 8  # of 24
    stacked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels that answer one question."""

    question: str
    panels: tuple[Panel, ...]


def _labels(*more: str) -> str:
    return "{" + ", ".join([DEPLOYMENT, *more]) + "}"


def _gauge(name: str, *more: str) -> str:
    return f"spotproof_{name}{_labels(*more)}"


def _sum(name: str, *by: str, where: Sequence[str] = ()) -> str:
    return f"sum by ({', '.join(by)}) ({_gauge(name, *where)})"


def _rate(name: str, *by: str, where: Sequence[str] = ()) -> str:
    return f"sum by ({', '.join(by)}) (rate({_gauge(name, *where)}[{RATE}]))"


def _rise(name: str, *by: str, where: Sequence[str] = ()) -> str:
    return f"sum by ({', '.join(by)}) (increase({_gauge(name, *where)}[{RANGE}]))"


def _share(part: str, whole: str) -> str:
    """0 where there is nothing: a quotient of zeroes is no number."""
    return f"{part} / clamp_min({whole}, 1e-9)"


MOVING: Final = Row(
    question="Is it moving?",
    panels=(
        Panel(
            title="Live runs",
            says="Runs that have not ended.",
            queries=(Query(expr=_sum("runs", "state"), legend="{{state}}"),),
            view=View.NUMBER,
            width=4,
        ),
        Panel(
            title="Runs that ended",
            says="Over the time shown.",
            queries=(Query(expr=_rise("runs_ended_total", "state"), legend="{{state}}"),),
            view=View.NUMBER,
            width=4,
        ),
        Panel(
            title="Shards by state",
            says="Of all live runs. Ready: nobody works on them.",
            queries=(Query(expr=_sum("shards", "state"), legend="{{state}}"),),
            stacked=True,
        ),
        Panel(
            title="Shards finished a minute",
            says="Committed, or given up after repeated failures.",
            queries=(
                Query(
                    expr=f"60 * {_rate('shards_finished_total', 'job_name', 'outcome')}",
                    legend="{{job_name}} {{outcome}}",
                ),
            ),
        ),
        Panel(
            title="Finished part of each run",
            says="Shards that need no work any more, of all.",
            queries=(
                Query(
                    expr=_share(
                        _sum("run_shards", "run", where=(RUN, 'state=~"done|quarantined"')),
                        _sum("run_shards", "run", where=(RUN,)),
                    ),
                    legend="{{run}}",
                ),
            ),
            unit="percentunit",
        ),
        Panel(
            title="Time left",
            says="If the shards left go as the finished ones did. None before the first is finished.",
            queries=(Query(expr=_gauge("run_eta_seconds", RUN), legend="{{run}}"),),
            unit="s",
        ),
        Panel(
            title="Longest wait of a shard that was handed back",
            says="Fallback to on-demand begins at fallback_after_s, 10 minutes if nothing else was said.",
            queries=(Query(expr=_gauge("run_oldest_requeued_age_seconds", RUN), legend="{{run}}"),),
            unit="s",
        ),
        Panel(
            title="Paused runs",
            says="They have cost their budget: spotproof resume.",
            queries=(Query(expr=_gauge("run_paused", RUN), legend="{{run}}"),),
        ),
        Panel(
            title="Live workers of each run",
            says="Workers that were heard of in time.",
            queries=(Query(expr=_gauge("run_workers", RUN), legend="{{run}} {{lifecycle}}"),),
        ),
    ),
)

CAPACITY: Final = Row(
    question="Is there capacity?",
    panels=(
        Panel(
            title="Workers by how far they are",
            says="As Batch knows them.",
            queries=(Query(expr=_sum("workers", "lifecycle", "state"), legend="{{lifecycle}} {{state}}"),),
            stacked=True,
        ),
        Panel(
            title="Why workers wait",
            says="docs/waiting.md explains each reason.",
            queries=(Query(expr=_sum("workers_waiting", "reason"), legend="{{reason}}"),),
            stacked=True,
        ),
        Panel(
            title="Instances",
            says="Pending and running ones of this deployment.",
            queries=(Query(expr=_sum("nodes", "lifecycle"), legend="{{lifecycle}}"),),
            stacked=True,
        ),
        Panel(
            title="vCPUs: asked for, there, allowed",
            says="Asked for by workers; there on instances; allowed by the compute environments.",
            queries=(
                Query(expr=_sum("requested_vcpus", "lifecycle"), legend="asked for, {{lifecycle}}"),
                Query(expr=_sum("allocatable_vcpus", "lifecycle"), legend="there, {{lifecycle}}"),
                Query(
                    expr=_sum("environment_vcpus", "lifecycle", where=('bound="desired"',)),
                    legend="wanted by Batch, {{lifecycle}}",
                ),
                Query(
                    expr=_sum("environment_vcpus", "lifecycle", where=('bound="max"',)), legend="allowed, {{lifecycle}}"
                ),
            ),
        ),
        Panel(
            title="Launches that EC2 refused",
            says="Over the time shown. Capacity passes by itself, a quota does not.",
            queries=(
                Query(
                    expr=_rise("failed_scale_ups_total", "environment", "reason"), legend="{{environment}} {{reason}}"
                ),
            ),
        ),
        Panel(
            title="Usable environments",
            says="0: disabled or invalid, Batch starts nothing in it.",
            queries=(Query(expr=_sum("environment_usable", "environment"), legend="{{environment}}"),),
        ),
    ),
)

SPOT: Final = Row(
    question="Is Spot hurting?",
    panels=(
        Panel(
            title="Interruptions by how they were learned",
            says="Over the time shown. Lost: the worker fell silent, and nobody said why.",
            queries=(Query(expr=_rise("interruptions_total", "signal"), legend="{{signal}}"),),
        ),
        Panel(
            title="Interruptions by pool",
            says="Over the time shown.",
            queries=(Query(expr=_rise("interruptions_total", "pool"), legend="{{pool}}"),),
            view=View.TABLE,
        ),
        Panel(
            title="Rebalance recommendations",
            says="Over the time shown; most of them are followed by nothing.",
            queries=(Query(expr=_rise("rebalance_recommendations_total", "pool"), legend="{{pool}}"),),
        ),
        Panel(
            title="Instances that went, by why",
            says="Over the time shown.",
            queries=(Query(expr=_rise("nodes_removed_total", "reason"), legend="{{reason}}"),),
        ),
        Panel(
            title="Instances and workers that came",
            says="Over the time shown.",
            queries=(
                Query(expr=_rise("nodes_added_total", "lifecycle"), legend="instances, {{lifecycle}}"),
                Query(expr=_rise("workers_started_total", "lifecycle"), legend="workers, {{lifecycle}}"),
            ),
        ),
        Panel(
            title="Interrupted workers of each run",
            says="Since the run began.",
            queries=(Query(expr=_gauge("run_interruptions", RUN), legend="{{run}}"),),
        ),
        Panel(
            title="What workers do",
            says="Workers' worth of time in each activity.",
            queries=(Query(expr=_rate("worker_seconds_total", "activity"), legend="{{activity}}"),),
            stacked=True,
        ),
        Panel(
            title="Work lost",
            says="Seconds over the time shown. What workers that were killed without notice lost is not in it: nobody told.",
            queries=(Query(expr=_rise("work_lost_seconds_total", "lifecycle"), legend="{{lifecycle}}"),),
            unit="s",
        ),
        Panel(
            title="Part of the work that was lost",
            says="Over the time shown.",
            queries=(
                Query(
                    expr=_share(
                        _rise("work_lost_seconds_total"), _rise("worker_seconds_total", where=('activity="work"',))
                    ),
                    legend="lost",
                ),
            ),
            unit="percentunit",
        ),
    ),
)

COST: Final = Row(
    question="What does it cost?",
    panels=(
        Panel(
            title="Dollars an hour",
            says="What runs cost now, less what EC2 does not charge after all.",
            queries=(
                Query(
                    expr=f"3600 * ({_rate('cost_usd_total', 'lifecycle')} - {_rate('cost_spared_usd_total', 'lifecycle')})",
                    legend="{{lifecycle}}",
                ),
            ),
            unit="currencyUSD",
        ),
        Panel(
            title="Dollars",
            says="Over the time shown: charged, and spared by the rule of the first hour.",
            queries=(
                Query(
                    expr=f"{_rise('cost_usd_total', 'lifecycle')} - {_rise('cost_spared_usd_total', 'lifecycle')}",
                    legend="{{lifecycle}}",
                ),
                Query(expr=_rise("cost_spared_usd_total", "lifecycle"), legend="spared, {{lifecycle}}"),
            ),
            unit="currencyUSD",
        ),
        Panel(
            title="Cost of each live run",
            says="So far; `spotproof cost RUN` takes it apart.",
            queries=(
                Query(expr=_gauge("run_cost_usd", RUN), legend="{{run}}"),
                Query(expr=_gauge("run_wasted_usd", RUN), legend="{{run}}, wasted"),
            ),
            unit="currencyUSD",
        ),
        Panel(
            title="Saved against on-demand",
            says="Of the workers' seconds.",
            queries=(
                Query(
                    expr="1 - " + _share(_gauge("run_workers_cost_usd", RUN), _gauge("run_on_demand_cost_usd", RUN)),
                    legend="{{run}}",
                ),
            ),
            unit="percentunit",
        ),
        Panel(
            title="Budget used",
            says="Runs without a budget are not shown. At 1 the run pauses.",
            queries=(Query(expr=_share(_gauge("run_cost_usd", RUN), _gauge("run_budget_usd", RUN)), legend="{{run}}"),),
            unit="percentunit",
        ),
        Panel(
            title="On-demand part of the fleet",
            says="Of the instances.",
            queries=(
                Query(
                    expr=_share(_sum("nodes", where=('lifecycle="on-demand"',)), _sum("nodes")),
                    legend="on demand",
                ),
            ),
            unit="percentunit",
        ),
    ),
)

ITSELF: Final = Row(
    question="Are these numbers right?",
    panels=(
        Panel(
            title="Age of the numbers",
            says="A scrape shows the last reading: it asks AWS nothing.",
            queries=(Query(expr=_gauge("reading_age_seconds"), legend="{{source}}"),),
            unit="s",
        ),
        Panel(
            title="How long readings take",
            says="Each source by itself.",
            queries=(Query(expr=_gauge("reading_duration_seconds"), legend="{{source}}"),),
            unit="s",
        ),
        Panel(
            title="Readings that failed",
            says="Over the time shown; the exporter's log says why.",
            queries=(Query(expr=_rise("reading_failures_total", "source"), legend="{{source}}"),),
        ),
        Panel(
            title="Sources that could be read",
            says="1: the last reading succeeded.",
            queries=(Query(expr=_gauge("reading_ok"), legend="{{source}}"),),
        ),
        Panel(
            title="Runs that could not be read",
            says="A damaged item, or one of a newer version: they are in no number here.",
            queries=(Query(expr=_gauge("runs_unreadable"), legend="runs"),),
            view=View.NUMBER,
        ),
        Panel(
            title="Exporter",
            says="Its version, and the prefix of the stacks that it reads.",
            queries=(Query(expr=_gauge("exporter_info"), legend="{{prefix}}, version {{version}}"),),
            view=View.TABLE,
        ),
    ),
)

ROWS: Final = (MOVING, CAPACITY, SPOT, COST, ITSELF)

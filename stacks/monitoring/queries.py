"""The saved queries as facts: a question, the logs that know, and the query in the language of CloudWatch Logs Insights.

Workers name an event in the field `event`, functions in `message` (as Powertools does).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spotproof import events


class Logs(StrEnum):
    """Whose logs are read."""

    WORKERS = "workers"
    FUNCTIONS = "functions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One saved query."""

    name: str  # in the list of saved queries, below the prefix of the stacks
    asks: str
    logs: Logs
    text: str


QUERIES: Final = (
    Query(
        name="interruptions-by-pool",
        asks="Which instance types and zones are taken away most?",
        logs=Logs.WORKERS,
        text=f"""filter event = "{events.STOP_SEEN}" and kind = "notice"
| stats count_distinct(instance_id) as hosts, count_distinct(run_id) as runs by instance_type, zone
| sort hosts desc""",
    ),
    Query(
        name="work-lost-by-run",
        asks="How much work did interruptions cost each run?",
        logs=Logs.WORKERS,
        text=f"""filter event in ["{events.SHARD_RELEASED}", "{events.LEASE_LOST}"]
| stats sum(lost_ms) as lost_ms, max(lost_ms) as worst_ms, count(*) as times by run_id
| sort lost_ms desc""",
    ),
    Query(
        name="slowest-resumes",
        asks="Where did it take longest to go on from a checkpoint?",
        logs=Logs.WORKERS,
        text=f"""filter event = "{events.SHARD_RESUMED}"
| fields @timestamp, run_id, shard, duration_ms, size_bytes, requests, fell_back
| sort duration_ms desc
| limit 50""",
    ),
    Query(
        name="shards-leased-often",
        asks="Which shards go from worker to worker?",
        logs=Logs.WORKERS,
        text=f"""filter event = "{events.SHARD_LEASED}"
| stats count(*) as leases, max(failures) as failures, max(interruptions) as interruptions by run_id, shard
| sort leases desc
| limit 50""",
    ),
    Query(
        name="after-a-notice",
        asks="What did workers do, step by step, after they were told to stop?",
        logs=Logs.WORKERS,
        text=f"""filter event in ["{events.STOP_SEEN}", "{events.STOP_DECIDED}", "{events.SHARD_RELEASED}", \
"{events.WORKER_FINISHED}"]
| fields @timestamp, instance_id, run_id, shard, event, signal, kind, latency_ms, choice, window_s, left_ms, reason
| sort @timestamp desc
| limit 200""",
    ),
    Query(
        name="checkpoints-by-job",
        asks="How long do checkpoints take, how long do they hold the job, and how big are they?",
        logs=Logs.WORKERS,
        text=f"""filter event = "{events.CHECKPOINT_SAVED}"
| stats count(*) as saves, pct(duration_ms, 95) as duration_p95_ms, max(stall_ms) as stall_max_ms, \
avg(size_bytes) as size_avg by job
| sort duration_p95_ms desc""",
    ),
    Query(
        name="failures",
        asks="Which errors made shards fail?",
        logs=Logs.WORKERS,
        text=f"""filter event in ["{events.SHARD_FAILED}", "{events.SHARD_QUARANTINED}"]
| stats count(*) as times by job, kind, error
| sort times desc
| limit 50""",
    ),
    Query(
        name="why-requeued",
        asks="Why were shards taken from their workers?",
        logs=Logs.FUNCTIONS,
        text=f"""filter message in ["{events.SHARDS_DRAINED}", "{events.SHARDS_REQUEUED}", "{events.SESSION_RESCUED}"]
| fields @timestamp, message, service, instance_id, session_id, shard, cause, state, count
| sort @timestamp desc
| limit 200""",
    ),
    Query(
        name="capacity-decisions",
        asks="Why did on-demand workers come or go?",
        logs=Logs.FUNCTIONS,
        text=f"""filter message = "{events.CAPACITY_DECIDED}" and action != "none"
| fields @timestamp, run_id, action, count, cause, reason
| sort @timestamp desc
| limit 100""",
    ),
    Query(
        name="workers-waiting",
        asks="Why do workers wait for a host, and what helps?",
        logs=Logs.FUNCTIONS,
        text=f"""filter message = "{events.WORKERS_WAITING}"
| stats count(*) as looks, max(waited_s) as waited_max_s by run_id, queue, kind, reason, advice
| sort waited_max_s desc""",
    ),
    Query(
        name="cost-by-run",
        asks="What did each run cost, and what of it was wasted?",
        logs=Logs.FUNCTIONS,
        text=f"""filter message = "{events.RUN_COST}"
| fields @timestamp, run_id, total_usd, saved_usd, savings_percent, wasted_usd, efficiency
| sort @timestamp desc
| limit 100""",
    ),
    Query(
        name="rejected-events",
        asks="Which events were refused, and why?",
        logs=Logs.FUNCTIONS,
        text=f"""filter message = "{events.EVENT_REJECTED}"
| stats count(*) as times by service, error
| sort times desc""",
    ),
    Query(
        name="trouble",
        asks="What did the functions warn of?",
        logs=Logs.FUNCTIONS,
        text="""filter level in ["WARNING", "ERROR", "CRITICAL"]
| stats count(*) as times by service, level, message
| sort times desc""",
    ),
)


def query_of(name: str) -> Query:
    """The query of this name; KeyError without one."""
    return {each.name: each for each in QUERIES}[name]

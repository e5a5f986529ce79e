"""The answers of `status`, as JSON and for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from spotproof.clock import from_epoch_ms
from spotproof.leases.model import Run, Session, Shard
from spotproof_cli.output import Output
from spotproof_cli.run_view import RunView
from spotproof_cli.terminal_text import shorten, span
from spotproof_cli.waiting_workers import WaitingWorkers
from spotproof_cli.worker_jobs import WorkerJob

_ERROR_WIDTH: Final = 100
_QUARANTINED_SHOWN: Final = 20


def moment(epoch_ms: int | None) -> str | None:
    """ISO 8601, UTC, whole seconds."""
    return None if epoch_ms is None else from_epoch_ms(epoch_ms).strftime("%Y-%m-%dT%H:%M:%SZ")


def run_fields(run: Run) -> dict[str, Any]:
    """A run's row as it is reported, key order fixed."""
    return {
        "id": run.run_id,
        "job": run.job,
        "state": run.state.value,
        "reason": run.reason,
        "input": run.input_uri,
        "output": run.output_uri,
        "shards": run.shards,
        "created_at": moment(run.created_at),
        "ended_at": moment(run.ended_at),
    }


def view_fields(view: RunView, waiting: Sequence[WaitingWorkers]) -> dict[str, Any]:
    """A reading of a run as JSON."""
    return {
        "run": run_fields(view.run),
        "shards": asdict(view.counts),
        "progress": round(view.counts.progress, 4),
        "eta_s": None if view.eta_s is None else round(view.eta_s, 1),
        "interruptions": asdict(view.interruptions),
        "workers": [_worker_fields(session, silent=session.session_id in view.silent) for session in view.workers],
        "waiting": [each.fields for each in waiting],
        "quarantined": [_quarantined_fields(shard) for shard in view.quarantined],
    }


def print_view(output: Output, view: RunView, waiting: Sequence[WaitingWorkers], *, now_ms: int) -> None:
    """A reading of a run for people."""
    run, counts, seen = view.run, view.counts, view.interruptions
    lasted_s = ((run.ended_at or now_ms) - run.created_at) / 1000
    output.facts(
        [
            ("run", run.run_id),
            ("job", run.job),
            ("state", f"{run.state.value}{f': {run.reason}' if run.reason else ''}"),
            ("since", f"{moment(run.created_at)}, {span(lasted_s)}"),
            ("input", run.input_uri),
            ("output", run.output_uri),
            (
                "shards",
                f"{counts.done} of {counts.total} done, {counts.leased} leased, {counts.ready} ready, "
                f"{counts.quarantined} quarantined",
            ),
            (
                "progress",
                f"{counts.progress:.0%}" + (f", about {span(view.eta_s)} left" if view.eta_s is not None else ""),
            ),
            (
                "interruptions",
                f"{seen.workers_stopped} workers with notice, {seen.workers_lost} without; "
                f"{seen.shards_interrupted + seen.shards_lost} shards handed on",
            ),
            ("workers", f"{len(view.workers)} alive, {sum(each.workers for each in waiting)} waiting to start"),
            *(line for each in waiting for line in each.lines),
        ]
    )
    _print_workers(output, view)
    _print_quarantined(output, view.quarantined)


def print_unplanned(output: Output, run_id: str, jobs: Sequence[WorkerJob], waiting: Sequence[WaitingWorkers]) -> None:
    """A run that was submitted and not planned yet."""
    if output.is_json:
        output.document(unplanned_fields(run_id, jobs, waiting))
        return
    output.facts(
        [
            ("run", run_id),
            ("state", "SUBMITTED: no worker has planned it yet"),
            *(
                ("batch job", f"{job.job_id}: {_statuses(job)}{f': {job.reason}' if job.reason else ''}")
                for job in jobs
            ),
            *(line for each in waiting for line in each.lines),
        ]
    )


def unplanned_fields(run_id: str, jobs: Sequence[WorkerJob], waiting: Sequence[WaitingWorkers]) -> dict[str, Any]:
    """A submitted run as JSON."""
    return {
        "run": {"id": run_id, "state": "SUBMITTED"},
        "jobs": [
            {
                "id": job.job_id,
                "status": job.status,
                "reason": job.reason,
                "workers": dict(sorted(job.by_status.items())),
            }
            for job in jobs
        ],
        "waiting": [each.fields for each in waiting],
    }


def print_runs(output: Output, runs: Sequence[Run], submitted: Mapping[str, Sequence[WorkerJob]]) -> None:
    """The list of runs, newest first, after the ones that still wait for their first worker."""
    if output.is_json:
        waiting = [
            {"id": run_id, "state": "SUBMITTED", "workers": sum(job.size for job in jobs)}
            for run_id, jobs in sorted(submitted.items())
        ]
        output.document({"submitted": waiting, "runs": [run_fields(run) for run in runs]})
        return
    rows = [(run_id, "SUBMITTED", "", "", "") for run_id in sorted(submitted)]
    rows += [(run.run_id, run.state.value, run.job, str(run.shards), str(moment(run.created_at))) for run in runs]
    if not rows:
        output.say("no runs yet: start one with `spotproof submit JOB --input s3://…`")
        return
    output.table(("RUN", "STATE", "JOB", "SHARDS", "SINCE"), rows)


def _print_workers(output: Output, view: RunView) -> None:
    if not view.workers:
        return
    rows = [
        (
            session.host.instance_id or session.session_id,
            session.host.instance_type,
            session.host.zone,
            session.host.lifecycle,
            "" if session.held is None else str(session.held),
            "silent" if session.session_id in view.silent else (session.stop.kind.value if session.stop else ""),
        )
        for session in view.workers
    ]
    output.table(("INSTANCE", "TYPE", "ZONE", "LIFECYCLE", "SHARD", "STOP"), rows)


def _print_quarantined(output: Output, shards: Sequence[Shard]) -> None:
    if not shards:
        return
    rows = [
        (str(shard.index), str(shard.failures), str(shard.losses), shorten(shard.last_error or "", _ERROR_WIDTH))
        for shard in shards[:_QUARANTINED_SHOWN]
    ]
    output.table(("QUARANTINED", "FAILURES", "LOSSES", "LAST ERROR"), rows)
    if len(shards) > _QUARANTINED_SHOWN:
        output.say(f"{len(shards) - _QUARANTINED_SHOWN} more quarantined shards: see --json")


def _worker_fields(session: Session, *, silent: bool) -> dict[str, Any]:
    host = session.host
    return {
        "session": session.session_id,
        "instance": host.instance_id,
        "type": host.instance_type,
        "zone": host.zone,
        "lifecycle": host.lifecycle,
        "batch_job": host.batch_job_id,
        "shard": session.held,
        "stop": session.stop.kind.value if session.stop else None,
        "stop_deadline": moment(session.stop.deadline) if session.stop else None,
        "silent": silent,
    }


def _quarantined_fields(shard: Shard) -> dict[str, Any]:
    return {
        "shard": shard.index,
        "failures": shard.failures,
        "losses": shard.losses,
        "error": shard.last_error,
    }


def _statuses(job: WorkerJob) -> str:
    return ", ".join(f"{number} {status}" for status, number in sorted(job.by_status.items()))

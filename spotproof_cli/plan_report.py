"""How a plan of a run is shown."""

from collections.abc import Sequence
from typing import Any, Final

from spotproof.capacity.sizing.forecast import Band
from spotproof.capacity.sizing.pools import RankedPool, usual_price
from spotproof.capacity.sizing.recommendation import Advice, Recommendation
from spotproof.shards.model import ShardPlan
from spotproof_cli.output import Output
from spotproof_cli.terminal_text import size, span

POOLS_SHOWN: Final = 10


def print_plan(output: Output, header: ShardPlan, advice: Recommendation, pools: Sequence[RankedPool]) -> None:
    """For people."""
    usd = cost_band(advice, pools)
    shard_size = advice.shard_bytes
    output.facts(
        [
            ("input", f"{header.objects} objects, {size(header.input_bytes)}, {header.format}"),
            ("shards", f"{header.shards} by {header.strategy}, the largest {header.skew.ratio:.1f} times the mean"),
            ("history", f"{advice.runs} earlier runs" if advice.runs else "none: stated defaults"),
            ("memory", _advised(advice.memory_mib, "{} MiB")),
            ("vcpus", _advised(advice.vcpus, "{}")),
            ("shard size", f"{'as it is' if shard_size.value is None else size(shard_size.value)} ({shard_size.reason})"),
            ("workers", _advised(advice.workers, "{}")),
            ("a shard", _times(advice.shard_s)),
            ("the run", _times(advice.run.wall_s)),
            ("cost", "unknown: no price is known" if usd is None else _dollars(usd)),
        ]
    )  # fmt: skip
    if pools:
        output.table(
            ("POOL", "LIFECYCLE", "$/USEFUL VCPU-H", "$/WORKER-H", "INTERRUPTED/H", "TIME", "RECORD"),
            [_row(pool) for pool in pools[:POOLS_SHOWN]],
        )
        if len(pools) > POOLS_SHOWN:
            output.say(f"{len(pools) - POOLS_SHOWN} more pools: see --json")


def plan_fields(
    header: ShardPlan, advice: Recommendation, pools: Sequence[RankedPool], *, job: str, unknown: Sequence[str]
) -> dict[str, Any]:
    """For programs."""
    usd = cost_band(advice, pools)
    sizes = {"memory_mib": advice.memory_mib, "vcpus": advice.vcpus, "shard_bytes": advice.shard_bytes}
    return {
        "job": job,
        "input": {"uri": header.input_uri, "objects": header.objects, "bytes": header.input_bytes, "format": header.format.value},
        "shards": {"count": header.shards, "shard_by": header.strategy, "skew": round(header.skew.ratio, 3)},
        "history_runs": advice.runs,
        "recommended": {
            name: {"value": each.value, "reason": each.reason} for name, each in {**sizes, "workers": advice.workers}.items()
        },
        "shard_seconds": _band(advice.shard_s, 3),
        "run_seconds": _band(advice.run.wall_s, 1),
        "worker_seconds": _band(advice.run.worker_s, 1),
        "usd": None if usd is None else _band(usd, 4),
        "pools": [_pool(pool) for pool in pools],
        "warnings": [*header.warnings, *advice.warnings],
        "unknown": list(unknown),
    }  # fmt: skip


def cost_band(advice: Recommendation, pools: Sequence[RankedPool]) -> Band | None:
    """US dollars at today's prices of the pools that Batch will most likely choose; None without any price."""
    usd_per_hour = usual_price([pool for pool in pools if pool.price.lifecycle == "spot"] or pools)
    return None if usd_per_hour is None else advice.run.worker_s.times(usd_per_hour / 3600)


def _advised(advice: Advice, form: str) -> str:
    return advice.reason if advice.value is None else f"{form.format(advice.value)} ({advice.reason})"


def _times(band: Band) -> str:
    return f"{span(band.middle)} (80 %: {span(band.low)} to {span(band.high)})"


def _dollars(usd: Band) -> str:
    places = 2 if usd.middle >= 1 else 4
    return f"${usd.middle:.{places}f} (80 %: ${usd.low:.{places}f} to ${usd.high:.{places}f})"


def _band(band: Band, places: int) -> dict[str, float]:
    return {"p10": round(band.low, places), "p50": round(band.middle, places), "p90": round(band.high, places)}


def _row(pool: RankedPool) -> tuple[str, ...]:
    price = pool.price
    return (
        f"{price.instance_type}{f'/{price.zone}' if price.zone else ''}",
        price.lifecycle,
        f"{pool.usd_per_useful_vcpu_hour:.4f}",
        f"{pool.usd_per_worker_hour:.4f}",
        f"{pool.rate_per_h:.3f}",
        f"x{pool.relative_time:.2f}",
        pool.reason,
    )


def _pool(pool: RankedPool) -> dict[str, Any]:
    price = pool.price
    return {
        "instance_type": price.instance_type,
        "zone": price.zone or None,
        "lifecycle": price.lifecycle,
        "usd_per_useful_vcpu_hour": round(pool.usd_per_useful_vcpu_hour, 6),
        "usd_per_worker_hour": round(pool.usd_per_worker_hour, 6),
        "workers_per_host": pool.workers_per_host,
        "interruptions_per_hour": round(pool.rate_per_h, 5),
        "hours_seen": round(pool.hours_seen, 6),
        "interruptions_seen": pool.interruptions_seen,
        "relative_time": round(pool.relative_time, 3),
        "breaker_open": pool.is_open,
        "reason": pool.reason,
    }

"""The answers of `cost`, as JSON and for people."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from spotproof.costs.forecast import Forecast
from spotproof.costs.shard_cost import ShardCosts
from spotproof.leases.model import Run
from spotproof_cli.output import Output
from spotproof_cli.run_costs import CostView
from spotproof_cli.terminal_text import span

FROM_TABLE: Final = "table"  # priced now
FROM_SUCCESS: Final = "_SUCCESS"  # priced when the run ended
# What `wasted` is made of, in words; by the keys of the manifest.
_WASTE: Final = (
    ("redone_usd", "done again"),
    ("checkpoint_usd", "checkpoints"),
    ("idle_usd", "idle workers"),
    ("boot_usd", "starting and stopping"),
    ("fallback_premium_usd", "on-demand premium"),
    ("host_boot_usd", "hosts booting"),
    ("host_idle_usd", "hosts without workers"),
    ("host_spare_usd", "unused parts of hosts"),
)


def cost_fields(
    run: Run, cost: Mapping[str, Any], *, source: str, view: CostView | None, with_shards: bool
) -> dict[str, Any]:
    """A run's cost as JSON, key order fixed. Amounts are text, so that nothing rounds them."""
    alive = view is not None and not run.state.ended
    return {
        "run": run.run_id,
        "state": run.state.value,
        "source": source,
        "cost": dict(cost),
        "budget_usd": run.budget_usd,
        "usd_per_hour": _text(view.running.usd_per_hour) if view is not None and alive else None,
        "unpriced_workers": view.running.unpriced_workers if view is not None and alive else None,
        "forecast": _forecast_fields(view.forecast) if view is not None and view.forecast else None,
        "shards": _shard_fields(view.shards) if view is not None and with_shards else None,
        "overhead_usd": _exact(view.shards.overhead_usd) if view is not None and with_shards else None,
    }


def print_cost(
    output: Output, run: Run, cost: Mapping[str, Any], *, source: str, view: CostView | None, with_shards: bool
) -> None:
    """A run's cost for people."""
    output.facts(
        [
            ("run", run.run_id),
            ("state", run.state.value),
            *_sum_facts(run, cost, source=source),
            *_waste_facts(cost),
            *_comparison_facts(cost),
            *(_running_facts(view) if view is not None and not run.state.ended else ()),
            *_gap_facts(cost),
        ]
    )
    if view is not None and with_shards:
        _print_shards(output, view.shards)


def _sum_facts(run: Run, cost: Mapping[str, Any], *, source: str) -> list[tuple[str, str]]:
    total = cost.get("total_usd", cost.get("usd"))  # runs of earlier versions know the workers' cost only
    hosts = f" on {cost['hosts']} hosts" if "hosts" in cost else ""
    workers = f"{cost.get('sessions')} sessions{hosts}, {span(float(cost.get('session_seconds', 0)))}"
    when = "as priced when it ended" if source == FROM_SUCCESS else "at the prices of now"
    facts = [("total", f"{_usd(total)}, {when}"), ("workers", f"{_usd(cost.get('usd'))}: {workers}")]
    if run.budget_usd is not None:
        used = f", {Decimal(str(total)) / Decimal(str(run.budget_usd)):.1%} of it spent" if total is not None else ""
        facts.append(("budget", f"{_usd(run.budget_usd)}{used}"))
    return facts


def _waste_facts(cost: Mapping[str, Any]) -> list[tuple[str, str]]:
    parts = ", ".join(f"{words} {_usd(cost[key])}" for key, words in _WASTE if Decimal(str(cost.get(key, 0))))
    wasted = f"{_usd(cost['wasted_usd'])}: " if "wasted_usd" in cost else ""
    facts = [("work", _usd(cost.get("work_usd"))), ("wasted", f"{wasted}{parts or 'nothing'}")]
    if cost.get("efficiency") is not None:
        facts.append(("efficiency", f"{Decimal(cost['efficiency']):.1%} of the vCPU-seconds were useful work"))
    return facts


def _comparison_facts(cost: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = []
    if cost.get("savings_percent") is not None:
        saved = Decimal(cost["on_demand_usd"]) - Decimal(cost["usd"])
        facts.append(
            ("saved", f"{_usd(saved)} of {_usd(cost['on_demand_usd'])} on demand ({cost['savings_percent']} %)")
        )
    if Decimal(cost.get("first_hour_free_usd", 0)):
        facts.append(("free", f"{_usd(cost['first_hour_free_usd'])}: hosts that EC2 took in their first hour"))
    return facts


def _running_facts(view: CostView) -> list[tuple[str, str]]:
    facts = [("now", f"{_usd(view.running.usd_per_hour)} an hour")]
    if view.running.unpriced_workers:
        facts.append(("not priced", f"{view.running.unpriced_workers} live workers on types without a known price"))
    if view.forecast is not None:
        facts.append(("at the end", f"about {_usd(view.forecast.usd)}{_band(view.forecast)}"))
    return facts


def _gap_facts(cost: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the numbers do not know."""
    estimated, unpriced = (float(cost.get(key, 0)) for key in ("estimated_seconds", "unpriced_seconds"))
    return [
        *([("estimated", f"{span(estimated)} at on-demand prices: no spot prices to be had")] if estimated else []),
        *([("unpriced", f"{span(unpriced)} on types without a known price: not in any number")] if unpriced else []),
    ]


def _print_shards(output: Output, shards: ShardCosts) -> None:
    rows = [
        (str(each.work.index), _usd(each.usd), span(each.work.worked_ms / 1000), span(each.work.earlier_ms / 1000))
        for each in shards.shards
    ]
    output.table(("SHARD", "COST", "WORKED", "EARLIER"), rows)
    output.facts([("shards", _usd(shards.shards_usd)), ("overhead", _usd(shards.overhead_usd))])


def _shard_fields(shards: ShardCosts) -> list[dict[str, Any]]:
    return [
        {
            "shard": each.work.index,
            "usd": _exact(each.usd),
            "worked_ms": each.work.worked_ms,
            "earlier_ms": each.work.earlier_ms,
            "session": each.work.session_id,
        }
        for each in shards.shards
    ]


def _forecast_fields(forecast: Forecast) -> dict[str, Any]:
    return {
        "usd": _text(forecast.usd),
        "low_usd": None if forecast.low_usd is None else _text(forecast.low_usd),
        "high_usd": None if forecast.high_usd is None else _text(forecast.high_usd),
    }


def _band(forecast: Forecast) -> str:
    if forecast.low_usd is None or forecast.high_usd is None:
        return ""
    return f" (nine times in ten {_usd(forecast.low_usd)} to {_usd(forecast.high_usd)})"


def _usd(amount: object) -> str:
    return "unknown" if amount is None else f"${Decimal(str(amount)):,.4f}"


def _text(amount: Decimal) -> str:
    return f"{amount:.6f}"


def _exact(amount: Decimal) -> str:
    """With all places, so that the shards and the overhead of a document add up."""
    return f"{amount:.12f}"

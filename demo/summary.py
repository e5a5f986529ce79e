"""The demo's last page: what was interrupted, what happened next, what it cost, and whether every claim holds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from demo.hits import Aftermath, Hit
from demo.report import Report, Story
from demo.schedule import Delivery, Kind
from demo.starvation import page as starvation_page
from spotproof_cli.game_day.verdicts import Verdict

if TYPE_CHECKING:
    from rich.console import Console

Line = tuple[str, str]  # style, text
_TITLES: Final = {
    Kind.NOTICE: "notice",
    Kind.KILL: "kill without notice",
    Kind.REBALANCE: "rebalance only",
    Kind.PAUSE: "worker paused",
}
_STYLES: Final = {Kind.NOTICE: "yellow", Kind.KILL: "red", Kind.REBALANCE: "cyan", Kind.PAUSE: "magenta"}
_DELIVERIES: Final = {Delivery.ONCE: "", Delivery.TWICE: ", event delivered twice", Delivery.LOST: ", event lost"}


def show(report: Report, console: "Console") -> None:
    """Print the page; colours only where the console has them."""
    from rich.text import Text

    for style, text in page(report):
        console.print(Text(text, style=style), soft_wrap=True)


def page(report: Report) -> Iterator[Line]:
    """The page line by line, each with its style."""
    yield "bold", ""
    yield "bold", f"What happened (seed {report.seed}, seconds since the disturbed run was submitted)"
    for story in report.stories:
        yield from _story(story, report.started_at)
    yield "bold", ""
    yield "bold", "In numbers"
    yield from _numbers(report)
    if report.starvation is not None:
        yield from starvation_page(report.starvation)
    yield "bold", ""
    yield "bold", "Claims"
    for verdict in (*report.verdicts, *(report.starvation.verdicts if report.starvation else ())):
        yield _verdict(verdict)
    yield from _closing(report)


def hit_line(hit: Hit, *, started_at: float) -> Line:
    """One line for a hit, also shown while it happens."""
    shards = ", ".join(str(victim.shard) for victim in hit.victims)
    title = _TITLES[hit.step.kind] + _DELIVERIES[hit.step.delivery]
    text = f"  {hit.at - started_at:6.1f}  {title}: {hit.instance_id} ({hit.place}), working on shard {shards}"
    return _STYLES[hit.step.kind], text


def _story(story: Story, started_at: float) -> Iterator[Line]:
    yield hit_line(story.hit, started_at=started_at)
    for after in story.aftermaths:
        yield "", f"          → shard {after.shard}: {_aftermath(after)}"
    if story.hit.resumed_at is not None:
        moment = story.hit.resumed_at - started_at
        yield "", f"          → the worker was let go on at {moment:.1f}, after its shard had gone to another"


def _aftermath(after: Aftermath) -> str:
    parts = [after.outcome]
    if after.released_after_s is not None:
        parts[0] += f" {after.released_after_s:.1f} s after the notice"
    if after.leased_again_after_s is not None:
        parts.append(f"leased again {after.leased_again_after_s:.1f} s later (token {after.token_after})")
    parts.append(f"{after.redone_s:.1f} s done again" if after.redone_s >= 0.05 else "nothing lost")
    return ", ".join(parts)


def _numbers(report: Report) -> Iterator[Line]:
    rows = [
        ("input", f"{report.flights:,} flights in {report.shards} shards, {report.workers} workers"),
        ("disturbed run", f"{report.run_s:.1f} s, {report.attempts} worker processes"),
        ("undisturbed run", f"{report.undisturbed_s:.1f} s (at full speed)"),
        ("work done again", _redone(report)),
        *(
            (f"notice → {channel}", f"p50 {each.p50_s:.2f} s, p95 {each.p95_s:.2f} s ({each.count} times)")
            for channel, each in sorted(report.latencies.items())
        ),
        ("table, per shard", _usage(report)),
        *_cost(report),
    ]
    for name, value in rows:
        yield "", f"  {name:<22} {value}"


def _redone(report: Report) -> str:
    share = 100 * report.redone_s / report.work_s if report.work_s else 0.0
    return f"{report.redone_s:.1f} s of {report.work_s:.1f} s ({share:.1f} %)"


def _usage(report: Report) -> str:
    usage = report.usage
    return (
        f"{usage.requests_mean:.1f} requests (most {usage.requests_max:.0f}), {usage.write_units_mean:.1f} write units "
        f"(most {usage.write_units_max:.1f}), counted over {usage.shards} shards"
    )


def _cost(report: Report) -> Iterator[tuple[str, str]]:
    if not report.cost:
        return
    usd, on_demand = float(str(report.cost["usd"])), float(str(report.cost["on_demand_usd"]))
    free = float(str(report.cost.get("first_hour_free_usd", 0)))
    saved = 100 * (1 - usd / on_demand) if on_demand else 0.0
    note = f"; ${free:.6f} not charged for hosts reclaimed in their first hour" if free else ""
    yield "cost, simulated prices", f"${usd:.6f} against ${on_demand:.6f} on demand, {saved:.0f} % saved{note}"


def _verdict(verdict: Verdict) -> Line:
    if verdict.holds:
        return "green", f"  ✓ {verdict.claim}: {verdict.seen}"
    if not verdict.measured:
        return "dim", f"  · {verdict.claim}: {verdict.seen}"
    mark = "✗" if verdict.promise else "!"
    return ("bold red" if verdict.promise else "yellow"), f"  {mark} {verdict.claim}: {verdict.seen}"


def _closing(report: Report) -> Iterator[Line]:
    yield "", ""
    if report.holds:
        yield "bold green", f"Interrupted {len(report.stories)} times; not one byte of the output changed."
        return
    yield (
        "bold red",
        f"{report.broken} promise(s) broken with seed {report.seed}; repeat with: make demo SEED={report.seed}",
    )

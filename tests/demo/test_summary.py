"""The last page tells what happened, plainly, and says so when a promise is broken."""

import io

import pytest
from rich.console import Console

from demo.hits import Aftermath, Hit
from demo.main import read_manifest
from demo.report import Report, Story
from demo.runs import SHARDINGS, RunSpec
from demo.schedule import Delivery, Kind, Step
from demo.shard_usage import ShardUsageSummary, summarize_usage
from demo.snapshot import Working
from demo.summary import page, show
from spotproof import events
from spotproof.leases.model import RunId, SessionId
from spotproof.shards.spec import parse_shard_by
from spotproof.worker.options import parse_options
from spotproof_cli.game_day.log_entries import LogEntry
from spotproof_cli.game_day.spread import Spread
from spotproof_cli.game_day.verdicts import Verdict

USAGE = ShardUsageSummary(shards=2, requests_mean=6.0, requests_max=7.0, write_units_mean=5.0, write_units_max=6.0)
VICTIM = Working(
    session_id=SessionId("s"), instance_id="i-1", batch_job_id="j:0", shard=3, fencing_token=1, checkpoints=2
)


def story(kind: Kind, delivery: Delivery = Delivery.ONCE, *, resumed_at: float | None = None) -> Story:
    step = Step(kind=kind, gap=1, pick=0, delivery=delivery)
    hit = Hit(step=step, at=105.25, instance_id="i-1", place="m5.large, a", victims=(VICTIM,), resumed_at=resumed_at)
    after = Aftermath(
        shard=3,
        outcome="saved and released",
        redone_s=0.0,
        save_s=0.0,
        released_after_s=0.42,
        leased_again_after_s=1.25,
        token_after=3,
    )
    return Story(hit=hit, aftermaths=(after,))


def report(*verdicts: Verdict, stories: tuple[Story, ...] = ()) -> Report:
    return Report(
        seed=7,
        started_at=100.0,
        run_s=30.0,
        undisturbed_s=9.0,
        shards=12,
        flights=336_776,
        workers=8,
        attempts=15,
        stories=stories,
        redone_s=1.0,
        work_s=50.0,
        latencies={"imds": Spread(count=4, p50_s=0.3, p95_s=0.9, max_s=0.9)},
        usage=USAGE,
        cost={"usd": "0.000123", "on_demand_usd": "0.000492", "first_hour_free_usd": "0.000010"},
        verdicts=verdicts,
    )


def text_of(shown: Report) -> str:
    return "\n".join(line for _, line in page(shown))


def test_a_hit_is_told_with_what_followed() -> None:
    text = text_of(report(stories=(story(Kind.NOTICE, Delivery.LOST),)))

    assert "5.2  notice, event lost: i-1 (m5.large, a), working on shard 3" in text
    assert (
        "→ shard 3: saved and released 0.4 s after the notice, leased again 1.2 s later (token 3), nothing lost" in text
    )


def test_the_zombies_return_is_part_of_the_story() -> None:
    assert "let go on at 20.0" in text_of(report(stories=(story(Kind.PAUSE, resumed_at=120.0),)))


def test_numbers_come_with_their_units() -> None:
    text = text_of(report())

    assert "336,776 flights in 12 shards, 8 workers" in text
    assert "1.0 s of 50.0 s (2.0 %)" in text
    assert "p50 0.30 s, p95 0.90 s (4 times)" in text
    assert "6.0 requests (most 7), 5.0 write units (most 6.0), counted over 2 shards" in text
    assert "$0.000123 against $0.000492 on demand, 75 % saved; $0.000010 not charged" in text


def test_a_broken_promise_fails_the_demo_and_names_the_seed() -> None:
    good, bar = Verdict(claim="a", holds=True, seen="x"), Verdict(claim="b", holds=False, seen="y", promise=False)
    broken = Verdict(claim="c", holds=False, seen="z")

    assert report(good, bar).holds
    assert "not one byte of the output changed" in text_of(report(good, bar))
    assert not report(good, broken).holds
    assert "1 promise(s) broken with seed 7; repeat with: make demo SEED=7" in text_of(report(good, broken))


def test_every_verdict_has_its_mark() -> None:
    verdicts = [Verdict(claim="c", holds=True, seen="s"), Verdict(claim="d", holds=False, seen="s")]
    bar = Verdict(claim="e", holds=False, seen="s", promise=False)
    unseen = Verdict(claim="f", holds=False, seen="s", promise=False, measured=False)

    lines = text_of(report(*verdicts, bar, unseen)).splitlines()

    assert [line for line in lines if line.endswith(": s")] == ["  ✓ c: s", "  ✗ d: s", "  ! e: s", "  · f: s"]


def test_a_pipe_gets_plain_text() -> None:
    pipe = io.StringIO()

    show(report(Verdict(claim="c", holds=True, seen="s")), Console(file=pipe, highlight=False))

    assert "\x1b" not in pipe.getvalue()


@pytest.mark.parametrize("name", sorted(SHARDINGS))
def test_every_sharding_of_the_demo_is_one_the_product_knows(name: str) -> None:
    assert parse_shard_by(SHARDINGS[name]).text == SHARDINGS[name]


def test_the_parameters_of_a_run_are_what_the_worker_reads() -> None:
    spec = RunSpec(
        run_id=RunId("r"), input_uri="s3://b/i/", output_uri="s3://b/o/", shard_by="auto", workers=8,
        options={"pace_s": "0.5", "ttl_s": "7", "heartbeat_s": "2"},
    )  # fmt: skip

    options = parse_options(spec.parameters()["options"])

    assert (options.job, options.ttl_s, options.heartbeat_s) == ({"pace_s": "0.5"}, 7, 2)


def test_usage_is_summed_up_over_committed_shards_only() -> None:
    def entry(outcome: str, requests: int, writes: float) -> LogEntry:
        fields = {"outcome": outcome, "requests": requests, "write_units": writes}
        return LogEntry(at=0, event=events.SHARD_USAGE, stream="s", fields=fields)

    usage = summarize_usage([entry("committed", 5, 4.0), entry("committed", 7, 6.0), entry("released", 90, 90.0)])

    assert usage == USAGE
    assert summarize_usage([]).shards == 0


def test_no_success_manifest_lists_nothing() -> None:
    assert read_manifest(None) == ({}, {})

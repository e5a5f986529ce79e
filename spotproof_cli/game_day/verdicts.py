"""Claims, each checked against what really happened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spotproof.leases.model import Run, RunState, Shard, ShardState
from spotproof_cli.game_day.spread import Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A claim, whether it holds, and what was seen. A promise that does not hold fails the demo; a bar is only shown."""

    claim: str
    holds: bool
    seen: str
    promise: bool = True
    measured: bool = True


def committed_once(run: Run, shards: Mapping[int, Shard], committed_in_log: Sequence[int]) -> Verdict:
    """Every shard has exactly one row that is DONE, and nobody logged a second commit."""
    open_shards = [index for index in range(run.shards) if not _is_done(shards.get(index))]
    twice = sorted({index for index in committed_in_log if committed_in_log.count(index) > 1})
    unknown = sorted(index for index in shards if not 0 <= index < run.shards)
    done = run.shards - len(open_shards)
    problems = [
        f"{what}: {', '.join(map(str, which))}"
        for what, which in (("not committed", open_shards), ("committed twice", twice), ("not planned", unknown))
        if which
    ]
    complete = run.state is RunState.COMPLETE
    return Verdict(
        claim="every shard committed exactly once",
        holds=complete and not problems,
        seen="; ".join(problems) or f"{done} of {run.shards} shards, run {run.state}",
    )


def _is_done(shard: Shard | None) -> bool:
    return shard is not None and shard.state is ShardState.DONE


def within_bar(claim: str, measured: Spread | None, *, bar_s: float, worst: bool = False) -> Verdict:
    """A latency against its bar: shown, but a slow machine does not break a promise."""
    if measured is None:
        return Verdict(claim=claim, holds=False, seen="did not happen in this game", promise=False, measured=False)
    value = measured.max_s if worst else measured.p95_s
    seen = f"p50 {measured.p50_s:.2f} s, p95 {measured.p95_s:.2f} s, max {measured.max_s:.2f} s, n {measured.count}"
    return Verdict(claim=claim, holds=value <= bar_s, seen=seen, promise=False)

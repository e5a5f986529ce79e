"""A run's story line by line, for whoever has to find out why a promise was broken."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from tests.local.storm.play import Played

SHOWN: Final = ("shard", "fencing_token", "seq", "kind", "signal", "choice", "reason", "error", "lost_ms", "exit_code")


def write_trace(played: Played, broken: Iterable[object], directory: Path) -> Path:
    """Write `<run>.txt` with what was broken, the blows and every logged event, in time order; returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{played.ledger.run_id}.txt"
    told = sorted(_lines(played), key=lambda line: line[0])
    text = [*map(str, broken), *(f"{at - played.began_at:8.2f} {words}" for at, words in told)]
    path.write_text("\n".join(text) + "\n")
    return path


def _lines(played: Played) -> Iterator[tuple[float, str]]:
    for dealt in played.ledger.blows:
        who = f"shard {dealt.victim.shard} token {dealt.victim.fencing_token} {dealt.victim.session_id}"
        yield dealt.at, f"*** {dealt.step.blow}: {who} pid {dealt.pid}"
        if dealt.over_at is not None:
            yield dealt.over_at, f"*** over: {dealt.step.blow} pid {dealt.pid}, commit refused: {dealt.commit_refused}"
    for seen in played.ledger.troubles:
        yield seen.at, f"*** {seen.trouble}: {seen.what}, {seen.effects} effects"
        if seen.over_at is not None:
            yield seen.over_at, f"*** over: {seen.trouble}"
    for entry in played.entries:
        fields = " ".join(f"{name}={entry.fields[name]}" for name in SHOWN if entry.fields.get(name) is not None)
        yield entry.at, f"{entry.event} {str(entry.fields.get('session_id', ''))[-12:]} {fields}"

"""A recorded Spot market of one place: whether capacity was there, tick by tick; our file format, and the authors'.

Ours is one JSON object: `format` (1), `name`, `kind` ("availability": probed whether capacity could be had;
"preemption": one long-lived request was followed), `step_s` (seconds per tick), `source`, `up_first` (the state of the
first span) and `spans` (lengths in ticks of the spans of equal state, in turn up and down).

The other one is that of the public repository skypilot-org/spot-traces: `metadata.gap_seconds` and `data`, the number of
instances at each tick. Z. Wu et al. recorded them for "Can't Be Late: Optimizing Spot Instance Savings under
Deadlines", NSDI 2024.
"""

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FORMAT: Final = 1
SAMPLE: Final = Path(__file__).parent / "sample"  # in our format, cut from the authors' by convert.py
AUTHORS: Final = "skypilot-org/spot-traces (GitHub); Wu et al., Can't Be Late, NSDI 2024"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    name: str
    kind: str  # availability | preemption
    step_s: float
    source: str
    up: tuple[bool, ...]  # by tick

    @property
    def share_up(self) -> float:
        return sum(self.up) / len(self.up)

    @property
    def losses(self) -> int:
        return sum(before and not after for before, after in itertools.pairwise(self.up))

    def first(self, hours: float) -> "Trace":
        ticks = round(hours * 3600 / self.step_s)
        return Trace(name=self.name, kind=self.kind, step_s=self.step_s, source=self.source, up=self.up[:ticks])


def read_traces(path: Path) -> list[Trace]:
    """All traces in a file or below a directory, of either format, by name.

    Raises:
        ValueError: there is none, or a file is neither format.
    """
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"no *.json below {path}")
    return sorted((_read(each) for each in files), key=lambda trace: (trace.kind, trace.name))


def write_trace(trace: Trace, path: Path) -> None:
    spans = [sum(1 for _ in group) for _, group in itertools.groupby(trace.up)]
    content = {
        "format": FORMAT,
        "name": trace.name,
        "kind": trace.kind,
        "step_s": trace.step_s,
        "source": trace.source,
        "up_first": trace.up[0],
        "spans": spans,
    }
    path.write_text(json.dumps(content) + "\n")


def _read(path: Path) -> Trace:
    content: dict[str, Any] = json.loads(path.read_text())
    if content.get("format") == FORMAT:
        return Trace(
            name=content["name"],
            kind=content["kind"],
            step_s=content["step_s"],
            source=content["source"],
            up=tuple(_ticks(content["up_first"], content["spans"])),
        )
    if "gap_seconds" in content.get("metadata", {}):
        return Trace(
            name=path.stem,
            kind="preemption" if "preemption" in path.parts else "availability",
            step_s=content["metadata"]["gap_seconds"],
            source=AUTHORS,
            up=tuple(count > 0 for count in content["data"]),
        )
    raise ValueError(f"{path.name} is neither format {FORMAT} nor of spot-traces")


def _ticks(up_first: bool, spans: Iterable[int]) -> Iterable[bool]:
    up = up_first
    for length in spans:
        yield from itertools.repeat(up, length)
        up = not up

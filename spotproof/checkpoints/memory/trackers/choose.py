"""Which tracker an image gets, and why."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from spotproof.checkpoints.memory.pages import Bytes8, Source
from spotproof.checkpoints.memory.trackers.base import Tracker
from spotproof.checkpoints.memory.trackers.compare import CompareTracker
from spotproof.checkpoints.memory.trackers.pagemap import PagemapTracker, pagemap_works
from spotproof.checkpoints.memory.trackers.userfaultfd import TrackingRefusedError
from spotproof.errors import ConfigurationError

TrackerChoice = Literal["auto", "compare", "pagemap"]
TrackerName = Literal["compare", "pagemap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerDecision:
    name: TrackerName
    reason: str  # for the log and for people


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenTracker:
    tracker: Tracker
    reason: str  # for the log and for people


def decide_tracker(wanted: TrackerChoice, *, ours: bool, refusal: str | None) -> TrackerDecision:
    """
    Args:
        ours: the memory comes from the arena; the kernel can't be asked about any other.
        refusal: why the kernel does not track pages here; None if it does.

    Raises:
        ConfigurationError: `pagemap` is wanted where the kernel refuses it.
    """
    if wanted == "compare":
        return TrackerDecision(name="compare", reason="compare is set")
    if wanted == "pagemap" and refusal is not None:
        raise ConfigurationError(f"tracker pagemap does not work here, use auto or compare: {refusal}")
    if not ours:
        return TrackerDecision(name="compare", reason="the memory is not the library's own")
    if refusal is not None:
        return TrackerDecision(name="compare", reason=refusal)
    return TrackerDecision(
        name="pagemap", reason="pagemap is set" if wanted == "pagemap" else "the kernel tracks pages"
    )


def choose_tracker(
    wanted: TrackerChoice,
    *,
    source: Source,
    shadow: Callable[[], Bytes8],
    memory: Bytes8 | None = None,
    probe: Callable[[], str | None] = pagemap_works,
) -> ChosenTracker:
    """The tracker of an image; not armed yet.

    Args:
        memory: the image's live bytes from `arena.allocate`, or None if they are elsewhere (a file, a model's tensors).
        probe: why the kernel does not track pages here; asked only if the answer matters.

    Raises:
        ConfigurationError: `pagemap` is wanted where the kernel refuses it.
    """
    ours = memory is not None and len(memory) > 0
    asked = wanted == "pagemap" or (wanted == "auto" and ours)
    decision = decide_tracker(wanted, ours=ours, refusal=probe() if asked else None)
    if decision.name == "pagemap" and memory is not None:
        try:
            return ChosenTracker(tracker=PagemapTracker(memory), reason=decision.reason)
        except TrackingRefusedError as error:
            decision = decide_tracker(wanted, ours=ours, refusal=str(error))
    return ChosenTracker(tracker=CompareTracker(source, shadow), reason=decision.reason)

"""A famine: Spot has no capacity for a while, and every Spot host is taken. When it begins and ends follows from the run."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from demo.snapshot import Snapshot
from spotproof.clock import Clock
from spotproof.leases.model import CapacityClass, SessionId, ShardState

PROGRESS_BEFORE: Final = 2  # checkpoints and commits: there must be something to lose


class Phase(StrEnum):
    PLENTY = "plenty"
    FAMINE = "famine"  # no Spot host is left, none can be had
    RELIEF = "relief"  # there is capacity again; on-demand workers still work
    BACK = "back"  # Spot workers work again


@dataclass(frozen=True, slots=True, kw_only=True)
class Labour:
    """Who works at a moment, by what their hosts cost."""

    spot: frozenset[SessionId]
    on_demand: frozenset[SessionId]
    committed_on_demand: int  # shards so far
    progress: int


def labour_of(snapshot: Snapshot) -> Labour:
    """The live sessions that hold a shard, by lifecycle of their hosts."""
    working: dict[str, set[SessionId]] = {each.value: set() for each in CapacityClass}
    for each in snapshot.working:
        working.setdefault(snapshot.sessions[each.session_id].host.lifecycle, set()).add(each.session_id)
    done = [shard.owner for shard in snapshot.shards.values() if shard.state is ShardState.DONE]
    owners = [snapshot.sessions[owner] for owner in done if owner in snapshot.sessions]
    return Labour(
        spot=frozenset(working[CapacityClass.SPOT]),
        on_demand=frozenset(working[CapacityClass.ON_DEMAND]),
        committed_on_demand=sum(owner.host.lifecycle == CapacityClass.ON_DEMAND for owner in owners),
        progress=snapshot.progress,
    )


def next_phase(phase: Phase, labour: Labour, *, before_relief: frozenset[SessionId]) -> Phase:
    """The phase after this look.

    Args:
        before_relief: Spot sessions that were known before there was capacity again.
    """
    match phase:
        case Phase.PLENTY if labour.spot and labour.progress >= PROGRESS_BEFORE:
            return Phase.FAMINE
        case Phase.FAMINE if labour.committed_on_demand:
            return Phase.RELIEF
        case Phase.RELIEF if labour.spot - before_relief:
            return Phase.BACK
    return phase


class MarketControls(Protocol):
    """What a famine does to the account."""

    def starve(self) -> list[str]:
        """No Spot capacity from now on, and a notice to every Spot host that had none; their instance ids."""
        ...

    def feed(self) -> None:
        """The market is as it was."""
        ...


@dataclass
class Famine:
    """Acts on snapshots; the caller decides how often to look. Times: seconds since 1970."""

    controls: MarketControls
    clock: Clock
    say: Callable[[str], None]
    phase: Phase = Phase.PLENTY
    entered: dict[Phase, float] = field(default_factory=dict)
    first_on_demand: float | None = None  # when one was first seen at work
    noticed: list[str] = field(default_factory=list)
    _spot_seen: set[SessionId] = field(default_factory=set)

    def act(self, snapshot: Snapshot) -> None:
        """Do what is due now."""
        labour, now = labour_of(snapshot), self.clock.now().timestamp()
        if self.phase in (Phase.PLENTY, Phase.FAMINE):
            self._spot_seen |= {name for name, each in snapshot.sessions.items() if _is_spot(each.host.lifecycle)}
        if labour.on_demand and self.first_on_demand is None:
            self.first_on_demand = now
            self.say("an on-demand worker is at work")
        found = next_phase(self.phase, labour, before_relief=frozenset(self._spot_seen))
        if found is not self.phase:
            self.phase = found
            self.entered[found] = now
            self._enter(found)
        elif found is Phase.FAMINE:
            self.noticed += self.controls.starve()  # a host that was still booting

    def end(self) -> None:
        """Leave the market as it was, however far the run came."""
        self.controls.feed()

    def _enter(self, phase: Phase) -> None:
        match phase:
            case Phase.FAMINE:
                self.noticed += self.controls.starve()
                self.say(f"Spot has no capacity any more; notice to all {len(self.noticed)} Spot hosts")
            case Phase.RELIEF:
                self.controls.feed()
                self.say("Spot has capacity again")
            case Phase.BACK:
                self.say("a Spot worker is at work again")


def _is_spot(lifecycle: str) -> bool:
    return lifecycle == CapacityClass.SPOT

"""The famine begins once there is something to lose, ends once on-demand workers committed, and its claims can fail."""

from dataclasses import dataclass, field, replace

import pytest

from demo.famine import Famine, Labour, Phase, labour_of, next_phase
from demo.snapshot import Snapshot, take_snapshot
from demo.starvation import Starved, came_back, explained, judge_starvation, page, went_on
from demo.summary import page as whole_page
from spotproof.leases.model import HistoryEntry, Session, SessionId, ShardState, Stop, StopKind, history_key
from tests.demo.test_schedule import session, shard
from tests.demo.test_summary import report
from tests.demo.test_verdicts import RUN, rows
from tests.fakes.clock import FakeClock

NOBODY = Labour(spot=frozenset(), on_demand=frozenset(), committed_on_demand=0, progress=0)
A, B = SessionId("a"), SessionId("b")


def on(lifecycle: str, name: str) -> Session:
    each = session(name, instance=f"i-{name}")
    return replace(each, host=replace(each.host, lifecycle=lifecycle))


SPOT, RICH = on("spot", "a"), on("on-demand", "b")


@dataclass
class FakeMarket:
    hosts: list[list[str]]
    done: list[str] = field(default_factory=list)

    def starve(self) -> list[str]:
        self.done.append("starve")
        return self.hosts.pop(0) if self.hosts else []

    def feed(self) -> None:
        self.done.append("feed")


def look(*shards: object, sessions: list[Session]) -> Snapshot:
    return take_snapshot(sessions, shards, planned=9)  # type: ignore[arg-type]


def test_who_works_is_told_by_the_lifecycle_of_the_host() -> None:
    snapshot = look(
        shard(0, owner="a", seq=2),
        shard(1, owner="b"),
        shard(2, owner="b", state=ShardState.DONE),
        shard(3, owner="a", state=ShardState.DONE),
        sessions=[SPOT, RICH],
    )

    assert labour_of(snapshot) == Labour(
        spot=frozenset({A}), on_demand=frozenset({B}), committed_on_demand=1, progress=4
    )


@pytest.mark.parametrize(
    ("phase", "labour", "wanted"),
    [
        (Phase.PLENTY, replace(NOBODY, progress=9), Phase.PLENTY),
        (Phase.PLENTY, replace(NOBODY, spot=frozenset({A}), progress=1), Phase.PLENTY),
        (Phase.PLENTY, replace(NOBODY, spot=frozenset({A}), progress=2), Phase.FAMINE),
        (Phase.FAMINE, replace(NOBODY, on_demand=frozenset({B})), Phase.FAMINE),
        (Phase.FAMINE, replace(NOBODY, committed_on_demand=1), Phase.RELIEF),
        (Phase.RELIEF, replace(NOBODY, spot=frozenset({A})), Phase.RELIEF),  # it was there before
        (Phase.RELIEF, replace(NOBODY, spot=frozenset({A, B})), Phase.BACK),
        (Phase.BACK, NOBODY, Phase.BACK),
    ],
)
def test_each_phase_waits_for_its_cause(phase: Phase, labour: Labour, wanted: Phase) -> None:
    assert next_phase(phase, labour, before_relief=frozenset({A})) is wanted


def test_a_famine_takes_every_spot_host_also_late_ones_and_ends_with_relief() -> None:
    market, clock, said = FakeMarket(hosts=[["i-a"], [], ["i-late"]]), FakeClock(), list[str]()
    famine = Famine(controls=market, clock=clock, say=said.append)

    famine.act(look(shard(0, owner="a", seq=2), sessions=[SPOT]))
    famine.act(look(shard(0, owner=None, seq=2), sessions=[SPOT]))
    famine.act(look(shard(0, owner="b", seq=2), sessions=[SPOT, RICH]))
    famine.act(look(shard(0, owner="b", state=ShardState.DONE), sessions=[SPOT, RICH]))
    famine.act(look(shard(1, owner="c"), sessions=[SPOT, RICH, on("spot", "c")]))

    assert market.done == ["starve", "starve", "starve", "feed"]
    assert famine.noticed == ["i-a", "i-late"]
    assert list(famine.entered) == [Phase.FAMINE, Phase.RELIEF, Phase.BACK]
    assert famine.first_on_demand is not None
    assert len(said) == 4


def famine_of(**entered: float) -> Famine:
    known = {Phase(name): at for name, at in entered.items()}
    first = known[Phase.FAMINE] + 1 if Phase.RELIEF in known else None
    return Famine(
        controls=FakeMarket(hosts=[]), clock=FakeClock(), say=lambda _text: None, entered=known, first_on_demand=first
    )


def test_a_run_that_went_on_on_demand_and_came_back_keeps_its_promise() -> None:
    famine = famine_of(famine=10.0, relief=14.5, back=16.0)
    retired = replace(RICH, stop=Stop(kind=StopKind.RETIRED, deadline=None))

    on_demand, back = went_on(famine), came_back(famine, [SPOT, retired])

    assert on_demand.holds
    assert "1.0 s after" in on_demand.seen
    assert "4.5 s after" in on_demand.seen
    assert back.holds
    assert back.seen == "Spot work 1.5 s after capacity was back, 1 of 1 on-demand workers sent home"


@pytest.mark.parametrize(
    ("famine", "seen"), [(famine_of(), "no famine"), (famine_of(famine=1.0), "no shard was committed on demand")]
)
def test_a_run_that_stood_still_breaks_it(famine: Famine, seen: str) -> None:
    verdict = went_on(famine)

    assert (verdict.holds, verdict.promise) == (False, True)
    assert seen in verdict.seen


def test_a_run_that_stays_on_demand_breaks_it() -> None:
    verdict = came_back(famine_of(famine=1.0, relief=2.0), [RICH])

    assert (verdict.holds, verdict.promise) == (False, True)
    assert verdict.seen == "no Spot worker came back, 0 of 1 on-demand workers sent home"


def entry(reason: str) -> HistoryEntry:
    return HistoryEntry(key=history_key(105_000, "x"), at=105_000, kind="on-demand added", reason=reason)


@pytest.mark.parametrize(("history", "holds"), [([], False), ([entry("")], False), ([entry("no Spot")], True)])
def test_decisions_without_a_reason_break_it(history: list[HistoryEntry], holds: bool) -> None:
    assert explained(history).holds is holds


def starved(published: dict[str, str]) -> Starved:
    return Starved(
        run=RUN,
        shards=rows(ShardState.DONE, ShardState.DONE),
        sessions=[SPOT, RICH],
        committed_in_log=[0, 1],
        famine=famine_of(famine=10.0, relief=14.5, back=16.0),
        history=[entry("no Spot for 2 s")],
        undisturbed={"part-0": "abc"},
        published=published,
        cost={"usd": "0.001", "fallback_premium_usd": "0.0004"},
        started_at=100.0,
        run_s=30.0,
    )


def test_the_page_tells_decisions_and_what_they_cost() -> None:
    text = "\n".join(line for _, line in page(judge_starvation(starved({"part-0": "abc"}))))

    assert "     5.0  on-demand added: no Spot for 2 s" in text
    assert "$0.001, of it $0.0004 because there was no Spot" in text


def test_a_broken_promise_of_the_starved_run_fails_the_demo() -> None:
    good = replace(report(), starvation=judge_starvation(starved({"part-0": "abc"})))
    bad = replace(report(), starvation=judge_starvation(starved({"part-0": "other bytes"})))

    assert good.holds
    assert not bad.holds
    assert "1 promise(s) broken" in "\n".join(line for _, line in whole_page(bad))

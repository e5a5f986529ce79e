"""What a worker does that finds nothing to lease."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from spotproof.interruptions.model import Channel, Signal, SignalKind
from spotproof.leases.model import Run, RunOptions, RunState
from spotproof.worker.idle import SPARE_S, IdleAction, IdleDecision, decide_idle
from tests.fakes.clock import FakeClock
from tests.fakes.leases import a_run

RUN = a_run(options=RunOptions(poll_s=2), closed=frozenset({0}))
CLOCK = FakeClock()
NOTICE = Signal(kind=SignalKind.NOTICE, channel=Channel.IMDS, deadline=CLOCK.now())


def decide(
    run: Run = RUN,
    stop: Signal | None = None,
    hint: Signal | None = None,
    retired: Signal | None = None,
    empty_looks: int = 1,
    caring: bool = False,
    idle_s: float = 0.0,
) -> IdleDecision:
    return decide_idle(
        run=run,
        stop=stop,
        hint=hint,
        retired=retired,
        now=CLOCK.now(),
        empty_looks=empty_looks,
        jitter=1.0,
        caring=caring,
        idle_s=idle_s,
    )


def test_it_waits_while_shards_are_in_flight_elsewhere() -> None:
    assert decide().action is IdleAction.WAIT


def test_its_looks_become_rarer_up_to_a_bound() -> None:
    assert [decide(empty_looks=n).wait_s for n in (1, 2, 3, 9)] == [2, 4, 8, 8]


def test_who_cares_for_the_others_looks_at_every_poll() -> None:
    assert [decide(empty_looks=n, caring=True).wait_s for n in (1, 2, 9)] == [2, 2, 2]


CARED_FOR = dataclasses.replace(RUN, exhausted=frozenset({0, 1}), carer="somebody")


def test_a_spare_worker_leaves_once_waiting_costs_more_than_another_host() -> None:
    assert decide(run=CARED_FOR, idle_s=SPARE_S - 1).action is IdleAction.WAIT
    assert decide(run=CARED_FOR, idle_s=SPARE_S).action is IdleAction.LEAVE_DONE


def test_who_cares_for_the_others_stays_to_the_end() -> None:
    assert decide(run=CARED_FOR, idle_s=10 * SPARE_S, caring=True).action is IdleAction.WAIT


@pytest.mark.parametrize("changes", [{"exhausted": frozenset({0})}, {"carer": None}])
def test_nobody_is_spare_while_shards_were_never_leased_or_nobody_cares(changes: dict[str, Any]) -> None:
    assert decide(run=dataclasses.replace(CARED_FOR, **changes), idle_s=10 * SPARE_S).action is IdleAction.WAIT


def test_a_spare_worker_on_a_dying_host_asks_to_be_retried_all_the_same() -> None:
    assert decide(run=CARED_FOR, stop=NOTICE, idle_s=10 * SPARE_S).action is IdleAction.LEAVE_INTERRUPTED


@pytest.mark.parametrize("state", [RunState.COMPLETE, RunState.FAILED, RunState.CANCELLED, RunState.PAUSED])
def test_it_leaves_a_run_that_has_ended_or_is_paused(state: RunState) -> None:
    assert decide(run=dataclasses.replace(RUN, state=state)).action is IdleAction.LEAVE_DONE


def test_it_leaves_when_every_stripe_is_closed_even_on_a_dying_host() -> None:
    finished = dataclasses.replace(RUN, closed=frozenset({0, 1}))

    assert decide(run=finished, stop=NOTICE).action is IdleAction.LEAVE_DONE


def test_on_a_dying_host_it_leaves_to_be_retried_elsewhere() -> None:
    assert decide(stop=NOTICE).action is IdleAction.LEAVE_INTERRUPTED


def test_a_cancelled_worker_is_not_retried() -> None:
    cancel = Signal(kind=SignalKind.CANCEL, channel=Channel.SESSION)

    assert decide(stop=cancel).action is IdleAction.LEAVE_DONE


PAUSE = Signal(kind=SignalKind.PAUSE, channel=Channel.SESSION)
RETIRE = Signal(kind=SignalKind.RETIRE, channel=Channel.SESSION)


def test_a_paused_worker_is_not_retried_unless_the_run_goes_on_again() -> None:
    paused = dataclasses.replace(RUN, state=RunState.PAUSED)

    assert decide(run=paused, stop=PAUSE).action is IdleAction.LEAVE_DONE
    assert decide(run=RUN, stop=PAUSE).action is IdleAction.LEAVE_INTERRUPTED


def test_a_retired_worker_leaves_for_good() -> None:
    decision = decide(retired=RETIRE)

    assert decision.action is IdleAction.LEAVE_DONE
    assert "retired" in decision.reason


def test_a_retired_worker_on_a_dying_host_asks_to_be_retried_as_any_other() -> None:
    assert decide(retired=RETIRE, stop=NOTICE).action is IdleAction.LEAVE_INTERRUPTED


def test_a_hint_makes_it_wait_no_longer_than_the_hint_lasts() -> None:
    hint = Signal(kind=SignalKind.REBALANCE, channel=Channel.IMDS, expires_at=CLOCK.now() + timedelta(seconds=1))

    decision = decide(hint=hint)

    assert decision.action is IdleAction.WAIT
    assert decision.wait_s == 1

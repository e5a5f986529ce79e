"""Tests of the policies that ours is compared with."""

from bench.policies.baselines import EagerUniformProgress, Greedy, LossesThenOnDemand, UniformProgress
from bench.policies.replay import Job, Place, View

JOB = Job(work=100, deadline=200, changeover=5, price_ratio=3.0, step_s=60.0)
TO_THE_NET = 200 - 100 - 2 * 5 - 1  # the last tick at which somebody without progress may still idle


def seen(tick: int, *, done: int = 0, place: Place = Place.NOWHERE, spot: bool = False) -> View:
    return View(tick=tick, work_left=100 - done, place=place, starting=0, spot=spot, up_ticks=0, losses=0)


def test_greedy_waits_for_spot_until_the_safety_net_and_never_comes_back() -> None:
    greedy = Greedy(JOB)

    assert greedy.choose(seen(0, spot=True)) is Place.SPOT
    assert greedy.choose(seen(TO_THE_NET)) is Place.NOWHERE
    assert greedy.choose(seen(TO_THE_NET + 1)) is Place.ON_DEMAND
    assert greedy.choose(seen(TO_THE_NET + 60, done=59, place=Place.ON_DEMAND, spot=True)) is Place.ON_DEMAND


def test_spot_that_runs_is_left_alone_without_slack() -> None:
    for policy in (Greedy, LossesThenOnDemand, UniformProgress, EagerUniformProgress):
        assert policy(JOB).choose(seen(TO_THE_NET + 5, place=Place.SPOT, spot=True)) is Place.SPOT


def test_three_losses_of_its_own_host_end_the_patience() -> None:
    policy = LossesThenOnDemand(JOB)
    for tick in range(0, 6, 2):
        assert policy.choose(seen(tick, spot=True)) is Place.SPOT
        policy.choose(seen(tick + 1))

    assert policy.choose(seen(6, spot=True)) is Place.ON_DEMAND


def test_uniform_progress_takes_on_demand_when_it_falls_behind_the_line() -> None:
    assert UniformProgress(JOB).choose(seen(40, done=20)) is Place.NOWHERE
    assert UniformProgress(JOB).choose(seen(41, done=20)) is Place.ON_DEMAND
    assert UniformProgress(JOB).choose(seen(41, done=20, spot=True)) is Place.SPOT


def test_uniform_progress_stays_on_demand_until_it_is_two_changeovers_ahead() -> None:
    behind = seen(40, done=24, place=Place.ON_DEMAND, spot=True)
    ahead = seen(40, done=25, place=Place.ON_DEMAND, spot=True)

    assert UniformProgress(JOB).choose(behind) is Place.ON_DEMAND
    assert UniformProgress(JOB).choose(ahead) is Place.SPOT
    assert EagerUniformProgress(JOB).choose(behind) is Place.SPOT


def test_uniform_progress_stops_on_demand_once_ahead() -> None:
    assert UniformProgress(JOB).choose(seen(40, done=25, place=Place.ON_DEMAND)) is Place.NOWHERE

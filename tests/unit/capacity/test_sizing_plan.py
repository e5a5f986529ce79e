"""Packing, forecasts and recommendations."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.capacity.sizing.forecast import START_S, Expectation, forecast, spread_of_runs
from spotproof.capacity.sizing.history import JobHistory
from spotproof.capacity.sizing.packing import makespan_s, thinned_evenly
from spotproof.capacity.sizing.pools import WorkerSize
from spotproof.capacity.sizing.recommendation import Recommendation, Wishes, recommend
from tests.unit.capacity.sizing_samples import MIB, a_record, a_sample, varied_runs

DEPLOYED = WorkerSize(vcpus=2, memory_mib=1800)
NOTHING = JobHistory.of([])
TIMES = st.lists(st.floats(min_value=0.1, max_value=1000), min_size=1, max_size=60)
FEW_TIMES = st.lists(st.floats(min_value=0.1, max_value=1000), min_size=1, max_size=6)


def advise(
    sizes: list[int], history: JobHistory = NOTHING, *, cut_by_size: bool = True, **wishes: Any
) -> Recommendation:
    return recommend(
        sizes, history, deployed=DEPLOYED, cut_by_size=cut_by_size, wishes=Wishes(**wishes), rng=random.Random(1)
    )


def history_of(**changes: Any) -> JobHistory:
    return JobHistory.of([a_record(f"run-{number}", samples=(a_sample(**changes),) * 30) for number in range(5)])


def test_each_worker_takes_the_next_shard_when_it_is_free() -> None:
    assert makespan_s([5, 4, 3, 3, 3], 2) == 10  # 5+3 beside 4+3, and the last on the earlier
    assert makespan_s([3, 3, 3, 4, 5], 2) == 11
    assert makespan_s([7, 1], 9) == 7


@given(FEW_TIMES, st.integers(min_value=1, max_value=3))
def test_longest_first_is_within_four_thirds_of_the_least_possible(times: list[float], workers: int) -> None:
    least = min(max_load(times, placed) for placed in itertools.product(range(workers), repeat=len(times)))

    assert least - 1e-6 <= makespan_s(sorted(times, reverse=True), workers) <= 4 / 3 * least + 1e-6


def max_load(times: list[float], placed: tuple[int, ...]) -> float:
    """Of the worker with the most to do; `placed`: each shard's worker."""
    return max(sum(time for time, at in zip(times, placed, strict=True) if at == worker) for worker in set(placed))


@given(TIMES, st.integers(min_value=1, max_value=20))
def test_no_worker_idles_while_a_shard_waits(times: list[float], workers: int) -> None:
    longest_first = sorted(times, reverse=True)
    # The last to end began when all were busy, and is no longer than the first shard that had to wait (Graham 1969).
    waited = longest_first[workers] if len(times) > workers else 0.0
    most = max(max(times), sum(times) / workers + (1 - 1 / workers) * waited)

    assert sum(times) / workers - 1e-6 <= makespan_s(longest_first, workers) <= most + 1e-6


@pytest.mark.parametrize("workers", [1, 3, 40, 2_000, 20_000, 90_000])
def test_a_thinned_run_takes_about_as_long_as_the_whole(workers: int) -> None:
    rng = random.Random(5)
    times = sorted((rng.lognormvariate(3, 0.5) for _ in range(80_000)), reverse=True)
    few, copies = thinned_evenly(times, 2_000)

    assert makespan_s(few, workers, copies=copies) == pytest.approx(makespan_s(times, workers), rel=0.06)


def test_no_workers_or_no_shards_are_refused() -> None:
    for times, workers in (([1.0], 0), ([], 1)):
        with pytest.raises(ValueError, match="needs workers and shards"):
            makespan_s(times, workers)


def test_more_workers_end_earlier_and_never_cost_much_less() -> None:
    expectation = Expectation.of(history_of())
    sizes = [64 * MIB] * 200
    found = [forecast(sizes, workers, expectation, rng=random.Random(2)) for workers in (1, 4, 16, 64)]

    for fewer, more in itertools.pairwise(found):
        assert more.wall_s.middle < fewer.wall_s.middle
        assert more.worker_s.middle > 0.95 * fewer.worker_s.middle


def test_a_forecast_of_steady_runs_is_their_arithmetic() -> None:
    """60 s a shard, 10 % overhead, two workers all the time, 10 shards each."""
    found = forecast([64 * MIB] * 20, 2, Expectation.of(history_of()), rng=random.Random(1))

    assert found.wall_s.middle == pytest.approx(START_S + 660, rel=0.05)
    assert found.wall_s.low < found.wall_s.middle < found.wall_s.high
    assert found.worker_s.middle == pytest.approx(2 * (START_S + 660), rel=0.05)


def test_runs_that_differ_more_make_a_wider_band() -> None:
    alike = JobHistory.of(varied_runs(random.Random(1), 12, run_sd=0.0))
    unlike = JobHistory.of(varied_runs(random.Random(1), 12, run_sd=0.8))

    assert spread_of_runs(unlike.seconds) > 3 * spread_of_runs(alike.seconds)


def test_without_history_everything_is_as_deployed_and_a_factor_of_four_is_allowed_for() -> None:
    advice = advise([64 * MIB] * 400)

    assert advice.runs == 0
    assert (advice.memory_mib.value, advice.vcpus.value) == (None, None)
    assert advice.size(DEPLOYED) == DEPLOYED
    assert advice.shard_s.high / advice.shard_s.low == pytest.approx(16)
    assert advice.run.wall_s.high / advice.run.wall_s.low > 3
    assert "defaults" in advice.warnings[0]


def test_memory_covers_the_worst_shard_with_room() -> None:
    samples = tuple(a_sample(peak_mib=1000 + number) for number in range(100))
    history = JobHistory.of([a_record(f"run-{number}", samples=samples) for number in range(4)])

    advice = advise([64 * MIB] * 10, history)

    assert advice.memory_mib.value is not None
    assert 1.15 * 1100 <= advice.memory_mib.value <= 1.25 * 1100
    assert advice.memory_mib.value % 128 == 0


def test_one_freak_among_thousands_does_not_set_everybodys_memory() -> None:
    samples = (*(a_sample(peak_mib=500) for _ in range(400)), a_sample(peak_mib=30_000))
    history = JobHistory.of([a_record(f"run-{number}", samples=samples) for number in range(4)])

    assert advise([64 * MIB], history).memory_mib.value == 1152  # twice the 99th percentile, and room


def test_memory_grows_with_the_largest_shard_planned() -> None:
    history = JobHistory.of(varied_runs(random.Random(2), 5))

    small, large = (advise([size * MIB] * 4, history).memory_mib.value or 0 for size in (20, 100))

    assert large > small + 128


@pytest.mark.parametrize(("busy", "vcpus"), [(0.4, 1), (1.2, 1), (1.3, 2), (3.9, 4), (7.3, 8)])
def test_vcpus_are_those_that_shards_keep_busy(busy: float, vcpus: int) -> None:
    advice = advise([64 * MIB], history_of(cpu_ms=round(60_000 * busy)))

    assert advice.vcpus.value == vcpus


def test_shards_are_cut_to_minutes_of_work() -> None:
    """A minute for 64 MiB: 256 MiB are four minutes, 320 would be five."""
    advice = advise([64 * MIB] * 1000, history_of())

    assert advice.shard_bytes.value == 256 * MIB
    assert "5 minutes" in advice.shard_bytes.reason


def test_shards_are_small_enough_for_the_workers_asked_for() -> None:
    advice = advise([64 * MIB] * 100, history_of(), workers=100)

    assert advice.shard_bytes.value == 16 * MIB
    assert "100 workers" in advice.shard_bytes.reason


def test_a_sharding_that_is_not_by_size_is_left_alone() -> None:
    assert advise([64 * MIB] * 4, history_of(), cut_by_size=False).shard_bytes.value is None


def test_workers_get_half_an_hour_each_and_four_shards_at_least() -> None:
    much = advise([64 * MIB] * 3000, history_of())  # 50 hours
    little = advise([64 * MIB] * 8, history_of(work_ms=3_600_000))

    assert much.workers.value == 100
    assert little.workers.value == 2


def test_a_deadline_gets_the_fewest_workers_that_meet_it() -> None:
    history = history_of()
    sizes = [64 * MIB] * 100
    advice = advise(sizes, history, within_s=1200.0)
    assert advice.workers.value is not None

    assert advice.run.wall_s.high <= 1200 * 1.1
    fewer = forecast(sizes, advice.workers.value - 2, Expectation.of(history), rng=random.Random(1))
    assert fewer.wall_s.high > 1200


def test_a_deadline_that_no_number_of_workers_meets_is_said() -> None:
    advice = advise([64 * MIB] * 10, history_of(), within_s=30.0)

    assert advice.workers.value == 10
    assert "not likely" in advice.workers.reason


def test_a_shard_larger_than_any_seen_is_warned_about() -> None:
    assert any("largest ever seen 64 MiB" in text for text in advise([640 * MIB], history_of()).warnings)
    assert advise([100 * MIB], history_of()).warnings == ()


def test_a_million_shards_are_planned_in_seconds() -> None:
    advice = advise([MIB] * 1_000_000, history_of())

    assert advice.workers.value == 521  # 64 s for 64 MiB make 260 hours

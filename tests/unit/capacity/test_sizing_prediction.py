"""What a shard will take: a line through medians, and a band calibrated run by run."""

import random

import pytest

from spotproof.capacity.sizing.history import RUNS_USED, JobHistory
from spotproof.capacity.sizing.prediction import fit_line, predict, speeds
from spotproof.capacity.sizing.quantiles import median, weighted_quantile
from tests.unit.capacity.sizing_samples import MIB, a_record, a_sample, varied_runs

GROWING = [(size, 2.0 + 0.5 * size) for size in range(10, 110, 10)]


def test_a_line_has_a_fixed_and_a_growing_part() -> None:
    line = fit_line([GROWING], grows=True)

    assert [line.fixed, line.per_byte] == pytest.approx([2.0, 0.5])


def test_a_minority_of_odd_shards_moves_the_line_little() -> None:
    odd = [(size, 40 * value) if number % 5 == 0 else (size, value) for number, (size, value) in enumerate(GROWING)]

    line = fit_line([odd], grows=True)

    assert line.at(60) == pytest.approx(32, rel=0.35)


def test_shards_of_one_size_grow_in_proportion_or_not_at_all_as_told() -> None:
    alike = [(100, 50.0), (101, 51.0), (102, 49.0)]

    assert fit_line([alike], grows=True).at(200) == pytest.approx(99, rel=0.03)
    assert fit_line([alike], grows=False).at(200) == pytest.approx(50)


def test_what_shrinks_with_size_is_taken_as_constant_and_what_grows_faster_as_proportional() -> None:
    shrinking = [(10, 9.0), (100, 5.0)]
    steep = [(10, 1.0), (100, 100.0)]

    assert fit_line([shrinking], grows=True).per_byte == 0
    assert fit_line([steep], grows=True).fixed == 0
    assert fit_line([steep], grows=True).at(100) == pytest.approx(100)


def test_empty_shards_are_no_problem() -> None:
    assert fit_line([[(0, 3.0), (0, 5.0)]], grows=True).at(0) == 4.0
    assert predict([[(0, 3.0)], [(0, 4.0)], [(10, 5.0)]], grows=True).quantile(0, 0.5) > 0


def test_the_error_of_the_line_is_in_the_band() -> None:
    """Three runs that agree within themselves and not with each other: each is far from what the others say."""
    runs = [[(10, 10.0 * factor)] * 20 for factor in (1.0, 2.0, 4.0)]

    prediction = predict(runs, grows=True)

    assert sorted(round(run[0], 2) for run in prediction.scores) == [0.33, 0.8, 2.67]
    assert prediction.score(0.9) / prediction.score(0.1) == pytest.approx(8)


def test_a_run_counts_once_however_many_shards_it_had() -> None:
    large, small = [(10, 10.0)] * 900, [[(10, 30.0)] * 3] * 3

    prediction = predict([large, *small], grows=True)

    assert prediction.quantile(10, 0.5) == pytest.approx(30)


def test_few_runs_get_a_wider_band_than_their_own_spread() -> None:
    one = predict([[(10, 10.0)] * 50], grows=True)

    assert one.score(0.9) > 1.3
    assert one.score(0.1) < 0.8


def test_a_prediction_without_shards_is_refused() -> None:
    with pytest.raises(ValueError, match="needs runs"):
        predict([], grows=True)
    with pytest.raises(ValueError, match="needs runs"):
        predict([[(1, 1.0)], []], grows=True)


@pytest.mark.parametrize("runs", [3, 6, 12])
def test_the_predicted_p90_covers_what_it_says_on_runs_that_were_held_out(runs: int) -> None:
    shares = []
    for seed in range(120):
        *earlier, held = varied_runs(random.Random(seed), runs + 1, shards=30)
        prediction = JobHistory.of(earlier).seconds
        below = [sample.work_ms / 1000 <= prediction.quantile(sample.input_bytes, 0.9) for sample in held.samples]
        shares.append(sum(below) / len(below))

    assert 0.85 <= sum(shares) / len(shares) <= 0.95


def test_a_slow_type_is_told_from_a_slow_run_and_few_shards_say_little() -> None:
    run = [("slow", 2.0)] * 200 + [("usual", 1.0)] * 300 + [("rare", 4.0)]
    found = speeds([run, [("usual", 5.0)] * 50])

    assert found["slow"] == pytest.approx(1.91, abs=0.02)
    assert found["usual"] == pytest.approx(1.0)
    assert 1.0 < found["rare"] < 1.2


@pytest.mark.parametrize(
    ("level", "value"), [(0.0, 1.0), (0.25, 1.0), (0.26, 2.0), (0.5, 2.0), (0.9, 9.0), (1.0, 9.0), (1.5, 9.0)]
)
def test_a_quantile_is_the_least_value_that_reaches_the_level(level: float, value: float) -> None:
    assert weighted_quantile([9.0, 1.0, 2.0], [2.0, 1.0, 1.0], level) == value


def test_a_median_is_in_the_middle() -> None:
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.5
    assert median([9.0, 1.0, 3.0]) == 3.0
    with pytest.raises(ValueError, match="needs values"):
        median([])
    with pytest.raises(ValueError, match="quantile"):
        weighted_quantile([1.0], [1.0], -0.1)


def test_a_history_keeps_the_newest_runs_once_each_and_forgets_those_without_shards() -> None:
    records = [a_record(f"run-{number}", ended_at=2 * 10**12 + number) for number in range(RUNS_USED + 5)]
    again = a_record("run-24", ended_at=3 * 10**12, shards=99)

    history = JobHistory.of([*records, again, a_record("empty", samples=(), ended_at=4 * 10**12)])

    assert history.runs == RUNS_USED
    assert [record.run_id for record in history.records[:3]] == ["run-24", "run-23", "run-22"]
    assert history.records[0].shards == 99


def test_a_history_tells_the_share_of_time_that_was_work_and_how_much_there_was() -> None:
    history = JobHistory.of([a_record()])

    assert history.busy_share == pytest.approx(0.5)  # 600 of 1,200 s
    assert list(history.overheads) == pytest.approx([1.1])  # 30 s saved, 30 s done again, over 600 s
    assert list(history.presences) == pytest.approx([1.0])  # two workers for 600 s each


def test_memory_and_processors_are_unknown_when_no_run_told() -> None:
    history = JobHistory.of([a_record(samples=(a_sample(peak_mib=0, cpu_ms=0),) * 5)])

    assert (history.memory, history.cores) == (None, None)


def test_memory_that_does_not_grow_is_predicted_as_seen() -> None:
    history = JobHistory.of([a_record(f"run-{number}") for number in range(4)])

    assert history.memory is not None
    assert history.memory.quantile(640 * MIB, 0.99) == pytest.approx(700)

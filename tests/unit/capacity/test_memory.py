"""More memory after running out of it."""

import pytest

from spotproof.capacity.memory import STEP_MIB, decide_memory, memory_override


def test_the_next_attempt_gets_twice_as_much() -> None:
    decision = decide_memory(memory_mib=1792, cap_mib=60_000)

    assert decision.memory_mib == 3584
    assert "1792 MiB was not enough" in decision.reason


def test_sizes_are_whole_steps() -> None:
    assert decide_memory(memory_mib=1800, cap_mib=60_000).memory_mib == 29 * STEP_MIB


@pytest.mark.parametrize("memory_mib", [3793, 4000, 7000])
def test_the_cap_is_the_most_it_gets(memory_mib: int) -> None:
    assert decide_memory(memory_mib=memory_mib, cap_mib=7585).memory_mib == 7585


@pytest.mark.parametrize("memory_mib", [7585, 9000])
def test_at_the_cap_a_bigger_attempt_is_refused_with_advice(memory_mib: int) -> None:
    decision = decide_memory(memory_mib=memory_mib, cap_mib=7585)

    assert decision.memory_mib is None
    assert "smaller shards" in decision.reason


@pytest.mark.parametrize("memory_mib", [None, 0])
def test_an_unknown_size_is_not_grown(memory_mib: int | None) -> None:
    decision = decide_memory(memory_mib=memory_mib, cap_mib=7585)

    assert (decision.memory_mib, "did not tell" in decision.reason) == (None, True)


def test_a_need_is_reached_in_few_failures() -> None:
    sizes: list[int] = []
    size: int | None = 512
    while size is not None:
        sizes.append(size)
        size = decide_memory(memory_mib=size, cap_mib=30_340).memory_mib

    assert sizes == [512, 1024, 2048, 4096, 8192, 16384, 30_340]


def test_a_cap_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        decide_memory(memory_mib=512, cap_mib=0)


def test_the_override_is_what_submit_job_takes() -> None:
    assert memory_override(4096) == {"resourceRequirements": [{"type": "MEMORY", "value": "4096"}]}

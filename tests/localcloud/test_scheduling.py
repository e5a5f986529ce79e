"""When a queue counts as blocked, and what its reason says."""

from localcloud.batch.blocked import Refusal, judge_blocked

TYPES = ["m5.large", "c5.large"]


def test_no_capacity_anywhere_blocks_with_the_words_of_batch() -> None:
    blocked = judge_blocked([(Refusal.CAPACITY, TYPES)])

    assert blocked is not None
    assert blocked.text == (
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - "
        "Service cannot fulfill the capacity requested for instance type [m5.large, c5.large]"
    )


def test_an_environment_at_its_maximum_is_waiting_and_not_blocked() -> None:
    assert judge_blocked([(Refusal.CAPACITY, TYPES), (Refusal.BUSY, TYPES)]) is None


def test_capacity_is_named_before_a_misfit() -> None:
    blocked = judge_blocked([(Refusal.NO_TYPE, TYPES), (Refusal.CAPACITY, TYPES)])

    assert blocked is not None
    assert blocked.reason == "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"


def test_a_job_that_fits_no_type_is_a_misconfiguration() -> None:
    blocked = judge_blocked([(Refusal.NO_TYPE, TYPES)])

    assert blocked is not None
    assert blocked.reason == "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"


def test_a_queue_whose_environments_are_off_says_nothing() -> None:
    assert judge_blocked([(Refusal.OFF, TYPES)]) is None
    assert judge_blocked([]) is None

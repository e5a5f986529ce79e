"""The checker of stop files fails when a live notice is overwritten, and on nothing else."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Final

import pytest

from simulation.checks.base import ObjectChange, Report
from simulation.checks.stop_files import StopFileCheck
from simulation.cloud.aws_event import moment_of
from simulation.workload import DATA_BUCKET, WORK_BUCKET
from spotproof import contract
from spotproof.interruptions.stop_file import NOTICE_MEMORY, StopFile, notice_file, rebalance_file, render_stop_file

INSTANCE: Final = "i-0123456789abcdef0"
START: Final = moment_of(0)
LEAD: Final = timedelta(minutes=2)
NOTICE: Final = notice_file(instance_id=INSTANCE, event_id="n", event_time=START, written_at=START, lead=LEAD)
HINT: Final = rebalance_file(instance_id=INSTANCE, event_id="r", event_time=START, written_at=START, hint=LEAD)
EXPIRED_S: Final = (LEAD + NOTICE_MEMORY).total_seconds()


def broken(
    old: StopFile | None, new: StopFile | None, *, after_s: float = 1, skew_s: int = 0, bucket: str
) -> list[str]:
    report = Report()
    scheduler = SimpleNamespace(now=int(after_s * 1_000_000))
    check = StopFileCheck(SimpleNamespace(report=report, scheduler=scheduler, skew_max_ms=skew_s * 1000))
    check.changed(
        ObjectChange(
            bucket=bucket,
            key=contract.stop_file_key(INSTANCE),
            old=None if old is None else render_stop_file(old),
            new=None if new is None else render_stop_file(new),
            call=None,
        )
    )
    return [violation.words for violation in report.violations]


@pytest.mark.parametrize("new", [HINT, notice_file(
    instance_id=INSTANCE, event_id="later", event_time=START + LEAD, written_at=START, lead=LEAD
)])  # fmt: skip
def test_a_live_notice_that_is_overwritten_is_told(new: StopFile) -> None:
    assert broken(NOTICE, new, bucket=WORK_BUCKET) == [f"a {new.kind} overwrote the live notice of {INSTANCE}"]
    assert broken(NOTICE, new, after_s=EXPIRED_S - 1, bucket=WORK_BUCKET)


@pytest.mark.parametrize(
    ("old", "new", "after_s", "skew_s"),
    [
        (None, NOTICE, 1, 0),
        (HINT, NOTICE, 1, 0),
        (NOTICE, NOTICE, 1, 0),
        (NOTICE, None, 1, 0),
        (NOTICE, HINT, EXPIRED_S, 0),
        (NOTICE, HINT, EXPIRED_S - 1, 2),
    ],
    ids=["first", "stronger", "the same", "deleted", "expired", "expired by a wrong clock"],
)
def test_what_may_change_is_not(old: StopFile | None, new: StopFile | None, after_s: float, skew_s: int) -> None:
    assert broken(old, new, after_s=after_s, skew_s=skew_s, bucket=WORK_BUCKET) == []


def test_objects_elsewhere_are_no_stop_files() -> None:
    assert broken(NOTICE, HINT, bucket=DATA_BUCKET) == []

"""How long what nobody needs any more is kept."""

from dataclasses import dataclass

from stacks.settings.declaration import setting
from stacks.settings.kinds import Number, NumberOf

# Of those that CloudWatch Logs takes (PutRetentionPolicy).
LOG_RETENTION_DAYS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
TEN_YEARS = 3653


@dataclass(frozen=True, kw_only=True)
class RetentionSettings:
    """Retention, in days"""

    log_retention_days: int = setting(NumberOf(LOG_RETENTION_DAYS), 30, "Logs of workers and functions.")
    noncurrent_days: int = setting(
        Number(1, TEN_YEARS), 30, "How long an overwritten or deleted object of the data bucket can be had back."
    )
    run_records_days: int = setting(
        Number(1, TEN_YEARS),
        400,
        "Records of ended runs, from which the next ones are sized; 400: a yearly job finds its last one.",
    )
    checkpoint_days: int = setting(
        Number(1, 90),
        1,
        "Checkpoints of ended runs, should their prompt deletion fail; those of live runs never expire.",
    )
    dead_letter_days: int = setting(Number(1, 14), 14, "Events that no function could handle.")

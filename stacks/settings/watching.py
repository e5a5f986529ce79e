"""Who hears of trouble and of cost, and how the functions react."""

import re
from dataclasses import dataclass

from stacks.settings.declaration import setting
from stacks.settings.kinds import Number, Text

ADDRESS = Text(re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+"), "an address such as team@example.com", may_be_empty=True)
BREAKER = Text(
    re.compile(r"([1-9]|[12][0-9]|3[0-2])/[1-9][0-9]{0,5}/[1-9][0-9]{0,5}"),
    "count/window/recovery, a count up to 32 and whole seconds, such as 3/600/1800",
)


@dataclass(frozen=True, kw_only=True)
class WatchingSettings:
    """Functions, alarms and budget"""

    reserved_concurrency: int = setting(
        Number(0), 0, "Of each function; 0: none, because new accounts can't reserve any."
    )
    breaker: str = setting(
        BREAKER, "3/600/1800", "Of Spot pools: interruptions / within seconds / seconds to leave the pool alone."
    )
    alarm_email: str = setting(ADDRESS, "", "Who hears of alarms, after a click in the mail that AWS sends first.")
    monthly_budget_usd: int = setting(Number(0, 10**9), 0, "Of the instances, watched by AWS Budgets; 0: none.")
    budget_email: str = setting(ADDRESS, "", "Who hears of the budget.")

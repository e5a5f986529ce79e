"""No history of any machine breaks an invariant. `python -m tests.stateful --examples 1000` looks longer."""

import pytest

from tests.stateful.campaign import run_campaign
from tests.stateful.machines import BUDGETS, Budget


@pytest.mark.timeout(900)  # a failing history is first made short, for up to five minutes
@pytest.mark.parametrize("budget", BUDGETS, ids=lambda budget: budget.machine.__name__.lower())
def test_no_history_breaks_an_invariant_and_every_danger_was_met(budget: Budget) -> None:
    campaign = run_campaign(budget.machine, examples=budget.examples)

    assert campaign.missing == []

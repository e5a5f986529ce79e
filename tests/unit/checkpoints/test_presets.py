"""What the names of the presets mean."""

import pytest

from spotproof.checkpoints.presets import SavePlan, plan_saves
from spotproof.errors import InputError
from spotproof.leases.model import CheckpointPreset, RunOptions


@pytest.mark.parametrize(
    ("preset", "plan"),
    [
        (CheckpointPreset.NAIVE, SavePlan(saves=False, interval_s=None, keeps_budget=False)),
        (CheckpointPreset.HOURLY, SavePlan(saves=True, interval_s=3600.0, keeps_budget=False)),
        (CheckpointPreset.INCREMENTAL, SavePlan(saves=True, interval_s=None, keeps_budget=True)),
        (CheckpointPreset.AUTO, SavePlan(saves=True, interval_s=None, keeps_budget=True)),
    ],
)
def test_a_preset_is_a_row_of_the_table_users_know(preset: CheckpointPreset, plan: SavePlan) -> None:
    assert plan_saves(RunOptions(checkpoint=preset)) == plan


@pytest.mark.parametrize("preset", [each for each in CheckpointPreset if each is not CheckpointPreset.NAIVE])
def test_an_interval_of_the_submitter_wins_over_the_preset(preset: CheckpointPreset) -> None:
    plan = plan_saves(RunOptions(checkpoint=preset, checkpoint_interval_s=7))

    assert plan == SavePlan(saves=True, interval_s=7, keeps_budget=True)


def test_an_interval_for_a_run_that_never_saves_is_refused() -> None:
    with pytest.raises(InputError, match="naive never saves"):
        plan_saves(RunOptions(checkpoint=CheckpointPreset.NAIVE, checkpoint_interval_s=7))

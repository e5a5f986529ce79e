"""The ways of saving that users know by name, and what a run's options make of them."""

from dataclasses import dataclass
from typing import Final, assert_never

from spotproof.errors import InputError
from spotproof.leases.model import CheckpointPreset, RunOptions

HOURLY_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SavePlan:
    """What a run asks of its checkpoints."""

    saves: bool  # False: nothing is ever saved; an interrupted shard starts again
    interval_s: float | None  # between saves, exactly; None: computed from cost and risk
    keeps_budget: bool  # save earlier when so much has changed that the last save might not fit its window


def plan_saves(options: RunOptions) -> SavePlan:
    """The plan of a run: an interval that the submitter gives wins over the preset.

    Raises:
        InputError: an interval together with `checkpoint=naive`, which never saves.
    """
    if options.checkpoint_interval_s is not None:
        if options.checkpoint is CheckpointPreset.NAIVE:
            raise InputError("checkpoint=naive never saves: leave out checkpoint_interval_s, or choose another preset")
        return SavePlan(saves=True, interval_s=options.checkpoint_interval_s, keeps_budget=True)
    match options.checkpoint:
        case CheckpointPreset.NAIVE:
            return SavePlan(saves=False, interval_s=None, keeps_budget=False)
        case CheckpointPreset.HOURLY:
            return SavePlan(saves=True, interval_s=HOURLY_S, keeps_budget=False)
        case CheckpointPreset.AUTO | CheckpointPreset.INCREMENTAL:
            return SavePlan(saves=True, interval_s=None, keeps_budget=True)
        case _:
            assert_never(options.checkpoint)

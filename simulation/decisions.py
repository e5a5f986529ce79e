"""What the product decides about capacity, and what follows in the table: none of it may be silently dead."""

from typing import Final

# Kinds of history entries with their cause, as the checker of histories counts them.
DECISIONS: Final = (
    "on-demand added: waited",
    "on-demand added: blocked",
    "on-demand added: interrupted",
    "on-demand added: deadline",
    "on-demand retired: spot-is-back",
    "on-demand capped",
    "paused",
    "worker replaced",
    "workers topped up",
)
# Calls that only such decisions bring about: a campaign must have made each.
REACHED: Final = (
    "controller dynamodb.update_item pause run of budget",
    "controller dynamodb.update_item mark retired",
    "controller batch.cancel_job",
    "operator dynamodb.update_item resume run with budget",
    "worker dynamodb.update_item release to on-demand",
    "spot_interruption dynamodb.update_item drain to on-demand",
    "instance_state_change dynamodb.update_item requeue to on-demand",
)

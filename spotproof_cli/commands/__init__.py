"""The table of commands: a new command is one module here and one row."""

from typing import Final

from spotproof_cli.lazy_group import CommandEntry

COMMANDS: Final = (
    CommandEntry(
        name="doctor",
        module="spotproof_cli.commands.doctor",
        summary="Check the account and the deployment; every fault comes with what mends it.",
    ),
    CommandEntry(
        name="plan",
        module="spotproof_cli.commands.plan",
        summary="Recommend sizes for a run, and say what it will take; changes nothing.",
    ),
    CommandEntry(
        name="submit",
        module="spotproof_cli.commands.submit",
        summary="Submit workers for a run of a job; the same run again joins it.",
    ),
    CommandEntry(
        name="status",
        module="spotproof_cli.commands.status",
        summary="Show a run's shards, workers and interruptions; without RUN, list the runs.",
    ),
    CommandEntry(
        name="history",
        module="spotproof_cli.commands.history",
        summary="Show what was decided about a run, and why.",
    ),
    CommandEntry(
        name="logs",
        module="spotproof_cli.commands.logs",
        summary="Show what the workers of a run logged.",
    ),
    CommandEntry(
        name="results",
        module="spotproof_cli.commands.results",
        summary="Show or download the outputs of a finished run.",
    ),
    CommandEntry(
        name="cancel",
        module="spotproof_cli.commands.cancel",
        summary="Cancel a run and terminate its workers.",
    ),
    CommandEntry(
        name="resume",
        module="spotproof_cli.commands.resume",
        summary="Let a paused run go on, with a budget of its own and new workers.",
    ),
    CommandEntry(
        name="cost",
        module="spotproof_cli.commands.cost",
        summary="Show what a run costs: so far and at its end, wasted and saved.",
    ),
    CommandEntry(
        name="interrupt",
        module="spotproof_cli.commands.interrupt",
        summary="Interrupt workers of a run on purpose, in the local account.",
    ),
    CommandEntry(
        name="gameday",
        module="spotproof_cli.commands.gameday",
        summary="Rehearse interruptions of a run with an experiment, and check its promise.",
    ),
    CommandEntry(
        name="exporter",
        module="spotproof_cli.commands.exporter",
        summary="Show runs, workers, instances and costs to Prometheus, until it is stopped.",
    ),
    CommandEntry(
        name="wrap",
        module="spotproof_cli.commands.wrap",
        summary="Run any program as a worker's job, here: spotproof wrap … -- CMD…",
    ),
)

"""How long EC2 and Batch take for things; a world may be quicker or slower than the usual account."""

from dataclasses import dataclass

Span = tuple[int, int]  # whole seconds, drawn evenly; the second is excluded


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The defaults are what users of Batch on EC2 see."""

    boot_s: Span = (40, 160)  # from launch to running
    pull_s: Span = (1, 40)  # from STARTING to the container's start
    report_s: float = 5.0  # at most so long the agent needs to tell that a container ended
    unseen_s: float = 300.0  # at most so long EC2 takes a host that failed for running
    shutdown_s: Span = (5, 60)  # from shutting-down to terminated
    host_gone_s: Span = (30, 600)  # from terminated to Batch's knowing
    idle_s: float = 300.0  # without a container before Batch scales in
    shortage_s: Span = (300, 4 * 3600)  # how long a pool stays empty


USUAL = Timing()

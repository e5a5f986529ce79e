"""Progress of a run on standard error: a bar on a terminal, a line per change elsewhere."""

import sys
from typing import TYPE_CHECKING, Final, Protocol

from spotproof.clock import Clock
from spotproof_cli.output import Format, Output
from spotproof_cli.run_view import RunView
from spotproof_cli.terminal_text import clean, span

if TYPE_CHECKING:
    from rich.progress import TaskID

LINE_EVERY_S: Final = 3.0  # at most one line in so many seconds


class ProgressDisplay(Protocol):
    """Shows how a run goes on while somebody waits for it."""

    def waiting(self, text: str) -> None:
        """Nothing is planned yet; `text` says what is being waited for."""
        ...

    def moved(self, view: RunView) -> None:
        """The run as just read."""
        ...

    def stuck(self, text: str) -> None:
        """Work is left and no worker is alive; `text` says why none starts."""
        ...

    def close(self) -> None:
        """Leave the screen tidy; called once, whatever happened."""
        ...


def progress_display(output: Output, clock: Clock) -> ProgressDisplay:
    """The display that fits: a bar only on a terminal, and only when nobody asked for plain or JSON output."""
    if output.form is Format.HUMAN and not output.quiet and sys.stderr.isatty():
        return ProgressBar(colour=output.colour)
    return ProgressLines(output=output, clock=clock)


def describe(view: RunView) -> str:
    """One line: shards, workers, interruptions, time left."""
    counts = view.counts
    parts = [
        f"{counts.done}/{counts.total} shards done",
        f"{counts.leased} leased",
        f"{len(view.workers)} workers",
        f"{view.interruptions.seen} interrupted",
    ]
    if counts.quarantined:
        parts.append(f"{counts.quarantined} quarantined")
    if view.eta_s is not None:
        parts.append(f"about {span(view.eta_s)} left")
    return ", ".join(parts)


class ProgressLines:
    """One line per change, at most one every few seconds."""

    def __init__(self, *, output: Output, clock: Clock) -> None:
        self.output = output
        self.clock = clock
        self._last_key: object = None
        self._last_stuck = ""
        self._next_at = float("-inf")

    def waiting(self, text: str) -> None:
        self._line(text, key=text)

    def moved(self, view: RunView) -> None:
        key = (view.run.state, view.counts, len(view.workers), view.interruptions)
        self._line(f"{view.run.run_id}: {describe(view)}", key=key)

    def stuck(self, text: str) -> None:
        if text != self._last_stuck:
            self.output.say(text)
        self._last_stuck = text

    def close(self) -> None:
        """Lines need no tidying."""

    def _line(self, text: str, *, key: object) -> None:
        now = self.clock.monotonic()
        if key == self._last_key or now < self._next_at:
            return
        self._last_key, self._next_at = key, now + LINE_EVERY_S
        self.output.say(text)


class ProgressBar:
    """A bar that stays in its line."""

    def __init__(self, *, colour: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress: Progress = Progress(
            BarColumn(bar_width=30),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True, no_color=not colour),
            transient=True,
            redirect_stdout=False,  # data goes where it always goes
            redirect_stderr=False,
        )
        self._stuck = ""
        self._task: TaskID = self._progress.add_task("starting", total=None)
        self._progress.start()

    def waiting(self, text: str) -> None:
        self._progress.update(self._task, description=clean(text))

    def moved(self, view: RunView) -> None:
        if view.workers:
            self._stuck = ""
        text = f"{describe(view)}; {self._stuck}" if self._stuck else describe(view)
        self._progress.update(self._task, total=view.counts.total, completed=view.counts.finished, description=text)

    def stuck(self, text: str) -> None:
        self._stuck = clean(text)

    def close(self) -> None:
        self._progress.stop()

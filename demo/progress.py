"""Lines that say what the demo is doing, each with the seconds since it began."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from spotproof.clock import Clock

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Progress:
    """Prints a line for every phase; plain text when the output is no terminal."""

    console: "Console"
    clock: Clock
    started: float

    def say(self, text: str, *, style: str = "") -> None:
        """One line, now."""
        from rich.text import Text

        elapsed = self.clock.monotonic() - self.started
        self.console.print(Text(f"{elapsed:6.1f} s  {text}", style=style), soft_wrap=True)

    def show(self, style: str, text: str) -> None:
        """One line without the time."""
        from rich.text import Text

        self.console.print(Text(text, style=style), soft_wrap=True)

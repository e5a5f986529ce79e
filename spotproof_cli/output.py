"""What the command writes: data to standard output, messages to standard error."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, TextIO

from spotproof_cli.terminal_text import clean

SCHEMA_VERSION: Final = 1


class Format(StrEnum):
    HUMAN = "human"
    PLAIN = "plain"  # tab separated, no colours, no progress bar
    JSON = "json"


class Output:
    """Writes one command's data and messages. A reader that went away (`| head`) is not an error."""

    def __init__(
        self, *, stdout: TextIO, stderr: TextIO, form: Format, verbosity: int = 0, quiet: bool = False, colour: bool
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.form = form
        self.verbosity = verbosity
        self.quiet = quiet
        self.colour = colour and form is Format.HUMAN
        self.closed = False  # nobody reads standard output any more

    @property
    def is_json(self) -> bool:
        return self.form is Format.JSON

    def document(self, fields: Mapping[str, Any]) -> None:
        """The command's answer as one JSON document with its schema version first."""
        self._data(json.dumps({"schema": SCHEMA_VERSION, **fields}, indent=2))

    def json_line(self, fields: Mapping[str, Any]) -> None:
        """One of many JSON documents, on one line, each with the schema version."""
        self._data(json.dumps({"schema": SCHEMA_VERSION, **fields}))

    def line(self, text: str) -> None:
        """One line of data; `text` is made safe for a terminal."""
        self._data(clean(text))

    def facts(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Named values, one a line."""
        width = max((len(name) for name, _ in pairs), default=0)
        for name, value in pairs:
            plain = f"{name}\t{clean(value)}"
            self._data(plain if self.form is Format.PLAIN else f"{self._bold(name.ljust(width))}  {clean(value)}")

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows under headers, aligned for people, tab separated when plain."""
        cells = [[clean(cell) for cell in row] for row in rows]
        if self.form is Format.PLAIN:
            for row in cells:
                self._data("\t".join(row))
            return
        widths = [max(len(row[column]) for row in [list(headers), *cells]) for column in range(len(headers))]
        self._data(self._bold(_aligned(headers, widths)))
        for row in cells:
            self._data(_aligned(row, widths))

    def say(self, text: str) -> None:
        """A message for the person, not for programs; silent with -q."""
        if not self.quiet:
            self._message(text)

    def detail(self, text: str) -> None:
        """A message for the person who asked for more with -v."""
        if self.verbosity > 0:
            self._message(text)

    def warn(self, text: str) -> None:
        self._message(f"warning: {text}")

    def error(self, text: str) -> None:
        self._message(f"error: {text}")

    def _bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self.colour else text

    def _data(self, text: str) -> None:
        if self.closed:
            return
        try:
            self.stdout.write(f"{text}\n")
            self.stdout.flush()
        except BrokenPipeError:
            self.closed = True
            _discard(self.stdout)

    def _message(self, text: str) -> None:
        try:
            self.stderr.write(f"{clean(text)}\n")
            self.stderr.flush()
        except BrokenPipeError:
            _discard(self.stderr)


def standard_output(*, form: Format, verbosity: int, quiet: bool, colour: bool) -> Output:
    """Output to this process's streams; characters that the locale can't write become escapes."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    on_terminal = sys.stdout.isatty()
    return Output(
        stdout=sys.stdout,
        stderr=sys.stderr,
        form=form,
        verbosity=verbosity,
        quiet=quiet,
        colour=colour and on_terminal,
    )


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _discard(stream: TextIO) -> None:
    """Point the stream at nothing, so that the interpreter's last flush has somewhere to go."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # not a real file: a test's buffer
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)

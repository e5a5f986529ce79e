"""What people see: safe text, and the bar on a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotproof.leases.model import Session
from spotproof_cli.progress import ProgressBar
from spotproof_cli.run_view import Interruptions, RunView, ShardCounts
from spotproof_cli.terminal_text import clean, shorten, size, span
from tests.cli.conftest import planned_run
from tests.fakes.clock import FakeClock
from tests.fakes.leases import a_session

UNSAFE = {chr(code) for code in (*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


@given(st.text(st.characters(categories=("L", "Cc", "Cf", "Cs", "Zl", "Zp", "P"))))
def test_cleaned_text_is_one_line_without_control_or_direction_characters(text: str) -> None:
    assert not set(clean(text)) & UNSAFE


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain – ü ✓", "plain – ü ✓"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;Y2xpcA==\x07after", "after"),
        ("\x9b2Jx", "x"),
        ("\x1bP1$r\x1b\\x", "x"),
        ("a\r\n\tb", "a b"),
        ("unfinished \x1b[", "unfinished "),
    ],
)
def test_escape_sequences_are_removed_whole(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (460, "7 m 40 s"), (11100, "3 h 5 m"), (187200, "2 d 4 h")]
)
def test_spans_read_naturally(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0 B"), (1023, "1023 B"), (4096, "4.0 KiB"), (5 * 2**40, "5.0 TiB")]
)
def test_sizes_read_naturally(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text


def test_a_cut_is_marked() -> None:
    assert (shorten("abcdef", 4), shorten("abcd", 4)) == ("abc…", "abcd")


BAR = """
from tests.fakes.clock import FakeClock
from spotproof_cli.output import Format, standard_output
from spotproof_cli.progress import progress_display
output = standard_output(form=Format.{form}, verbosity=0, quiet=False, colour=True)
display = progress_display(output, FakeClock())
display.waiting("waiting for the first worker")
print(type(display).__name__)
display.close()
"""


@pytest.mark.parametrize(
    ("form", "kind"), [("HUMAN", "ProgressBar"), ("PLAIN", "ProgressLines"), ("JSON", "ProgressLines")]
)
def test_a_bar_is_drawn_on_a_terminal_unless_plain_output_is_wanted(form: str, kind: str) -> None:
    assert _on_a_terminal(BAR.format(form=form)) == kind


def test_no_bar_is_drawn_into_a_pipe() -> None:
    done = subprocess.run([sys.executable, "-c", BAR.format(form="HUMAN")], capture_output=True, text=True, check=True)

    assert done.stdout == "ProgressLines\n"
    assert done.stderr == "waiting for the first worker\n"


def a_view(*workers: Session) -> RunView:
    run = planned_run("run-1", clock=FakeClock())
    nothing = Interruptions()
    return RunView(
        run=run, counts=ShardCounts(total=4, ready=4), workers=workers, silent=frozenset(), interruptions=nothing,
        quarantined=(), eta_s=None,
    )  # fmt: skip


def test_the_bar_says_why_nobody_works_until_somebody_does() -> None:
    bar = ProgressBar(colour=False)
    shown = []

    bar.stuck("no worker is alive: \x1b[2Jno capacity")
    for view in (a_view(), a_view(a_session()), a_view()):
        bar.moved(view)
        shown.append("no capacity" in bar._progress.tasks[0].description)
    bar.close()

    assert shown == [True, False, False]


def _on_a_terminal(program: str) -> str:
    """Standard output of a program whose standard error is an 80×24 terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=follower, text=True, check=True, timeout=60
        )
    finally:
        os.close(follower)
        os.close(leader)
    return done.stdout.strip()

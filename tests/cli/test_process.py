"""The command as a real process: pipes that close, locales, start-up."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from spotproof_cli.output import Format, standard_output
output = standard_output(form=Format.{form}, verbosity=0, quiet=False, colour=True)
for number in range(200_000):
    output.line(f"line {{number}} é \\udcff")
    if output.closed:
        break
output.say("done é")
sys.exit(7)
"""


@pytest.mark.parametrize("form", ["HUMAN", "PLAIN"])
def test_a_reader_that_leaves_is_quiet_and_keeps_the_exit_code(form: str) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(form=form)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline().startswith("line 0")
    writer.stdout.close()
    _, errors = writer.communicate(timeout=60)

    assert (writer.returncode, errors) == (7, "done é\n")


def test_help_into_a_closed_pipe_is_quiet() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m spotproof_cli --help | true"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""


def test_a_locale_without_these_letters_gets_escapes() -> None:
    script = SCRIPT.format(form="PLAIN").replace("200_000", "1")
    environment = {"PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment, check=False)

    assert (done.stdout, done.stderr) == (b"line 0 \\xe9 \n", b"done \\xe9\n")


def test_arguments_that_are_not_utf_8_are_one_line_and_2() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spotproof_cli", "status", b"\xff\xfe"], capture_output=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1


def test_local_without_an_account_fails_before_any_request(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spotproof_cli", "status", "--local"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )

    assert (done.returncode, done.stdout) == (3, "")
    assert "localcloud up" in done.stderr

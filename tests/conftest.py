"""For every test: the library's logger as a fresh process has it.

Worlds of the simulation silence it, worker and Lambda entry points bend it to their own output; a test that looks for a
log line must not depend on which of them ran before it in the same process.
"""

import logging

import pytest


@pytest.fixture(autouse=True)
def fresh_library_logger() -> None:
    library = logging.getLogger("spotproof")
    library.handlers, library.propagate = [], True
    library.setLevel(logging.NOTSET)
    logging.disable(logging.NOTSET)

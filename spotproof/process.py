"""How a process of ours ends: at once, with the code that it was given."""

import logging
import os
import sys
from typing import NoReturn


def leave(exit_code: int) -> NoReturn:
    """End the process with this code, now; for programs whose code tells somebody what happened.

    The interpreter's own shutdown can abort the process after all work is done, and its code then tells Batch not to try
    again: background threads are ended by pthread_exit, which loads a library and may find no memory or file descriptor
    for it; and Arrow's thread pool, while it is taken down, may destroy a thread that still runs.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)

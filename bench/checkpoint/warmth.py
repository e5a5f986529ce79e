"""Memory that the machine really has.

A virtual machine's host backs memory at its first touch, which took 2 CPU seconds per GiB here, and may take it back when the
guest has freed it: a download into 1 GiB then measures the host. So free memory is touched once before each download, theirs
and ours; what the guest's own kernel does at a first touch still counts.
"""

from typing import Final

import numpy as np

from spotproof.checkpoints.memory.pieces import PAGE

TIMES: Final = 3  # of the array: it and its shadow, with room


def warm_free_memory(size_bytes: int) -> None:
    """Touch memory for three such arrays, and give it back."""
    memory = np.empty(TIMES * size_bytes, np.uint8)
    memory[::PAGE] = 1

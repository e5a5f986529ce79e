"""Where numbers come from: each source is read as a whole, and one that fails leaves the others alone."""

from typing import Protocol

from spotproof_cli.exporter.samples import Observation


class Source(Protocol):
    """Reads one AWS service."""

    @property
    def name(self) -> str:
        """As the label `source` says it."""
        ...

    def read(self) -> Observation:
        """The numbers now, and what happened since the last reading that succeeded.

        The first reading only learns what there is: what happened before the exporter started is not counted.

        Raises:
            SpotproofError: AWS refused or stayed unavailable; nothing is counted twice or lost for it.
        """
        ...

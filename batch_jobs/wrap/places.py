"""Where a wrapped program finds things: folders, files and the variables that name them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spotproof.contract import ENV_CODE_DIR
from spotproof.errors import ConfigurationError

STOP_FILE: Final = "SPOTPROOF_STOP_FILE"
SHARD: Final = "SPOTPROOF_SHARD"
SHARD_ID: Final = "SPOTPROOF_SHARD_ID"
OUTPUT_DIR: Final = "SPOTPROOF_OUTPUT_DIR"
INPUT_DIR: Final = "SPOTPROOF_INPUT_DIR"
INPUT: Final = "SPOTPROOF_INPUT"
OPTION_PREFIX: Final = "SPOTPROOF_OPTION_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """One shard's. Work and output are part of the state, input and stop file are not."""

    work: Path
    output: Path
    scratch: Path
    code: Path

    @property
    def stop_file(self) -> Path:
        return self.scratch / "stop"

    @property
    def input(self) -> Path:
        return self.scratch / "input"

    def variables(self, *, index: int, shard_id: str, files: list[Path]) -> dict[str, str]:
        """What the program is told.

        Args:
            files: of the input; if it is one, it has a variable of its own.
        """
        told = {
            STOP_FILE: str(self.stop_file),
            SHARD: str(index),
            SHARD_ID: shard_id,
            OUTPUT_DIR: str(self.output),
            INPUT_DIR: str(self.input),
            ENV_CODE_DIR: str(self.code),
        }
        return told | ({INPUT: str(files[0])} if len(files) == 1 else {})


def option_variables(options: Mapping[str, str]) -> dict[str, str]:
    """The run's options as variables: `max-steps` is SPOTPROOF_OPTION_MAX_STEPS.

    Raises:
        ConfigurationError: two options would have the same variable.
    """
    variables: dict[str, str] = {}
    for name, value in options.items():
        variable = OPTION_PREFIX + re.sub(r"[^A-Z0-9]", "_", name.upper())
        if variable in variables:
            raise ConfigurationError(f"two options would both be {variable}: rename {name!r}")
        variables[variable] = value
    return variables

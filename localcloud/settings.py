"""Settings of one local account, fixed at its start."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from localcloud.errors import UsageError

ROOT_SECRET = "test"  # noqa: S105 - the embedded account's root key; it opens nothing outside this machine
STATE_DIR_VARIABLE = "SPOTPROOF_LOCALCLOUD_DIR"
DEFAULT_STATE_DIR = ".localcloud"
DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `up` was asked for. Times ending in `_s` are simulated seconds unless they say `real`."""

    state_dir: str
    port: int = 0  # 0: any free port
    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION
    auth: bool = True
    scale: float = 20.0  # simulated seconds per real second
    seed: int = 0
    boot_s: float = 20.0
    idle_s: float = 300.0
    host_gone_s: float = 30.0  # from `terminated` to Batch noticing that the host is gone
    warning_floor_real_s: float = 8.0
    stop_grace_floor_real_s: float = 5.0
    parent_pid: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d{12}", self.account):
            raise UsageError(f"--account must be 12 digits, got {self.account!r}")
        if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self.region):
            raise UsageError(f"--region must look like us-east-1, got {self.region!r}")
        if not 1 <= self.scale <= 1000:
            raise UsageError(f"--scale must be between 1 and 1000, got {self.scale:g}")
        if not 0 <= self.port <= 65535:
            raise UsageError(f"--port must be between 1 and 65535, got {self.port}")

    def to_json(self) -> str:
        """One line that `from_json` reads back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """The settings that `to_json` wrote."""
        return cls(**json.loads(text))

    @property
    def state_path(self) -> Path:
        """The state directory, absolute."""
        return Path(self.state_dir).resolve()

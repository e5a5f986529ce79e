"""The directory that holds everything of one local account, and the lock that says who runs it."""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from localcloud.errors import ConfigurationError
from localcloud.settings import DEFAULT_STATE_DIR, ROOT_SECRET, STATE_DIR_VARIABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A running account as it describes itself in `server.json`."""

    pid: int
    port: int
    account: str
    region: str
    auth: bool
    scale: float
    seed: int
    ministack: str
    started_at: float
    metadata_url: str

    @property
    def endpoint(self) -> str:
        """What AWS_ENDPOINT_URL must be."""
        return f"http://127.0.0.1:{self.port}"


class StateDir:
    """Paths of one account. Creating the object touches nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @classmethod
    def find(cls, given: str | None, environment: Mapping[str, str] = os.environ) -> "StateDir":
        """The directory named by the option, else by the environment, else `.localcloud` here."""
        return cls(Path(given or environment.get(STATE_DIR_VARIABLE) or DEFAULT_STATE_DIR))

    @property
    def log(self) -> Path:
        return self.path / "server.log"

    @property
    def instances(self) -> Path:
        return self.path / "instances"

    @property
    def images(self) -> Path:
        return self.path / "images"

    @property
    def node(self) -> Path:
        return self.path / "node"

    @property
    def cdk_home(self) -> Path:
        return self.path / "cdk-home"

    def lock(self) -> int | None:
        """Take the account's lock for the life of this process; None if somebody holds it.

        Raises:
            ConfigurationError: if the directory can't be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"the state directory {self.path} can't be used ({error.strerror}): choose another with --state-dir"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def is_locked(self) -> bool:
        """Whether a server process is alive on this directory."""
        if not (self.path / "server.lock").exists():
            return False
        descriptor = self.lock()
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def write_running(self, running: Running) -> None:
        """Announce that the account answers; readers see the whole file or none."""
        draft = self.path / "server.json.new"
        draft.write_text(json.dumps(asdict(running)))
        draft.replace(self.path / "server.json")

    def forget_running(self) -> None:
        (self.path / "server.json").unlink(missing_ok=True)

    def running(self) -> Running | None:
        """The live account on this directory, or None."""
        try:
            described = Running(**json.loads((self.path / "server.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None  # absent, or of another version of this program
        return described if self.is_locked() else None

    def require_running(self) -> Running:
        """The live account.

        Raises:
            ConfigurationError: if there is none.
        """
        running = self.running()
        if running is None:
            raise ConfigurationError(f"no local account runs in {self.path}: start it with `localcloud up`")
        return running

    def client_environment(self, running: Running) -> dict[str, str]:
        """Variables that make the AWS CLI, boto3 and the CDK CLI talk to the account.

        The access key is the account id: the CDK CLI caches accounts by access key in its home, which is private too.
        """
        return {
            "AWS_ENDPOINT_URL": running.endpoint,
            "AWS_ACCESS_KEY_ID": running.account,
            "AWS_SECRET_ACCESS_KEY": ROOT_SECRET,
            "AWS_REGION": running.region,
            "AWS_DEFAULT_REGION": running.region,
            "AWS_PAGER": "",
            "AWS_EC2_METADATA_DISABLED": "true",
            "CDK_HOME": str(self.cdk_home),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "CDK_DISABLE_VERSION_CHECK": "1",
            STATE_DIR_VARIABLE: str(self.path),
        }


# Variables of a real account that would win over, or mix with, the local ones.
FOREIGN_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONTAINER_CREDENTIALS_FULL_URI")

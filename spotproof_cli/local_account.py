"""The local account as seen from outside: where it listens, and its interrupt button."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from spotproof.errors import ConfigurationError, InputError, SpotproofError
from spotproof.settings import AwsSettings

DIRECTORY_VARIABLE: Final = "SPOTPROOF_LOCALCLOUD_DIR"
DEFAULT_DIRECTORY: Final = ".localcloud"
_ANNOUNCEMENT: Final = "server.json"
_ROOT_SECRET: Final = "test"  # noqa: S105 - opens nothing outside this machine
_TIMEOUT_S: Final = 10.0
_HEADERS: Final = {"Content-Type": "application/json", "X-Localcloud": "1"}  # what a web page can't send
_START_IT: Final = "start it with `localcloud up`"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalAccount:
    """A local account as it announced itself."""

    port: int
    account: str
    region: str

    @classmethod
    def find(cls, env: Mapping[str, str]) -> "LocalAccount":
        """The account of the state directory named by the environment, else `.localcloud` here.

        Raises:
            ConfigurationError: there is none.
        """
        path = Path(env.get(DIRECTORY_VARIABLE) or DEFAULT_DIRECTORY) / _ANNOUNCEMENT
        try:
            described = json.loads(path.read_text())
            return cls(port=int(described["port"]), account=str(described["account"]), region=str(described["region"]))
        except FileNotFoundError:
            raise ConfigurationError(f"no local account runs in {path.parent}: {_START_IT}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} can't be read ({error}): restart the local account") from error

    def aws_settings(self) -> AwsSettings:
        """Endpoint and credentials; the access key is the account id."""
        return AwsSettings(
            region=self.region,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            access_key_id=self.account,
            secret_access_key=_ROOT_SECRET,
        )


class AdminApi:
    """The part of the local account's HTTP interface that AWS has no counterpart for."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url

    def post(self, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one operation.

        Raises:
            ConfigurationError: nothing listens there.
            InputError: the account refuses the arguments.
            SpotproofError: it answers with anything else.
        """
        address = urlsplit(self.endpoint_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", f"/_localcloud/{operation}", json.dumps(body), _HEADERS)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise ConfigurationError(
                f"no local account answers at {self.endpoint_url} ({error}): {_START_IT}"
            ) from error
        finally:
            connection.close()
        return _answer(operation, response.status, text)


def _answer(operation: str, status: int, text: str) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if status == 200 and isinstance(answer, dict):
        return answer
    said = answer.get("error", text) if isinstance(answer, dict) else text[:200]
    kind = InputError if 400 <= status < 500 else SpotproofError
    raise kind(f"the local account refused to {operation} (HTTP {status}): {said}")

"""Temporary credentials of job roles and instance roles, which the emulator enforces."""

import secrets
import threading
import time
from dataclasses import dataclass

from localcloud.clock import iso
from localcloud.seams import Seams

LIFETIME_S = 6 * 3600.0
REFRESH_BEFORE_S = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """One session's key."""

    access_key: str
    secret_key: str
    token: str
    expires_at: float  # s since 1970

    def document(self) -> dict[str, str]:
        """As the container credentials endpoint and the metadata service write it."""
        return {
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "Token": self.token,
            "Expiration": iso(self.expires_at),
        }


class Sessions:
    """Assumed-role sessions, one per role and session name, renewed before they expire."""

    def __init__(self, seams: Seams) -> None:
        self._seams = seams
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str, str], Credentials] = {}

    def of_role(self, *, account: str, region: str, role: str, session: str) -> Credentials:
        """Credentials of `role` (a name or an ARN) for the session called `session`."""
        name = role.rsplit("/", 1)[-1]
        key = (account, name, session)
        with self._lock:
            held = self._held.get(key)
            if held is None or held.expires_at < time.time() + REFRESH_BEFORE_S:
                held = self._held[key] = self._open(account=account, region=region, role=name, session=session)
        return held

    def _open(self, *, account: str, region: str, role: str, session: str) -> Credentials:
        opened = Credentials(
            access_key="ASIA" + secrets.token_hex(8).upper(),
            secret_key=secrets.token_hex(20),
            token=secrets.token_hex(40),
            expires_at=time.time() + LIFETIME_S,
        )
        with self._seams.scope(account, region):
            self._seams.sts.register_session(
                opened.access_key,
                {
                    "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
                    "UserId": f"AROA{role}:{session}",
                    "SecretAccessKey": opened.secret_key,
                    "SessionToken": opened.token,
                    "Expiration": opened.expires_at,
                },
            )
        return opened

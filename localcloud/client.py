"""The typed client of the admin API, for tests, the demo and the command line. Standard library only."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from localcloud.errors import ConfigurationError, ConflictError, LocalcloudError, UsageError
from localcloud.state_dir import StateDir

_BY_CODE: dict[int, type[LocalcloudError]] = {2: UsageError, 3: ConfigurationError, 5: ConflictError}
REQUEST_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """One instance of the fleet. Times: s since 1970."""

    id: str
    type: str
    az: str
    lifecycle: str  # spot, on-demand
    environment: str
    price_usd: float  # per hour
    on_demand_usd: float
    vcpus: int
    vcpus_used: int
    state: str  # pending, running, shutting-down, terminated
    draining: bool
    outdated: bool  # its environment was updated since; it ends when it is idle
    launched_at: float
    running_at: float | None
    ended_at: float | None
    rebalance_at: float | None
    reclaim_at: float | None
    metadata: str
    jobs: list[str]
    pids: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One job, array parents and children included."""

    id: str
    name: str
    status: str
    reason: str | None
    attempts: int
    instance: str | None
    size: int | None  # of an array parent
    pid: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """The account at one moment."""

    instances: list[InstanceView]
    jobs: list[JobView]
    chaos: list[dict[str, Any]]
    now: float

    def running(self) -> list[InstanceView]:
        """Instances that run."""
        return [one for one in self.instances if one.state == "running"]

    def busy(self) -> list[InstanceView]:
        """Running instances with at least one job, that are not being taken away."""
        return [one for one in self.running() if one.jobs and not one.draining]


class LocalCloud:
    """A running local account."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    @classmethod
    def connect(cls, state_dir: str | None = None) -> "LocalCloud":
        """The account of a state directory (default: as the command line finds it).

        Raises:
            ConfigurationError: if none runs there.
        """
        return cls(StateDir.find(state_dir).require_running().endpoint)

    # Looking.

    def state(self) -> AccountState:
        """Instances and jobs now."""
        raw = self._call("state")
        return AccountState(
            instances=[InstanceView(**one) for one in raw["instances"]],
            jobs=[JobView(**one) for one in raw["jobs"]],
            chaos=raw["chaos"],
            now=raw["now"],
        )

    def events(
        self, *, since: int = 0, kind: str | None = None, wait_s: float = 0.0, limit: int = 5000
    ) -> list[dict[str, Any]]:
        """Journal entries after sequence number `since`, of one kind or of `prefix.*`; waits for the first one."""
        body: dict[str, Any] = {"since": since, "wait_s": wait_s, "limit": limit}
        entries: list[dict[str, Any]] = self._call("events", **body, **({"kind": kind} if kind else {}))["entries"]
        return entries

    def follow(self, *, since: int = 0, for_s: float) -> Iterator[dict[str, Any]]:
        """Journal entries as they come, for at most `for_s` seconds."""
        deadline = time.monotonic() + for_s
        while (left := deadline - time.monotonic()) > 0:
            for entry in self.events(since=since, wait_s=min(left, 20.0)):
                since = entry["seq"]
                yield entry

    def wait_for_event(
        self,
        kind: str,
        *,
        since: int = 0,
        timeout_s: float = 30.0,
        where: Callable[[dict[str, Any]], bool] | None = None,
    ) -> dict[str, Any]:
        """The first entry of `kind` after `since` that satisfies `where`.

        Raises:
            LocalcloudError: if none came within `timeout_s` seconds.
        """
        for entry in self.follow(since=since, for_s=timeout_s):
            if (entry["kind"] == kind or entry["kind"].startswith(kind + ".")) and (where is None or where(entry)):
                return entry
        raise LocalcloudError(f"no event {kind} within {timeout_s:g} s")

    def wait_until(
        self, condition: Callable[[AccountState], bool], *, timeout_s: float = 60.0, what: str = "the condition"
    ) -> AccountState:
        """The first state that satisfies `condition`, looked at after each event.

        Raises:
            LocalcloudError: if it did not within `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        since = 0
        while True:
            latest = self.events(since=since, limit=100_000)
            since = latest[-1]["seq"] if latest else since
            state = self.state()
            if condition(state):
                return state
            left = deadline - time.monotonic()
            if left <= 0:
                raise LocalcloudError(f"{what} did not hold within {timeout_s:g} s")
            self.events(since=since, wait_s=min(left, 1.0), limit=1)

    def usage(self, *, reset: bool = False) -> dict[str, dict[str, Any]]:
        """By caller (role name, or `root`): `requests` by operation, `write_units`, `read_units` of DynamoDB."""
        callers: dict[str, dict[str, Any]] = self._call("usage", reset=reset)["callers"]
        return callers

    def calls(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """By role: `grants` (each an action on a resource of its policies) and `refused`, with their `calls`."""
        roles: dict[str, dict[str, list[dict[str, Any]]]] = self._call("calls")["roles"]
        return roles

    def job_log(self, job_id: str) -> list[dict[str, Any]]:
        """`{"stream", "lines"}` of each attempt of a job."""
        attempts: list[dict[str, Any]] = self._call("job-log", job=job_id)["attempts"]
        return attempts

    # Doing harm.

    def interrupt(self, instance_id: str, *, lead_s: float = 120.0) -> None:
        """Rebalance, then notice, then reclaim, `lead_s` simulated seconds from now."""
        self._call("interrupt", instance=instance_id, lead_s=lead_s)

    def rebalance(self, instance_id: str) -> None:
        """Only the recommendation."""
        self._call("rebalance", instance=instance_id)

    def notice(self, instance_id: str, *, lead_s: float = 120.0, reclaim: bool = True) -> float:
        """The notice without a rebalance; returns when the reclaim is due. With `reclaim` False nothing follows."""
        return float(self._call("notice", instance=instance_id, lead_s=lead_s, reclaim=reclaim)["reclaim_at"])

    def kill(self, instance_id: str) -> None:
        """Take the instance away at once: SIGKILL to every process group, no notice."""
        self._call("kill", instance=instance_id)

    def pause(self, target: str) -> list[int]:
        """SIGSTOP to the containers of an instance or a job; returns their process groups."""
        return list(self._call("pause", target=target)["pids"])

    def resume(self, target: str) -> list[int]:
        """SIGCONT to the containers of an instance or a job."""
        return list(self._call("resume", target=target)["pids"])

    def set_metadata(self, instance_id: str, mode: str) -> None:
        """How instance metadata answers for this instance: `ok`, `refused` or `timeout`."""
        self._call("metadata", instance=instance_id, mode=mode)

    def chaos(self, detail_type: str, action: str, *, count: int = 1, delay_s: float = 0.0, matching: str = "") -> None:
        """`duplicate`, `drop` or `delay` the next `count` events of a detail-type whose detail contains `matching`."""
        self._call("chaos", detail_type=detail_type, action=action, count=count, delay_s=delay_s, matching=matching)

    def clear_chaos(self) -> None:
        """Forget every chaos rule."""
        self._call("chaos", clear=True)

    def market(
        self,
        *,
        capacity: dict[str, int] | None = None,
        price: dict[str, float] | None = None,
        reset: bool = False,
    ) -> list[dict[str, Any]]:
        """Set pools (`type/az`, `type/*`, `*/az`, `*`); returns every pool the account uses."""
        body = {"capacity": capacity, "price": price, "reset": reset}
        pools: list[dict[str, Any]] = self._call("market", **{key: value for key, value in body.items() if value})[
            "pools"
        ]
        return pools

    def quota(self, *, vcpus: dict[str, int] | None = None, reset: bool = False) -> dict[str, int | None]:
        """Set the vCPUs that may run, by lifecycle (`spot`, `on-demand`); returns the quotas, None without one."""
        body = {key: value for key, value in {"vcpus": vcpus, "reset": reset}.items() if value}
        return dict(self._call("quota", **body)["vcpus"])

    def environment(self, name: str = "", condition: str = "", *, reason: str = "") -> dict[str, str]:
        """Make a compute environment `disabled`, `invalid` (for `reason`), `unsupported`, `service-role`,
        `undetermined` or `well`; returns the condition of each."""
        body = {"name": name, "condition": condition, "reason": reason} if name else {}
        return dict(self._call("environment", **body)["environments"])

    # Time.

    def fire_schedule(self, name: str) -> list[str]:
        """Fire now every scheduled rule with `name` in its name; returns their names."""
        return list(self._call("schedule", fire=name)["fired"])

    def pause_schedules(self, paused: bool = True) -> None:
        """Stop (or go on) firing schedules by themselves."""
        self._call("schedule", paused=paused)

    def advance(self, *, days: float) -> list[dict[str, Any]]:
        """Execute S3 lifecycle rules as of `days` from now; returns what they removed."""
        removed: list[dict[str, Any]] = self._call("advance", days=days)["removed"]
        return removed

    def reset_jobs(self) -> int:
        """End every job and lift chaos, quotas, afflictions and market settings; returns how many jobs were alive."""
        return int(self._call("reset-jobs")["stopped"])

    def _call(self, operation: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.endpoint}/_localcloud/{operation}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "X-Localcloud": "1"},
        )
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            raise _refusal(error) from error
        except OSError as error:
            raise ConfigurationError(f"no local account answers at {self.endpoint}: {error}") from error


def _refusal(error: urllib.error.HTTPError) -> LocalcloudError:
    text = error.read().decode(errors="replace")
    try:
        refused = json.loads(text)
        return _BY_CODE.get(refused["exit_code"], LocalcloudError)(refused["error"])
    except (ValueError, KeyError):
        return LocalcloudError(f"the local account answered {error.code}: {text[:200]}")

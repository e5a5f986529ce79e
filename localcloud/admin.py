"""The admin API: what tests, the demo and the command line may do to the account from outside."""

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from localcloud.chaos import ChaosRule, Mischief
from localcloud.clock import NOTICE_S
from localcloud.errors import UsageError
from localcloud.expiry import expire
from localcloud.instance import Lifecycle, MetadataMode

if TYPE_CHECKING:
    from localcloud.account import Account

EVENTS_WAIT_MAX_S = 30.0
EVENTS_WAIT_STEP_S = 0.05

Body = dict[str, Any]


class Admin:
    """Operations by name. Each takes the request's JSON object and returns a JSON value."""

    def __init__(self, account: "Account") -> None:
        self._account = account
        self._operations: dict[str, Callable[[Body], Any]] = {
            "state": self.state,
            "interrupt": self.interrupt,
            "rebalance": self.rebalance,
            "notice": self.notice,
            "kill": self.kill,
            "pause": self.pause,
            "resume": self.resume,
            "metadata": self.metadata,
            "market": self.market,
            "quota": self.quota,
            "environment": self.environment,
            "chaos": self.chaos,
            "schedule": self.schedule,
            "usage": self.usage,
            "calls": self.calls,
            "reset-jobs": self.reset_jobs,
        }
        self._slow: dict[str, Callable[[Body], Any]] = {"advance": self.advance, "job-log": self.job_log}

    async def run(self, operation: str, body: Body) -> Any:
        """Run one operation.

        Raises:
            UsageError: unknown operation, or a parameter is missing or wrong.
        """
        try:
            if operation == "events":
                return await self.events(body)
            if operation in self._slow:
                return await asyncio.to_thread(self._slow[operation], body)
            if operation in self._operations:
                return self._operations[operation](body)
        except KeyError as error:
            raise UsageError(f"{operation} needs the parameter {error}") from error
        except (TypeError, ValueError) as error:
            raise UsageError(f"{operation}: {error}") from error
        raise UsageError(f"no admin operation {operation!r}")

    def state(self, _body: Body) -> Any:
        """Instances, jobs and settings."""
        account = self._account
        with account.reactor.reading():
            jobs = [
                {
                    "id": job.id,
                    "name": job.name,
                    "status": str(job.status),
                    "reason": job.status_reason,
                    "attempts": len(job.past) + (job.attempt is not None),
                    "instance": job.placed_on.id if job.placed_on else None,
                    "size": len(job.children) or None,
                    "pid": job.attempt.task.pid if job.attempt and job.attempt.task else None,
                }
                for job in account.batch.all_jobs()
            ]
            instances = [instance.describe() for instance in account.fleet.instances.values()]
        return {"instances": instances, "jobs": jobs, "chaos": account.chaos.pending(), "now": time.time()}

    def interrupt(self, body: Body) -> Any:
        """Rebalance, notice, reclaim."""
        with self._account.reactor.changing():
            instance = self._account.fleet.find(body["instance"])
            self._account.fleet.interrupt(instance, lead_s=float(body.get("lead_s", NOTICE_S)))
        return {"instance": instance.id}

    def rebalance(self, body: Body) -> Any:
        """A recommendation, and nothing after it."""
        with self._account.reactor.changing():
            self._account.fleet.rebalance(self._account.fleet.find(body["instance"]))
        return {}

    def notice(self, body: Body) -> Any:
        """A notice without a rebalance; with `reclaim` false nothing is taken away."""
        with self._account.reactor.changing():
            due = self._account.fleet.notice(
                self._account.fleet.find(body["instance"]),
                lead_s=float(body.get("lead_s", NOTICE_S)),
                reclaim=bool(body.get("reclaim", True)),
            )
        return {"reclaim_at": due}

    def kill(self, body: Body) -> Any:
        """Take an instance away at once, without any notice."""
        with self._account.reactor.changing():
            self._account.fleet.power_off(self._account.fleet.find(body["instance"]), "killed")
        return {}

    def pause(self, body: Body) -> Any:
        """SIGSTOP to the containers of an instance or a job."""
        return self._signal(body["target"], signal.SIGSTOP, "task.paused")

    def resume(self, body: Body) -> Any:
        """SIGCONT to the containers of an instance or a job."""
        return self._signal(body["target"], signal.SIGCONT, "task.resumed")

    def _signal(self, target: str, number: signal.Signals, kind: str) -> Any:
        with self._account.reactor.reading():
            tasks = self._account.fleet.task_of(target)
            for task in tasks:
                self._account.executor.send(task, number)
                self._account.journal.note(kind, job=task.job_id, pid=task.pid)
        return {"pids": [task.pid for task in tasks]}

    def metadata(self, body: Body) -> Any:
        """How instance metadata answers for an instance: ok, refused or timeout."""
        with self._account.reactor.reading():
            instance = self._account.fleet.find(body["instance"])
            instance.metadata = MetadataMode(body["mode"])
        self._account.journal.note("instance.metadata", instance=instance.id, mode=body["mode"])
        return {}

    def market(self, body: Body) -> Any:
        """Set capacity and prices of pools; answers with what the pools of the account look like."""
        market = self._account.market
        with self._account.reactor.changing():
            if body.get("reset"):
                market.reset()
            for pool, instances in (body.get("capacity") or {}).items():
                market.set_capacity(pool, int(instances))
            for pool, usd in (body.get("price") or {}).items():
                market.pin_price(pool, float(usd))
            if body:
                self._account.journal.note("market.changed", **body)
            return {"seed": market.seed, "pools": self._account.pools()}

    def quota(self, body: Body) -> Any:
        """Set how many vCPUs may run, by lifecycle, or lift all quotas; answers with what holds."""
        quotas = self._account.quotas
        with self._account.reactor.changing():
            if body.get("reset"):
                quotas.reset()
            for lifecycle, vcpus in (body.get("vcpus") or {}).items():
                quotas.set(Lifecycle(lifecycle), int(vcpus))
            if body:
                self._account.journal.note("quota.changed", **body)
        return {"vcpus": quotas.describe()}

    def environment(self, body: Body) -> Any:
        """What is wrong with a compute environment: disabled, invalid, a fault, or nothing; answers with all of them."""
        with self._account.reactor.changing():
            if body:
                self._account.batch.afflict(body["name"], body["condition"], reason=body.get("reason", ""))
                self._account.journal.note("environment.changed", **body)
            return {"environments": self._account.batch.conditions()}

    def chaos(self, body: Body) -> Any:
        """Add a rule for event delivery, or clear all."""
        if body.get("clear"):
            self._account.chaos.clear()
        if "detail_type" in body:
            rule = ChaosRule(
                detail_type=body["detail_type"],
                action=Mischief(body["action"]),
                count=int(body.get("count", 1)),
                delay_real_s=float(body.get("delay_s", 0)),
                matching=body.get("matching", ""),
            )
            self._account.chaos.add(rule)
        return {"pending": self._account.chaos.pending()}

    def schedule(self, body: Body) -> Any:
        """Fire scheduled rules now, or stop and restart their clock."""
        if "paused" in body:
            self._account.schedules.pause(bool(body["paused"]))
        return {"fired": self._account.schedules.fire(body["fire"]) if "fire" in body else []}

    def usage(self, body: Body) -> Any:
        """Request counts and DynamoDB units by caller since the start or the last reset."""
        report = self._account.usage.report()
        if body.get("reset"):
            self._account.usage.reset()
        return report

    def calls(self, _body: Body) -> Any:
        """By role: its grants with how many calls used them, and what it was refused."""
        settings = self._account.settings
        return {"roles": self._account.calls.report(account=settings.account, region=settings.region)}

    def reset_jobs(self, _body: Body) -> Any:
        """End every job, lift the chaos plan, quotas, afflictions and the market's settings; deployed resources stay."""
        self._account.chaos.clear()
        self._account.market.reset()
        with self._account.reactor.changing():
            self._account.quotas.reset()
            self._account.batch.heal()
        with self._account.reactor.changing():
            self._account.fis.stop_everything()
            self._account.outages.clear()
        return {"stopped": self._account.batch.reset_jobs()}

    def advance(self, body: Body) -> Any:
        """Carry out S3 lifecycle rules as they would be `days` from now."""
        gone = [asdict(one) for one in expire(self._account.client("s3"), days=float(body["days"]))]
        self._account.journal.note("lifecycle.executed", days=body["days"], removed=len(gone))
        return {"removed": gone}

    def job_log(self, body: Body) -> Any:
        """The output of every attempt of a job, from CloudWatch Logs."""
        return {"attempts": self._account.job_output(body["job"])}

    async def events(self, body: Body) -> Any:
        """Journal entries after `since`; waits up to `wait_s` for the first one."""
        since, kind = int(body.get("since", 0)), body.get("kind")
        deadline = time.monotonic() + min(float(body.get("wait_s", 0)), EVENTS_WAIT_MAX_S)
        while True:
            entries = self._account.journal.since(since, kind=kind, limit=int(body.get("limit", 5000)))
            if entries or time.monotonic() >= deadline:
                return {"entries": entries}
            await asyncio.sleep(EVENTS_WAIT_STEP_S)

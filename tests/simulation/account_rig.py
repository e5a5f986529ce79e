"""A simulated account without Batch: table, bus and functions, whose time a test lets pass."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from lambdas.functions import FUNCTIONS, Function
from lambdas.handler_settings import HandlerSettings
from simulation.cloud.aws_event import ACCOUNT, REGION, iso, moment_of
from simulation.cloud.bus import EventBus
from simulation.cloud.functions import Functions
from simulation.cloud.s3 import SimS3
from simulation.cloud.table import SimTable
from simulation.faults.book import FaultBook
from simulation.faults.calls import Call, CallFault
from simulation.gate import Gate
from simulation.kernel.scheduler import MICROSECONDS, Scheduler, microseconds
from simulation.kernel.trace import Trace
from spotproof import contract
from spotproof.settings import AwsSettings
from stacks.routes import EVENT_ROUTES

QUEUE_ARN = f"arn:aws:batch:{REGION}:{ACCOUNT}:job-queue/spot"
SETTINGS = HandlerSettings(
    table="table",
    work_bucket="work",
    stack="Test",
    notice_lead=timedelta(seconds=contract.NOTICE_LEAD_S),
    aws=AwsSettings(region=REGION, endpoint_url=None),
    spot_queue="spot",
    on_demand_queue="on-demand",
    event_bus="default",
    memory_mib_max=30_340,
)


class ScriptedCalls:
    """simulation.gate.CallFaults: by the number of the call."""

    def __init__(self) -> None:
        self.by_number: dict[int, CallFault] = {}

    def at_call(self, call: Call) -> CallFault | None:
        return self.by_number.get(call.number)


class NoBatch:
    """A Batch without jobs."""

    def list_jobs(self, **_: Any) -> dict[str, Any]:
        return {"jobSummaryList": []}

    def describe_jobs(self, **_: Any) -> dict[str, Any]:
        return {"jobs": []}


class Account:
    """Everything of one seed. `rates` may be changed while time passes."""

    def __init__(
        self,
        *,
        seed: int = 1,
        functions: Sequence[Function[Any]] = FUNCTIONS,
        burst_size: int = 30,
        **more: Any,
    ) -> None:
        self.scheduler, self.trace = Scheduler(), Trace()
        self.rates: dict[str, float] = {}
        self.calls = ScriptedCalls()
        rng = random.Random(seed)
        self.faults = FaultBook(rates=self.rates, rng=random.Random(seed))
        shared: dict[str, Any] = {"scheduler": self.scheduler, "trace": self.trace, "rng": rng}
        self.gate = Gate(faults=self.calls, **shared)
        self.table = SimTable("table", scheduler=self.scheduler, faults=self.faults, rng=rng)
        self.s3 = SimS3(("work", "data"), now=lambda: moment_of(self.scheduler.now))
        self.services: dict[str, Any] = {
            "dynamodb": self.table, "s3": self.s3, "batch": NoBatch(), "ec2": NoBatch(), "autoscaling": NoBatch(),
        }  # fmt: skip
        self.functions = Functions(
            faults=self.faults, gate=self.gate, services=self.services, settings=SETTINGS, functions=functions,
            **shared, **more,
        )  # fmt: skip
        self.bus = EventBus(
            faults=self.faults, functions=self.functions, queue_arns=(QUEUE_ARN,), burst_size=burst_size, **shared
        )
        self.services["events"] = self.bus

    def pass_time(self, seconds: float) -> None:
        """Play everything that happens within `seconds`."""
        over: list[bool] = []
        self.scheduler.after(seconds, lambda: over.append(True))
        self.scheduler.run(until=self.scheduler.now + microseconds(seconds), done=lambda: bool(over))

    def told(self, *words: str) -> list[tuple[float, str]]:
        """When something with these words was noted, and by whom."""
        return [
            (entry.moment / MICROSECONDS, entry.who)
            for entry in self.trace
            if all(word in f"{entry.who} {entry.what} {entry.detail}" for word in words)
        ]

    def warning(self, instance_id: str = "i-0123456789abcdef0", **changes: Any) -> dict[str, Any]:
        """A spot warning of now, as EC2 sends it."""
        return {
            "version": "0",
            "id": "12345678-1234-1234-1234-123456789012",
            "detail-type": contract.DETAIL_SPOT_WARNING,
            "source": "aws.ec2",
            "account": ACCOUNT,
            "time": iso(self.scheduler.now),
            "region": REGION,
            "resources": [f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/{instance_id}"],
            "detail": {"instance-id": instance_id, "instance-action": "terminate"},
            **changes,
        }


Handle = Callable[[Any, Any, Any, dict[str, Any], Any], dict[str, Any]]


def scripted(handle: Handle) -> list[Function[Any]]:
    """Functions in place of the product's: all do `handle(wiring, flow, telemetry, event, context)`."""
    services = [route.handler.split(".")[1] for route in EVENT_ROUTES]
    return [Function(service=service, build=lambda wiring: wiring, handle=handle) for service in services]

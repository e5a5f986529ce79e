"""The gate between simulated processes and AWS: every call is a switch point, may fail, and is seen by the checkers."""

import contextlib
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from simulation.cloud.s3_body import ObjectBody
from simulation.faults.calls import Call, CallFault, error_of
from simulation.intents import intent_of
from simulation.kernel.process import Process
from simulation.kernel.scheduler import Scheduler
from simulation.kernel.trace import Trace

READ_TIMEOUT_S: Final = 10.0  # of spotproof.clients: how long a lost answer is waited for
PAUSE_S: Final = 400.0  # beyond every ttl of a simulated run
SLOW_S: Final = (1.0, 9.0)  # a slow answer comes within the time that it is waited for
LATE_S: Final = 150.0  # at most so much later comes the duplicate of a request


class CallFaults(Protocol):
    """Decides about every call."""

    def at_call(self, call: Call) -> CallFault | None: ...


class CallObserver(Protocol):
    """Sees every call when it is made, and again when its answer reached the process that made it."""

    def calling(self, call: Call) -> None: ...

    def answered_call(self, call: Call) -> None: ...


class Gate:
    """All calls of one world pass here."""

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        trace: Trace,
        rng: random.Random,
        faults: CallFaults,
        pause_s: float = PAUSE_S,
    ) -> None:
        self.observers: list[CallObserver] = []
        self.calls = 0
        self.current: Call | None = None  # the one that is taking effect
        self._scheduler = scheduler
        self._trace = trace
        self._rng = rng
        self._faults = faults
        self._pause_s = pause_s

    def call(self, process: Process, service: str, operation: str, target: Any, parameters: dict[str, Any]) -> Any:
        """Make one call for `process`; returns or raises what botocore would."""
        process.check_alive()
        self.calls += 1
        call = Call(
            number=self.calls,
            process=process,
            service=service,
            operation=operation,
            intent=intent_of(service, operation, parameters),
            parameters=parameters,
        )
        for observer in self.observers:
            observer.calling(call)
        fault = self._faults.at_call(call)
        if fault is CallFault.SENT_TWICE and hasattr(parameters.get("Body"), "read"):
            parameters["Body"] = parameters["Body"].read()  # the stream is closed when the duplicate comes
        process.wait(self._latency_s())
        if fault is CallFault.SLOW:
            process.wait(SLOW_S[0] + (SLOW_S[1] - SLOW_S[0]) * self._rng.random())
        if fault is not None:
            self._before(call, fault, target)
        answer, refused = self._effect(call, target)
        if fault is not None:
            self._after(call, fault, target)
        if fault is CallFault.CUT and refused is None:
            self._note(call, fault.value)
            answer["Body"] = _cut(answer["Body"].read(), self._rng)
        process.wait(self._latency_s())
        if refused is not None:
            raise refused
        for observer in self.observers:
            observer.answered_call(call)
        return answer

    def _before(self, call: Call, fault: CallFault, target: Any) -> None:
        if fault is CallFault.PAUSED_BEFORE:
            call.process.freeze(self._pause_s)
        if not fault.prevents:
            return
        self._note(call, fault.value)
        if fault is CallFault.KILLED_BEFORE:
            call.process.kill(fault.value)
        if fault is CallFault.CONFLICTED and call.operation == "complete_multipart_upload":
            _end_upload(call, target)
        raise error_of(fault, call)

    def _effect(self, call: Call, target: Any) -> tuple[Any, ClientError | None]:
        answer, refused = None, None
        self.current = call
        try:
            answer = target(**call.parameters)
        except ClientError as error:
            refused = error
        finally:
            self.current = None
        self._note(call, "" if refused is None else refused.response["Error"]["Code"])
        return answer, refused

    def _after(self, call: Call, fault: CallFault, target: Any) -> None:
        match fault:
            case CallFault.KILLED_AFTER:
                self._note(call, fault.value)
                call.process.kill(fault.value)
            case CallFault.PAUSED_AFTER:
                call.process.freeze(self._pause_s)
            case CallFault.FAILED_AFTER:
                self._note(call, fault.value)
                raise error_of(fault, call)
            case CallFault.TIMED_OUT_AFTER:
                self._note(call, fault.value)
                call.process.wait(READ_TIMEOUT_S)
                raise error_of(fault, call)
            case CallFault.SENT_TWICE:
                late_s = LATE_S * self._rng.random() ** 3  # mostly soon, while the request still matters
                self._scheduler.after(late_s, lambda: self._again(call, target))

    def _again(self, call: Call, target: Any) -> None:
        """The late duplicate: it has its effect, and nobody hears the answer."""
        self._effect(replace(call, is_duplicate=True), target)

    def _latency_s(self) -> float:
        draw = self._rng.random()
        return 0.002 + 0.02 * draw * draw * draw

    def _note(self, call: Call, outcome: str) -> None:
        self._trace.note(
            self._scheduler.now, call.process.name, f"{call.service}.{call.operation} {call.intent}".rstrip(), outcome
        )


def _end_upload(call: Call, target: Any) -> None:
    """What a 409 does to an upload that was about to complete (S3 API reference, CompleteMultipartUpload)."""
    place = {name: call.parameters[name] for name in ("Bucket", "Key", "UploadId")}
    with contextlib.suppress(ClientError):  # it is gone already
        target.__self__.abort_multipart_upload(**place)


def _cut(data: bytes, rng: random.Random) -> ObjectBody:
    """The body of a connection that breaks before the last byte; an empty one can't."""
    return ObjectBody(data[: rng.randrange(len(data))] if data else data, content_length=len(data))


class GatedClient:
    """One service's client as one process has it."""

    def __init__(self, gate: Gate, process: Process, service: str, target: Any) -> None:
        self._gate = gate
        self._process = process
        self._service = service
        self._target = target

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        method = getattr(self._target, operation)

        def send(**parameters: Any) -> Any:
            return self._gate.call(self._process, self._service, operation, method, parameters)

        self.__dict__[operation] = send  # next time without this detour
        return send


class GatedClients:
    """spotproof.clients.AwsClients of one process."""

    def __init__(self, gate: Gate, process: Process, services: dict[str, Any]) -> None:
        self.dynamodb: Any = GatedClient(gate, process, "dynamodb", services["dynamodb"])
        self.s3: Any = GatedClient(gate, process, "s3", services["s3"])
        self.events: Any = GatedClient(gate, process, "events", services["events"])
        self.batch: Any = GatedClient(gate, process, "batch", services["batch"])
        self.ec2: Any = GatedClient(gate, process, "ec2", services["ec2"])
        self.autoscaling: Any = GatedClient(gate, process, "autoscaling", services["autoscaling"])

"""Why a job finds no place, in Batch's and in EC2's words."""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Refusal(Enum):
    """Why an environment has no place for a job now."""

    BUSY = "at its maximum of vCPUs"
    OFF = "disabled"
    CAPACITY = "no instance of its types to be had"
    QUOTA = "the account may not run more"
    TOO_SMALL = "the job needs more vCPUs than its maximum"
    NO_TYPE = "no type is large enough"
    INVALID = "invalid"
    UNSUPPORTED = "its types can't be launched where it is"
    SERVICE_ROLE = "its service role lacks a permission"
    UNDETERMINED = "nobody knows why"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A queue whose first job can't be placed, and why, in Batch's words."""

    reason: str  # what jobStateTimeLimitActions match
    text: str

    @property
    def is_misfit(self) -> bool:
        """Whether the job can never be placed, so that nothing behind it in the queue is, until it is gone."""
        return self.reason in (_BLOCKING[Refusal.TOO_SMALL][0], _BLOCKING[Refusal.NO_TYPE][0])


# Jobs stuck in RUNNABLE, Batch user guide. A used-up quota shows as missing capacity. A queue whose environments are
# disabled or busy has no entry.
_CAPACITY: Final = (
    "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
    "Service cannot fulfill the capacity requested for instance type [{types}]",
)
_BLOCKING: Final = {
    Refusal.CAPACITY: _CAPACITY,
    Refusal.QUOTA: _CAPACITY,
    Refusal.TOO_SMALL: (
        "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
        "CE(s) associated with the job queue cannot meet the CPU requirement of the job.",
    ),
    Refusal.NO_TYPE: (
        "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
        "The job resource requirement (vCPU/memory/GPU) is higher than that can be met by the CE(s) attached to the "
        "job queue.",
    ),
    Refusal.UNSUPPORTED: (
        "MISCONFIGURATION:EC2_INSTANCE_CONFIGURATION_UNSUPPORTED",
        "Your compute environment associated with this job queue has an unsupported instance type configuration.",
    ),
    Refusal.SERVICE_ROLE: (
        "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS",
        "Batch service role has a permission issue.",
    ),
    Refusal.INVALID: ("ACTION_REQUIRED", "CE(s) associated with the job queue are invalid."),
    Refusal.UNDETERMINED: ("UNDETERMINED", "Batch job is blocked, root cause is undetermined."),
}
FAULTS: Final = {
    "unsupported": Refusal.UNSUPPORTED,
    "service-role": Refusal.SERVICE_ROLE,
    "undetermined": Refusal.UNDETERMINED,
}  # what an environment can be made to suffer from, besides being invalid


def judge_blocked(refusals: list[tuple[Refusal, list[str]]]) -> Blocked | None:
    """Whether these refusals of all environments of a queue block it: only if none of them will pass by itself."""
    if not refusals or any(refusal not in _BLOCKING for refusal, _ in refusals):
        return None
    short = (Refusal.CAPACITY, Refusal.QUOTA)
    refusal, types = next(((one, names) for one, names in refusals if one in short), refusals[0])
    reason, text = _BLOCKING[refusal]
    return Blocked(reason=reason, text=f"{reason} - {text.format(types=', '.join(types))}")


def launch_failure(refusal: Refusal, *, spot: bool, type_name: str, zone: str, quota: int | None) -> str:
    """What Auto Scaling says of the launch that failed; empty if nothing was tried.

    Texts: troubleshooting of Auto Scaling and EC2 (user guides), and activities that users published.
    """
    match refusal:
        case Refusal.QUOTA if spot:
            said = "Max spot instance count exceeded."
        case Refusal.QUOTA:
            said = (
                f"You have requested more vCPU capacity than your current vCPU limit of {quota} allows for the instance "
                "bucket that the specified instance type belongs to. Please visit "
                "http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit."
            )
        case Refusal.CAPACITY if spot:
            said = (
                "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available that "
                "matches your request."
            )
        case Refusal.CAPACITY:
            said = f"We currently do not have sufficient {type_name} capacity in the Availability Zone you requested ({zone})."
        case Refusal.UNSUPPORTED:
            said = f"Your requested instance type ({type_name}) is not supported in your requested Availability Zone ({zone})."
        case _:
            return ""
    return f"{said} Launching EC2 instance failed."

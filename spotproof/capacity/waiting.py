"""Why a worker that was submitted has not started, and what a person can do about it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from spotproof.capacity import waiting_advice as advice
from spotproof.capacity import waiting_words as words
from spotproof.capacity.waiting_facts import (
    REASON_ACTION_REQUIRED,
    REASON_CAPACITY,
    REASON_MAX_VCPUS,
    REASON_MISCONFIGURATION,
    REASON_SERVICE_ROLE,
    REASON_TOO_BIG,
    REASON_UNDETERMINED,
    WaitingFacts,
)

STARTING_S: Final = 600.0  # a host boots and pulls its image well within; after that silence needs looking into


class WaitingKind(StrEnum):
    """What keeps a worker from starting."""

    STARTING = "starting"  # nothing wrong yet
    NO_CAPACITY = "no_capacity"  # EC2 has no such instances now; passes by itself
    FULL = "full"  # the environment runs as much as it may; passes by itself
    BEHIND = "behind"  # another job holds up the queue
    TOO_BIG = "too_big"  # for every instance type of the environment
    QUOTA = "quota"  # the account may not run more vCPUs
    INVALID = "invalid"  # no environment of the queue is valid
    DISABLED = "disabled"  # no environment of the queue is enabled
    MISCONFIGURED = "misconfigured"  # anything else that Batch or EC2 refuses for good
    UNEXPLAINED = "unexplained"  # long silence


_FOR_A_PERSON: Final = frozenset(
    {
        WaitingKind.TOO_BIG,
        WaitingKind.QUOTA,
        WaitingKind.INVALID,
        WaitingKind.DISABLED,
        WaitingKind.MISCONFIGURED,
        WaitingKind.UNEXPLAINED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why workers wait, in words a person can act on."""

    kind: WaitingKind
    text: str  # what is wrong
    advice: str  # the command or console page that mends it; what happens by itself otherwise

    @property
    def needs_person(self) -> bool:
        """Whether it does not pass by itself."""
        return self.kind in _FOR_A_PERSON


def explain_waiting(facts: WaitingFacts) -> Explanation:
    """Why these workers have not started: the first of the checks that applies, the surest first."""
    for check in _CHECKS:
        explanation = check(facts)
        if explanation is not None:
            return explanation
    return Explanation(kind=WaitingKind.UNEXPLAINED, text=words.silence(facts), advice=advice.look_for_yourself(facts))


def _before_the_queue(facts: WaitingFacts) -> Explanation | None:
    if facts.status in ("SUBMITTED", "PENDING"):
        return Explanation(kind=WaitingKind.STARTING, text=words.NOT_QUEUED, advice=advice.NOTHING_TO_DO)
    if facts.status == "STARTING":
        return Explanation(kind=WaitingKind.STARTING, text=words.PULLING, advice=advice.NOTHING_TO_DO)
    return None


def _no_environment(facts: WaitingFacts) -> Explanation | None:
    queue = facts.queue
    if queue.usable:
        return None
    invalid = [each for each in queue.environments if each.status == "INVALID" and each.state == "ENABLED"]
    if invalid:
        return Explanation(kind=WaitingKind.INVALID, text=words.invalid(invalid), advice=advice.mend_invalid(invalid))
    disabled = [each for each in queue.environments if each.state == "DISABLED"]
    if disabled:
        return Explanation(kind=WaitingKind.DISABLED, text=words.disabled(disabled), advice=advice.enable(disabled))
    return Explanation(kind=WaitingKind.STARTING, text=words.coming(queue), advice=advice.NOTHING_TO_DO)


def _too_big(facts: WaitingFacts) -> Explanation | None:
    """By Batch's word, or by the types' sizes where all are known: that is sooner."""
    usable = facts.queue.usable
    fits_none = all(
        each.sizes and not any(size.holds(vcpus=facts.vcpus, memory_mib=facts.memory_mib) for size in each.sizes)
        for each in usable
    )
    if facts.reason.startswith(REASON_TOO_BIG) or fits_none:
        return Explanation(
            kind=WaitingKind.TOO_BIG, text=words.too_big(facts), advice=advice.make_it_fit(facts, REASON_TOO_BIG)
        )
    return None


def _above_the_maximum(facts: WaitingFacts) -> Explanation | None:
    usable = facts.queue.usable
    if facts.reason.startswith(REASON_MAX_VCPUS) or all(facts.vcpus > each.vcpus_max for each in usable):
        return Explanation(
            kind=WaitingKind.MISCONFIGURED,
            text=words.above_the_maximum(facts),
            advice=advice.raise_the_maximum(facts, REASON_MAX_VCPUS),
        )
    return None


def _misconfigured(facts: WaitingFacts) -> Explanation | None:
    reason = facts.queue_reason
    if reason.startswith(REASON_SERVICE_ROLE):
        mending = advice.mend_service_role(facts.queue)
    elif reason.startswith((REASON_MISCONFIGURATION, REASON_ACTION_REQUIRED)):
        mending = advice.mend_environment(facts, reason.partition(" ")[0])
    else:
        return None
    return Explanation(kind=WaitingKind.MISCONFIGURED, text=words.batch_says(reason), advice=mending)


def _behind(facts: WaitingFacts) -> Explanation | None:
    """Before all that EC2 said of launches: behind a job that fits nowhere Batch tries none."""
    if facts.ahead is None or not facts.ahead.reason.startswith((REASON_TOO_BIG, REASON_MAX_VCPUS)):
        return None
    return Explanation(
        kind=WaitingKind.BEHIND, text=words.behind(facts.ahead), advice=advice.move_aside(facts.queue, facts.ahead)
    )


def _quota(facts: WaitingFacts) -> Explanation | None:
    """Before capacity: Batch calls both the same, and only one of them passes by itself."""
    for environment in facts.queue.usable:
        for text in (environment.status_reason, *environment.launch_failures, facts.queue_reason):
            if words.is_about_quota(text):
                return Explanation(
                    kind=WaitingKind.QUOTA,
                    text=words.quota(environment, text),
                    advice=advice.raise_the_quota(environment),
                )
    return None


def _no_capacity(facts: WaitingFacts) -> Explanation | None:
    failures = [each.launch_failures[0] for each in facts.queue.usable if each.launch_failures]
    all_short = len(failures) == len(facts.queue.usable) and all(map(words.is_about_capacity, failures))
    if not facts.queue_reason.startswith(REASON_CAPACITY) and not all_short:
        return None
    said = failures[0] if all_short else facts.queue_reason
    return Explanation(
        kind=WaitingKind.NO_CAPACITY, text=words.no_capacity(facts.queue, said), advice=advice.wait_for_capacity(facts)
    )


def _refused_by_ec2(facts: WaitingFacts) -> Explanation | None:
    """EC2 refuses every launch, for none of the reasons that it is known for."""
    failing = [each for each in facts.queue.usable if each.launch_failures]
    if len(failing) < len(facts.queue.usable) or all(
        words.is_about_capacity(each.launch_failures[0]) for each in failing
    ):
        return None
    refused = next(each for each in failing if not words.is_about_capacity(each.launch_failures[0]))
    return Explanation(
        kind=WaitingKind.MISCONFIGURED, text=words.refused(refused), advice=advice.mend_launches(refused)
    )


def _undetermined(facts: WaitingFacts) -> Explanation | None:
    if not facts.queue_reason.startswith(REASON_UNDETERMINED):
        return None
    return Explanation(
        kind=WaitingKind.UNEXPLAINED, text=words.undetermined(facts), advice=advice.look_for_yourself(facts)
    )


def _full(facts: WaitingFacts) -> Explanation | None:
    full = [each for each in facts.queue.usable if each.vcpus_desired + facts.vcpus > each.vcpus_max]
    if len(full) < len(facts.queue.usable):
        return None
    return Explanation(kind=WaitingKind.FULL, text=words.full(full), advice=advice.wait_for_room(full))


def _young(facts: WaitingFacts) -> Explanation | None:
    if facts.waited_s >= STARTING_S:
        return None
    return Explanation(kind=WaitingKind.STARTING, text=words.BOOTING, advice=advice.NOTHING_TO_DO)


_CHECKS: Final[tuple[Callable[[WaitingFacts], Explanation | None], ...]] = (
    _before_the_queue,
    _no_environment,
    _too_big,
    _above_the_maximum,
    _misconfigured,
    _behind,
    _quota,
    _no_capacity,
    _refused_by_ec2,
    _undetermined,
    _full,
    _young,
)

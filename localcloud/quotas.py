"""How many vCPUs the account may run at a time: EC2's quotas."""

from localcloud.errors import UsageError
from localcloud.instance import Lifecycle


class Quotas:
    """One for Spot and one for on-demand instances, in every region the same; none until it is set."""

    def __init__(self) -> None:
        self._vcpus: dict[Lifecycle, int] = {}

    def set(self, lifecycle: Lifecycle, vcpus: int) -> None:
        """Allow so many vCPUs.

        Raises:
            UsageError: fewer than none.
        """
        if vcpus < 0:
            raise UsageError(f"a quota must be 0 vCPUs or more, got {vcpus}")
        self._vcpus[lifecycle] = vcpus

    def limit(self, lifecycle: Lifecycle) -> int | None:
        """The quota, None without one."""
        return self._vcpus.get(lifecycle)

    def allows(self, lifecycle: Lifecycle, *, used: int, more: int) -> bool:
        """Whether `more` vCPUs may be started while `used` run."""
        limit = self.limit(lifecycle)
        return limit is None or used + more <= limit

    def reset(self) -> None:
        """No quota again."""
        self._vcpus.clear()

    def describe(self) -> dict[str, int | None]:
        """Both, by the name of the lifecycle."""
        return {str(lifecycle): self.limit(lifecycle) for lifecycle in Lifecycle}

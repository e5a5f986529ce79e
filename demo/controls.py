"""The adversary's hands in the local account."""

from typing import TYPE_CHECKING, Final

from demo.schedule import Delivery
from spotproof import contract
from spotproof.leases.model import CapacityClass

if TYPE_CHECKING:
    from localcloud.client import LocalCloud

_MISCHIEF: Final = {Delivery.TWICE: "duplicate", Delivery.LOST: "drop"}


class LocalControls:
    """Controls over the admin API of a running local account."""

    def __init__(self, cloud: "LocalCloud") -> None:
        self._cloud = cloud

    def place(self, instance_id: str) -> str:
        for instance in self._cloud.state().instances:
            if instance.id == instance_id:
                return f"{instance.type}, {instance.az}"
        return "unknown place"

    def spoil_notice(self, instance_id: str, delivery: Delivery) -> None:
        self._cloud.chaos(contract.DETAIL_SPOT_WARNING, _MISCHIEF[delivery], matching=instance_id)

    def notice(self, instance_id: str) -> None:
        self._cloud.notice(instance_id)

    def kill(self, instance_id: str) -> None:
        self._cloud.kill(instance_id)

    def rebalance(self, instance_id: str) -> None:
        self._cloud.rebalance(instance_id)

    def pause(self, job_id: str) -> None:
        self._cloud.pause(job_id)

    def resume(self, job_id: str) -> None:
        self._cloud.resume(job_id)

    def starve(self) -> list[str]:
        self._cloud.market(capacity={"*": 0})
        hosts = [
            each.id
            for each in self._cloud.state().running()
            if each.lifecycle == CapacityClass.SPOT and each.reclaim_at is None
        ]
        for host in hosts:
            self._cloud.notice(host)
        return hosts

    def feed(self) -> None:
        self._cloud.market(reset=True)

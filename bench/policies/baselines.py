"""What ours is compared with: greedy, n losses and then on-demand, and uniform progress.

All have the same safety net, so that none is late: Wu et al. (NSDI 2024) prove that a job which goes on-demand when its
slack falls below two changeovers, and stays, meets its deadline. A tick is added, because they choose once a tick.
"""

from abc import ABC, abstractmethod

from bench.policies.replay import Job, Place, View


class _Netted(ABC):
    """The safety net around a policy: what runs on Spot is left there; otherwise on-demand to the end in time."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def choose(self, view: View) -> Place:
        if view.place is Place.SPOT:
            return Place.SPOT
        slack = self._job.deadline - view.tick - view.work_left - view.starting
        if slack < 2 * self._job.changeover + 1:  # and on-demand work does not add to it: this holds to the end
            return Place.ON_DEMAND
        return self.freely(view)

    @abstractmethod
    def freely(self, view: View) -> Place: ...


class Greedy(_Netted):
    """Spot while there is some, nothing while there is none."""

    def freely(self, view: View) -> Place:
        return Place.SPOT if view.spot else Place.NOWHERE


class LossesThenOnDemand(_Netted):
    """Greedy until its own host was lost n times, then on-demand."""

    LOSSES = 3

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._lost = 0
        self._on_spot = False

    def choose(self, view: View) -> Place:
        self._lost += self._on_spot and view.place is not Place.SPOT
        chosen = super().choose(view)
        self._on_spot = chosen is Place.SPOT
        return chosen

    def freely(self, view: View) -> Place:
        if self._lost >= self.LOSSES:
            return Place.ON_DEMAND
        return Place.SPOT if view.spot else Place.NOWHERE


class UniformProgress(_Netted):
    """The paper's policy: on-demand whenever progress falls behind the straight line to the deadline.

    On-demand is left again once progress is ahead of where the line will be two changeovers later; Spot is taken by
    whoever idles.
    """

    def freely(self, view: View) -> Place:
        if view.place is Place.ON_DEMAND and self._behind(view, ticks_later=2 * self._job.changeover):
            return Place.ON_DEMAND
        if view.spot:
            return Place.SPOT
        return Place.ON_DEMAND if self._behind(view, ticks_later=0) else Place.NOWHERE

    def _behind(self, view: View, *, ticks_later: int) -> bool:
        done = self._job.work - view.work_left
        return done * self._job.deadline < (view.tick + ticks_later) * self._job.work


class EagerUniformProgress(UniformProgress):
    """The same without the hysteresis towards Spot: on-demand is left as soon as there is Spot.

    The paper's "taking risks" rule read strictly; we compare with both readings.
    """

    def freely(self, view: View) -> Place:
        return Place.SPOT if view.spot else super().freely(view)

"""The controller's own decision as a policy of the bench: `decide_deadline` asked for a run of one worker."""

from bench.policies.replay import Job, Place, View
from spotproof.capacity.deadline import DeadlineFacts, SpotMarket, decide_deadline


class Ours:
    """Translates a tick into the controller's facts and its answer into a place.

    The controller lets an on-demand worker go when a Spot worker has begun in its place. Here there is one body: wanted
    in both places it goes to the cheaper one.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def choose(self, view: View) -> Place:
        decision = decide_deadline(self._facts(view))
        if view.spot and decision.spot_workers:
            return Place.SPOT
        return Place.ON_DEMAND if decision.on_demand_workers else Place.NOWHERE

    def _facts(self, view: View) -> DeadlineFacts:
        step_s = self._job.step_s
        on_spot = view.place is Place.SPOT
        return DeadlineFacts(
            now_s=view.tick * step_s,
            deadline_s=self._job.deadline * step_s,
            work_left_s=(view.work_left + view.starting) * step_s,
            shards_left=1,
            shard_s=0.0,
            workers=1,
            restart_s=self._job.changeover * step_s,
            step_s=step_s,
            spot_running=int(on_spot),
            spot_starting=int(view.spot and not on_spot),
            on_demand_running=int(view.place is Place.ON_DEMAND),
            market=SpotMarket(
                up_s=view.up_ticks * step_s,
                short_s=(view.tick - view.up_ticks) * step_s,
                losses=view.losses,
            ),
        )

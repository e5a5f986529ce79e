"""The output equals a reference fold: each record exactly once, byte for byte, and nothing else lies there."""

import json
from typing import Any

from simulation.checks.base import Check
from simulation.fold import add, merge
from simulation.workload import DATA_BUCKET, OUTPUT_PREFIX, WORK_BUCKET
from spotproof import contract
from spotproof.commits.canonical_json import canonical_json
from spotproof.commits.names import index_of
from spotproof.leases.model import RunState, ShardState
from spotproof.shards.plan_file import PlanReader
from spotproof.shards.reader import ShardReader


class OutputCheck(Check):
    """Reads what a consumer would read, and computes it again without workers, faults or checkpoints."""

    def __init__(self, world: object) -> None:
        super().__init__(world)
        self._went_back = False

    def restored(self) -> None:
        self._went_back = True

    def ended(self) -> None:
        run = self.world.run
        require = self.report.require
        if run is None or run.state is RunState.CANCELLED:
            return
        final = self.world.s3.objects(DATA_BUCKET, OUTPUT_PREFIX)
        success = f"{OUTPUT_PREFIX}{contract.SUCCESS_NAME}"
        require(run.state is RunState.COMPLETE, "output", f"the run ended {run.state}: {run.reason}")
        require(success in final, "I7", "the run is COMPLETE without _SUCCESS")
        if self.report.violations:
            return
        manifest = json.loads(final[success])
        quarantined = {bad["shard"] for bad in manifest["quarantined"]}
        expected = self._expected(quarantined)
        found = {key.removeprefix(OUTPUT_PREFIX): body for key, body in final.items() if key != success}
        if self._went_back:  # what was published before the restore may belong to a shard that then failed
            found = {name: body for name, body in found.items() if index_of(name) not in quarantined}
        require(sorted(found) == sorted(expected), "output", f"found {sorted(found)}, expected {sorted(expected)}")
        wrong = [name for name, body in found.items() if expected.get(name) != body]
        require(not wrong, "output", f"{wrong} differ from the reference fold")
        self._whole(found, quarantined)

    def _expected(self, quarantined: set[int]) -> dict[str, bytes]:
        """Final name -> bytes of every shard that is not quarantined."""
        run = self.world.run
        plan = PlanReader(
            s3=self.world.s3,
            retrier=self.world.raw_retrier,
            bucket=WORK_BUCKET,
            key=run.plan_key,
            sha256=run.plan_sha256,
        )
        files: dict[str, bytes] = {}
        for index in range(run.shards):
            if index in quarantined:
                continue
            totals: dict[str, Any] = {}
            reader = ShardReader(plan.shard(index), plan.header, s3=self.world.pristine, retrier=self.world.raw_retrier)
            for batch in reader.batches():
                for record in batch.records:
                    add(totals, record)
            ordered = dict(sorted(totals.items()))
            files[f"part-{index:08d}.json"] = canonical_json(ordered)
            if self.world.workload.opens_file:
                files[f"part-{index:08d}/totals.txt"] = json.dumps(ordered).encode()
        return files

    def _whole(self, found: dict[str, bytes], quarantined: set[int]) -> None:
        """Independent of the plan: all shards together hold every input record once."""
        if quarantined:
            self._quarantined(quarantined)
            return
        parts = [json.loads(body) for name, body in found.items() if name.endswith(".json")]
        whole = merge(parts)
        self.report.require(whole == self.world.workload.expected(), "output", "records are missing or counted twice")

    def _quarantined(self, quarantined: set[int]) -> None:
        rows = {index: self.world.shard(index) for index in quarantined}
        wrong = [index for index, row in rows.items() if row is None or row.state is not ShardState.QUARANTINED]
        self.report.require(not wrong, "I8", f"_SUCCESS calls shards {wrong} quarantined, their rows do not")
        blamed = self.world.workload.poison or self.world.may_quarantine
        self.report.require(bool(blamed), "I8", f"shards {sorted(quarantined)} were quarantined in a healthy job")

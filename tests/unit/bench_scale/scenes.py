"""Small scenarios for tests of the model."""

from typing import Any

from bench.scale.scenario import Scenario, ShardTimes


def scenario(**changes: Any) -> Scenario:
    given: dict[str, Any] = {
        "name": "test",
        "shards": 200,
        "workers": 10,
        "times": ShardTimes(mean_s=30.0),
        "first_boot_s": 10.0,
        "workers_per_instance": 2,
    }
    return Scenario(**given | changes)

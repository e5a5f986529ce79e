"""Delay statistics of flights, by carrier (Parquet) and by route (JSON): a complete job, and an example to copy."""

import json
from collections.abc import Generator, MutableMapping
from typing import Any

import pyarrow

from spotproof import job

FIELDS = ("flights", "cancelled", "dep_delay_sum", "dep_delay_worst", "landed", "arr_delay_sum", "arr_delay_worst")
SCHEMA = pyarrow.schema([("carrier", pyarrow.string()), *((field, pyarrow.int64()) for field in FIELDS)])


@job("flight-delays")
def flight_delays(shard: Any, state: Any) -> Generator[None, None, pyarrow.Table]:
    carriers, routes = (
        state.map("carriers"),
        state.map("routes"),
    )  # empty at first; after an interruption, what was saved
    for batch in shard.batches(after=state.get("cursor"), records=2_000):
        for flight in batch.records:
            count(carriers, flight["carrier"], flight)
            count(routes, f"{flight['origin']}-{flight['dest']}", flight)
        state["cursor"] = batch.end
        shard.sleep(len(batch.records) * float(shard.options.get("pace_s", 0)))  # the demo slows it down
        yield  # a safe point
    with shard.output.open("routes.json") as file:
        file.write(json.dumps(dict(sorted(routes.items()))).encode())
    rows = [dict(zip(SCHEMA.names, (name, *carriers[name]), strict=True)) for name in sorted(carriers)]
    return pyarrow.Table.from_pylist(rows, schema=SCHEMA)


def count(totals: MutableMapping[str, tuple[int, ...]], name: str, flight: dict[str, Any]) -> None:
    """Add one flight. Delays are whole minutes, so sums are exact in any order; `worst` is 0 if nothing was late."""
    flights, cancelled, departed, departed_worst, landed, arrived, arrived_worst = totals.get(name, (0,) * len(FIELDS))
    departure, arrival = flight["dep_delay"], flight["arr_delay"]
    if departure is None:
        cancelled += 1
    else:
        departed, departed_worst = departed + departure, max(departed_worst, departure)
    if arrival is not None:
        landed, arrived, arrived_worst = landed + 1, arrived + arrival, max(arrived_worst, arrival)
    totals[name] = (flights + 1, cancelled, departed, departed_worst, landed, arrived, arrived_worst)

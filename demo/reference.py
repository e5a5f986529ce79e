"""The same statistics in one straight process by another library (polars), from the raw CSV."""

import io
from typing import TYPE_CHECKING

from demo.statistics import FIELDS, DelayStatistics, Row

if TYPE_CHECKING:
    from polars import DataFrame


def compute_reference(csv: bytes) -> DelayStatistics:
    """Statistics over all flights of the CSV."""
    import polars

    columns = ["carrier", "origin", "dest", "dep_delay", "arr_delay"]
    flights = polars.read_csv(io.BytesIO(csv), columns=columns, null_values=["", "NA"]).with_columns(
        polars.concat_str("origin", "dest", separator="-").alias("route")
    )
    return DelayStatistics(carriers=_grouped(flights, "carrier"), routes=_grouped(flights, "route"))


def _grouped(flights: "DataFrame", key: str) -> dict[str, Row]:
    import polars

    departure, arrival = polars.col("dep_delay"), polars.col("arr_delay")
    table = flights.group_by(key).agg(
        polars.len().alias("flights"),
        departure.null_count().alias("cancelled"),
        departure.sum().alias("dep_delay_sum"),
        departure.max().fill_null(0).clip(lower_bound=0).alias("dep_delay_worst"),
        arrival.count().alias("landed"),
        arrival.sum().alias("arr_delay_sum"),
        arrival.max().fill_null(0).clip(lower_bound=0).alias("arr_delay_worst"),
    )
    return {row[0]: tuple(map(int, row[1:])) for row in sorted(table.select(key, *FIELDS).iter_rows())}

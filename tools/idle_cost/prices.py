"""Published prices, and what is assumed of a scheduled invocation that finds nothing to do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

FILE = Path(__file__).with_name("prices.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Of one unit; `free` units a month cost nothing."""

    usd: float
    free: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """Of one invocation without a run: upper bounds, not measured on AWS."""

    invocation_s: float
    invocation_log_bytes: int
    invocation_reads: int  # request units
    invocation_metrics: int  # the controller's heartbeat


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """The prices of one region on one day."""

    as_of: str
    region: str
    prices: Mapping[str, Price]
    assumed: Assumed

    @classmethod
    def read(cls, path: Path = FILE) -> Self:
        """The list in the repository."""
        raw = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            as_of=raw["as_of"],
            region=raw["region"],
            prices={name: Price(**price) for name, price in raw["prices"].items()},
            assumed=Assumed(**raw["assumed"]),
        )

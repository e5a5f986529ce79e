"""All sharding strategies, one line each."""

from collections.abc import Mapping
from typing import Final

from spotproof.shards.spec import StrategyName
from spotproof.shards.strategies.base import Strategy
from spotproof.shards.strategies.hash import cut_by_hash
from spotproof.shards.strategies.objects import cut_by_object
from spotproof.shards.strategies.range import cut_by_range
from spotproof.shards.strategies.row_groups import cut_by_row_group
from spotproof.shards.strategies.size import cut_by_size
from spotproof.shards.strategies.time_window import cut_by_time

STRATEGIES: Final[Mapping[StrategyName, Strategy]] = {
    StrategyName.SIZE: cut_by_size,
    StrategyName.OBJECTS: cut_by_object,
    StrategyName.ROW_GROUPS: cut_by_row_group,
    StrategyName.HASH: cut_by_hash,
    StrategyName.RANGE: cut_by_range,
    StrategyName.TIME: cut_by_time,
}

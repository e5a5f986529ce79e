"""How a worker spreads over stripes, and which shards it may take."""

from spotproof.leases.model import CapacityClass, SessionId
from spotproof.worker.leasing import classes_for, stripe_order


def test_every_stripe_is_tried_once_and_sessions_begin_at_different_ones() -> None:
    orders = [stripe_order(SessionId(f"session-{n}"), 8) for n in range(64)]

    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len({order[0] for order in orders}) > 4


def test_a_spot_worker_leaves_shards_for_on_demand_alone() -> None:
    assert classes_for("spot") == (CapacityClass.SPOT,)
    assert classes_for("") == (CapacityClass.SPOT,)


def test_an_on_demand_worker_takes_its_own_class_first() -> None:
    assert classes_for("on-demand") == (CapacityClass.ON_DEMAND, CapacityClass.SPOT)

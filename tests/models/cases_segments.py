"""The models of segments, for the contract that all models obey."""

import functools
from datetime import date

import numpy as np
import pyarrow as pa

from shopkeeper.models.rfm_segments import RfmGrid, RfmGroups
from shopkeeper.models.threshold_segments import ThresholdSegments


def rows() -> pa.Table:
    """400 customers as of a day: lapsed ones, newcomers, regulars, a few wholesalers, and some who never ordered."""
    rng = np.random.default_rng(11)
    kind = rng.choice(5, 400, p=[0.3, 0.3, 0.3, 0.02, 0.08])
    lately = np.where(kind == 0, 0, np.where(kind == 1, 1, np.where(kind == 2, rng.integers(3, 6, 400), 20)))
    orders = lately + np.where(kind == 1, 0, rng.integers(1, 4, 400)) + 60 * (kind == 3)
    days = np.where(kind == 0, rng.integers(100, 400, 400), rng.integers(1, 80, 400))
    net = orders * rng.lognormal(5, 0.4, 400)
    never = kind == 4
    return pa.table(
        {
            "customer_id": [f"c{number:04}" for number in rng.permutation(400)],
            "as_of": pa.array([date(2024, 1, 1)] * 400),
            "days_since_last_order": pa.array(days, pa.int64(), mask=never),
            "n_orders_90d": pa.array(np.where(never, 0, lately)),
            "n_orders": pa.array(np.where(never, 0, orders)),
            "net_sales": pa.array(np.where(never, 0.0, net)),
        }
    )


CASES = {
    "segments/threshold_tree": (functools.partial(ThresholdSegments, k=3, leaves=5, bootstraps=3, seed=2), rows),
    "segments/rfm_grid": (functools.partial(RfmGrid, k=3), rows),
    "segments/rfm_groups": (RfmGroups, rows),
}

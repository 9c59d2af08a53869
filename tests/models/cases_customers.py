"""The models of customers' value and silence, for the contract that all models obey."""

import functools
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from shopkeeper.models.customer_silence import BEHAVIOUR, KINDS
from shopkeeper.models.customer_value import BgNbdGammaGamma, MbgNbdGammaGamma, PastRate

MOMENTS = [date(2024, 3, 1) + timedelta(30 * number) for number in range(4)]


def rows() -> pa.Table:
    """500 customers at four moments each, some without an order, one column constant and one empty; half stay away."""
    rng = np.random.default_rng(9)
    count = 500 * len(MOMENTS)
    who = np.repeat(np.arange(500), len(MOMENTS))
    age = rng.integers(1, 300, count)
    n = np.where(rng.random(count) < 0.05, 0, rng.geometric(0.3, count))
    last = np.where(n > 1, (age * rng.random(count)).astype(np.int64), age)
    none = n == 0
    told = {name: rng.lognormal(0, 1, count) for name in BEHAVIOUR} | {
        "n_order_days": n,
        "days_since_first_order": pa.array(age, mask=none),
        "days_since_last_order": pa.array(last, mask=none),
        "mean_days_between_orders": pa.array((age - last) / np.maximum(n - 1, 1), mask=n < 2),
        "discount_share": np.zeros(count),
        "cart_rate": pa.nulls(count, pa.float64()),
        "net_sales": np.where(rng.random(count) < 0.1, -5.0, rng.lognormal(3, 1, count)) * (n > 0),
    }
    stays = rng.random(count) < 1 / (1 + np.exp(-(last / 100 - n / 3)))
    at = rng.permutation(count)
    moments = pa.array([MOMENTS[number % len(MOMENTS)] for number in range(count)], pa.date32())
    keys = {"customer_id": [f"c{number:04}" for number in who], "as_of": moments, "is_churned": stays.astype(np.int64)}
    return pa.table(keys | told).take(at)


def of_one_moment() -> pa.Table:
    """The rows of the latest moment: models of value take one row per customer."""
    table = rows()
    return table.filter(pa.array([day == MOMENTS[-1] for day in table["as_of"].to_pylist()]))


CASES = {
    f"lifetime/{kind.name}": (functools.partial(kind, horizon_days=120, margin=0.4, level=0.93, seed=3), of_one_moment)
    for kind in (BgNbdGammaGamma, MbgNbdGammaGamma, PastRate)
} | {f"churn/{name}": (functools.partial(kind, horizon_days=60, seed=3), rows) for name, kind in KINDS.items()}

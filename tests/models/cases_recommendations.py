"""The models of recommendations, for the contract that all models obey."""

import functools
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from shopkeeper.models.blended_recommender import Blend
from shopkeeper.models.item_similarity import Ease, ItemToItem
from shopkeeper.models.matrix_factors import Als
from shopkeeper.models.purchases import purchase_rows
from shopkeeper.models.recommender import Popular

WORDS = ("RED CLOCK", "GREEN CLOCK", "TEA TOWEL", "TEA CUP", "PAPER BAG", "LUNCH BAG")


def catalogue() -> pa.Table:
    """Sixty products with words."""
    names = [f"P{number:03}" for number in range(60)]
    return pa.table(
        {
            "product_id": names,
            "description": [f"{WORDS[number % 6]} {number // 12}" for number in range(60)],
            "category": [f"c{number % 3}" for number in range(60)],
            "is_offered": [number != 7 for number in range(60)],
            "is_repeatable": [number % 20 == 0 for number in range(60)],
        }
    )


@functools.cache
def rows() -> pa.Table:
    """150 customers with tastes of six kinds, in two countries, as of 1 May 2024; all different."""
    rng = np.random.default_rng(3)
    told = []
    for customer in range(150):
        taste = customer % 6
        for order in range(int(rng.integers(1, 5))):
            day = date(2024, 1, 1) + timedelta(int(rng.integers(0, 120)))
            for _ in range(int(rng.integers(1, 6))):
                kind = taste if rng.random() < 0.7 else int(rng.integers(6))
                product = int(rng.integers(0, 10)) * 6 + kind
                told.append(
                    (f"o{customer}-{order}", f"c{customer:03}", f"P{product:03}", day, "FR" if customer % 3 else "UK")
                )
    lines = pa.table(
        {
            "order_id": [row[0] for row in told],
            "customer_id": [row[1] for row in told],
            "product_id": [row[2] for row in told],
            "ordered_on": pa.array([row[3] for row in told], pa.date32()),
            "country": [row[4] for row in told],
        }
    )
    visits = pa.table(
        {
            "session_id": ["v1"],
            "customer_id": ["c001"],
            "product_id": ["P005"],
            "started_on": pa.array([date(2024, 2, 1)], pa.date32()),
            "n_views": [1],
            "n_carts": [0],
            "n_purchases": [0],
        }
    )
    return purchase_rows(lines, visits, date(2024, 5, 1))


def make(kind, **parameters):
    """Make a recommender that knows the catalogue."""
    return kind(seed=4, **parameters).about(catalogue())


WEIGHTS = {"ease": 0.7, "words": 0.4, "buyers_7d": 0.5, "baskets_90d": -0.4, "first_buyers_14d": 0.3}
CASES = {
    "recommendations/popular": (functools.partial(make, Popular), rows),
    "recommendations/item_to_item": (functools.partial(make, ItemToItem), rows),
    "recommendations/ease": (functools.partial(make, Ease, penalty=20.0), rows),
    "recommendations/als": (functools.partial(make, Als, factors=8), rows),
    "recommendations/blend": (functools.partial(make, Blend, weights=WEIGHTS), rows),
    "recommendations/blend_again": (functools.partial(make, Blend, exclude_bought=False), rows),
}

"""The models that complete a basket, for the contract that all models obey."""

import functools
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from shopkeeper.models.basket_completion import AllRules, PairRules, PopularPairs


def rows() -> pa.Table:
    """300 baskets of thirty products in five families; each basket draws from one family, and now and then from anywhere."""
    rng = np.random.default_rng(3)
    families = rng.integers(0, 5, 300)
    sizes = rng.integers(1, 7, 300)
    held = [
        sorted(
            {
                f"p{(family * 6 + rng.integers(0, 6) if rng.random() < 0.8 else rng.integers(0, 30)):02}"
                for _ in range(n)
            }
        )
        for family, n in zip(families.tolist(), sizes.tolist(), strict=True)
    ]
    return pa.table(
        {
            "basket_id": [f"b{number:03}" for number in range(300)],
            "as_of": pa.array([date(2024, 1, 1) + timedelta(number // 5) for number in range(300)]),
            "products": pa.array(held, pa.list_(pa.string())),
        }
    )


CASES = {
    "baskets/rules": (functools.partial(AllRules, seed=1), rows),
    "baskets/pair_rules": (functools.partial(PairRules, confidence_power=2.0, seed=1), rows),
    "baskets/popular_pairs": (PopularPairs, rows),
}

"""Prices over time, promotions, and the demand that follows them."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa

from shopkeeper.simulator.catalogue import SEASONS, Catalogue
from shopkeeper.simulator.seasons import yearly

PROMOTION_LIFT = 1.2
"""What being shown on promotion does to demand, over and above its lower price."""


@dataclass(frozen=True)
class Prices:
    """Price of each product on each day (minor units), and the promotions within.

    ``paid`` and ``on_promotion`` are arrays of products by days. The promotion arrays have one element for
    each: product, first and last day, and the fraction taken off the list price.
    """

    paid: np.ndarray
    on_promotion: np.ndarray
    promoted: np.ndarray
    first_day: np.ndarray
    last_day: np.ndarray
    discount: np.ndarray


def price_history(goods: Catalogue, days: int, steady: np.ndarray, rng: np.random.Generator) -> Prices:
    """Return prices that change about thrice a year and promotions of 5 to 14 days about twice a year.

    Products in ``steady`` keep their base price.
    """
    count = len(goods)
    movable = np.setdiff1d(np.arange(count), steady)
    changes = rng.choice(movable, rng.poisson(3 * days / 365 * len(movable))) if len(movable) else movable
    steps = np.zeros((count, days))
    np.add.at(steps, (changes, rng.integers(0, days, len(changes))), rng.normal(0, 0.12, len(changes)))
    # Prices wander no farther than a third from their base: shops that go farther are another product.
    level = np.exp(np.clip(np.cumsum(steps, axis=1), -0.35, 0.35))
    promoted = rng.choice(movable, max(rng.poisson(2 * days / 365 * len(movable)), 1)) if len(movable) else movable
    first = rng.integers(0, days, len(promoted))
    last = np.minimum(first + rng.integers(4, 14, len(promoted)), days - 1)
    discount = rng.choice([0.1, 0.15, 0.2, 0.3], len(promoted))
    factor = np.ones((count, days))
    for product, begin, end, off in zip(promoted, first, last, discount, strict=True):
        factor[product, begin : end + 1] = np.minimum(factor[product, begin : end + 1], 1 - off)
    paid = np.maximum(np.rint(goods.base_price[:, None] * level * factor), 1).astype(np.int64)
    return Prices(paid, factor < 1, promoted, first, last, discount)


def price_response(goods: Catalogue, prices: Prices) -> np.ndarray:
    """Return (price / base price) ^ elasticity of each product on each day (products by days)."""
    response: np.ndarray = (prices.paid / goods.base_price[:, None]) ** goods.elasticity[:, None]
    return response


def demand_factors(goods: Catalogue, prices: Prices, start: date) -> np.ndarray:
    """Return demand of each product on each day relative to base price and average season (products by days).

    Log-linear: (price / base price) ^ elasticity times season times lift of the promotion.
    """
    days = prices.paid.shape[1]
    curves = np.array([yearly(SEASONS[one.season], start, days) for one in goods.categories])
    shown = np.where(prices.on_promotion, PROMOTION_LIFT, 1.0)
    factors: np.ndarray = price_response(goods, prices) * curves[goods.category] * shown
    return factors


def promotions_table(goods: Catalogue, prices: Prices, start: date) -> pa.Table:
    """Return the truth about promotions, one row each."""
    return pa.table(
        {
            "promotion_id": [f"promotion-{one + 1}" for one in range(len(prices.promoted))],
            "product_id": [goods.product_id[one] for one in prices.promoted],
            "starts_on": pa.array([start + timedelta(int(one)) for one in prices.first_day], pa.date32()),
            "ends_on": pa.array([start + timedelta(int(one)) for one in prices.last_day], pa.date32()),
            "discount": prices.discount,
            "lift_beyond_price": np.full(len(prices.promoted), PROMOTION_LIFT),
        }
    )


def prices_table(goods: Catalogue, prices: Prices, start: date) -> pa.Table:
    """Return the truth about prices: one row for each product and day from which a price holds."""
    before = np.concatenate((np.zeros((len(goods), 1), dtype=np.int64), prices.paid[:, :-1]), axis=1)
    product, day = np.nonzero(prices.paid != before)
    paid = [Decimal(int(one)).scaleb(-2) for one in prices.paid[product, day]]
    return pa.table(
        {
            "product_id": pa.array(goods.product_id).take(pa.array(product)),
            "valid_from": pa.array([start + timedelta(int(one)) for one in day], pa.date32()),
            "price": pa.array(paid, pa.decimal128(18, 2)),
            "on_promotion": prices.on_promotion[product, day],
        }
    )

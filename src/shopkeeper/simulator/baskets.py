"""What goes into a basket: products by their demand, and bundles that are bought together."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shopkeeper.simulator.catalogue import Catalogue
from shopkeeper.simulator.chance import weighted

PACKS = np.array([1, 2, 3, 4, 6, 8, 10, 12, 24])
PACK_SHARES = np.array([0.3, 0.18, 0.1, 0.08, 0.12, 0.05, 0.04, 0.1, 0.03])


@dataclass(frozen=True)
class Bundles:
    """Products bought together: ``items`` holds two for each bundle, ``chance`` how often an order has the
    bundle.
    """

    items: np.ndarray
    chance: np.ndarray


def bundles(goods: Catalogue, rng: np.random.Generator) -> Bundles:
    """Return one bundle for every 40 products (2 to 25), of products neither rare nor very popular."""
    count = int(np.clip(len(goods) // 40, 2, 25))
    by_weight = np.argsort(goods.weight)
    middle = by_weight[len(goods) // 4 : len(goods) * 9 // 10]
    return Bundles(rng.permutation(middle)[: 2 * count].reshape(count, 2), rng.uniform(0.01, 0.03, count))


@dataclass(frozen=True)
class Lines:
    """Lines of baskets: the order's number, the product and the units of each; an order holds a product
    once.
    """

    order: np.ndarray
    product: np.ndarray
    quantity: np.ndarray


def fill(
    breadth: np.ndarray, size: np.ndarray, demand: np.ndarray, together: Bundles, rng: np.random.Generator
) -> Lines:
    """Return the lines of one day's orders.

    ``breadth``: expected lines of each order on an average day; ``size``: factor on its units; ``demand``:
    weight of each product today. A product's picks in an order are Poisson with mean breadth times demand,
    so its demand follows its price exactly; a second pick of the same product adds to the first one's
    units.
    """
    orders = len(breadth)
    picks = np.maximum(rng.poisson(breadth * demand.sum()), 1)
    order = np.repeat(np.arange(orders), picks)
    product = weighted(demand, len(order), rng)
    has = rng.random((orders, len(together.chance))) < together.chance
    bundled_order, bundle = np.nonzero(has)
    order = np.concatenate((order, np.repeat(bundled_order, 2)))
    product = np.concatenate((product, together.items[bundle].ravel()))
    units = np.ceil(weighted_packs(len(order), rng) * size[order]).astype(np.int64)
    key = order * len(demand) + product
    ranked = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[ranked], prepend=-1))
    quantity = np.add.reduceat(units[ranked], first) if len(first) else units
    kept = key[ranked][first]
    return Lines(kept // len(demand), kept % len(demand), quantity)


def weighted_packs(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return pack sizes as a wholesaler's buyers pick them."""
    packs: np.ndarray = PACKS[weighted(PACK_SHARES, count, rng)]
    return packs


def bundles_table(
    goods: Catalogue, together: Bundles, breadth: np.ndarray, day: np.ndarray, demand: np.ndarray
) -> pa.Table:
    """Return the truth about bundles, one row each, with the expected support and lift over the given
    orders.

    ``breadth`` and ``day`` have one element for each order, ``demand`` is products by days with popularity
    in it. Support is the chance of both items in an order; lift is support / (chance of one times chance of
    the other).
    """
    alone = [np.exp(-breadth * demand[items][:, day]) for items in together.items]
    both, either = [], []
    for (without_one, without_other), chance in zip(alone, together.chance, strict=True):
        both.append(np.mean(chance + (1 - chance) * (1 - without_one) * (1 - without_other)))
        either.append(
            np.mean(1 - (1 - chance) * without_one) * np.mean(1 - (1 - chance) * without_other),
        )
    return pa.table(
        {
            "bundle_id": [f"bundle-{one + 1}" for one in range(len(together.chance))],
            "product_id": [goods.product_id[one] for one in together.items[:, 0]],
            "other_product_id": [goods.product_id[one] for one in together.items[:, 1]],
            "chance_per_order": together.chance,
            "expected_support": np.array(both),
            "expected_lift": np.array(both) / np.array(either),
        }
    )

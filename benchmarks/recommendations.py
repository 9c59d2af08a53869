"""Recommendations for all customers and for one basket of Online Retail, against implicit doing the same.

The peer is implicit's own ALS and its own `recommend`, on the same matrix in the same process; the ALS that is ours must name
the same products. What serves by default is the blend, timed beside it.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from shopkeeper.features import ShopHistory
from shopkeeper.models.blended_recommender import Blend
from shopkeeper.models.matrix_factors import CONFIDENCE, PENALTY, Als
from shopkeeper.models.offer_rules import OfferRules
from shopkeeper.models.purchases import Purchases, purchase_rows
from shopkeeper.warehouse import Warehouse

BASKET = ("85123A", "22423", "47566", "20725")
AGREE = 0.98
TIMES = 50


def measured(warehouse: Warehouse) -> Iterator[tuple[Any, ...]]:
    """Yield (what, seconds, peer, its seconds, target) of a built Online Retail."""
    with warehouse.open() as connection:
        history = ShopHistory(connection)
        moment = history.last_day + timedelta(1)
        rows = purchase_rows(history.sale_lines(), history.session_products(), moment, guests=True)
        prices = pa.table({"product_id": pa.array([], pa.string()), "price": pa.array([], pa.float64())})
        catalogue = OfferRules().catalogue(history.products(), history.stock_days(), prices)
    customers = rows.filter(pc.is_valid(rows["customer_id"]))
    blend, als = (kind().about(catalogue).fit(rows) for kind in (Blend, Als))
    peer, matrix = _implicit(als, customers)
    with threadpool_limits(1):
        ours, mine = _timed(lambda: als.lists(customers, 20).items)
        theirs, (named, _) = _timed(
            lambda: peer.recommend(np.arange(matrix.shape[0]), matrix, 20, recalculate_user=True)
        )
        shared = np.mean(
            [len(set(one) & set(other)) / 20 for one, other in zip(mine.tolist(), named.tolist(), strict=True)]
        )
        if shared < AGREE:
            raise AssertionError(f"both must name the same products; {shared:.3f} are")
        whole, _ = _timed(lambda: blend.lists(customers, 20))
        yield (f"{len(customers):,} lists by ALS, {shared:.1%} the same", ours, "implicit", theirs, "")
        yield (f"{len(customers):,} lists by the blend, with reasons", whole, "implicit's ALS", theirs, "≤ 5 s")
        one = matrix[:1]
        basket = _each(lambda: peer.recommend(0, one, 10, recalculate_user=True))
        yield ("one basket by ALS", _each(lambda: als.for_basket(BASKET)), "implicit", basket, "")
        yield (
            "one basket by the blend",
            _each(lambda: blend.for_basket(BASKET)),
            "implicit's ALS",
            basket,
            "≤ 0.005 s",
        )


def _implicit(als: Als, customers: pa.Table) -> tuple[Any, Any]:
    """Return implicit's model with the factors that ours has, and its matrix."""
    from implicit.cpu.als import AlternatingLeastSquares

    matrix = Purchases.of(customers, als.products).matrix()
    peer = AlternatingLeastSquares(
        factors=als.factors.shape[1], regularization=PENALTY, alpha=CONFIDENCE, num_threads=1
    )
    peer.item_factors = als.factors.astype(np.float32)
    peer.user_factors = np.zeros((matrix.shape[0], als.factors.shape[1]), np.float32)
    return peer, matrix


def _timed(work: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found


def _each(work: Any) -> float:
    work()
    return min(_timed(work)[0] for _ in range(TIMES))


def main(folder: Path) -> None:
    """Print what is measured of a project's warehouse."""
    from shopkeeper.assembly import assemble

    for found in measured(assemble(folder).warehouse):
        print(*found, sep=" | ")


if __name__ == "__main__":
    import sys

    main(Path(sys.argv[1]))

"""How many of a simulated shop's planted bundles stand in the lists of what is bought together.

    python benchmarks/truth_of_bundles.py [--customers N] [--days N] [--seed N]

A bundle is found where each of its two products names the other among the first k of its list. The baseline names the most
popular products beside everything, as lists of best-sellers do. The truth finds all.
"""

import argparse
from datetime import timedelta

import numpy as np
import pyarrow as pa
from truth import CUSTOMERS, DAYS, SEED, Row, simulated

from shopkeeper.features import ShopHistory
from shopkeeper.models.product_lists import together
from shopkeeper.models.purchases import Purchases, purchase_rows
from shopkeeper.models.recommender import buyers_of_late, top_of

FIRST = (1, 3, 10)


def bundles_of(history: ShopHistory, bundles: pa.Table) -> list[Row]:
    """Return (measure, ours, truth's own, baseline) for lists cut at 1, 3 and 10."""
    moment = history.last_day + timedelta(1)
    rows = purchase_rows(history.sale_lines(), history.session_products(), moment, guests=True)
    found = Purchases.of(rows)
    everything = np.ones(found.n_items, bool)
    ours = together(found, everything, max(FIRST)).items
    popular, _ = top_of(buyers_of_late(found, 1e6)[None, :].astype(np.float32), max(FIRST))
    place = {name: at for at, name in enumerate(found.products.tolist())}
    pairs = [
        (place.get(one[here], -1), place.get(one[there], -1))
        for one in bundles.to_pylist()
        for here, there in (("product_id", "other_product_id"), ("other_product_id", "product_id"))
    ]
    told = []
    for k in FIRST:
        hits = [here >= 0 and there in ours[here, :k] for here, there in pairs]
        usual = [there in popular[0, :k] for _, there in pairs]
        told.append(
            (f"bundles: partner among the first {k} bought together", float(np.mean(hits)), 1.0, float(np.mean(usual)))
        )
    return told


def bundles_truth(customers: int = CUSTOMERS, days: int = DAYS, seed: int = SEED) -> list[Row]:
    """Return the rows for the table of truth against estimate."""
    with simulated(customers, days, seed) as (history, truth):
        return bundles_of(history, truth["bundles"])


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    print("| measure | ours | truth's own | baseline |\n|---|---|---|---|")
    for measure, *values in bundles_truth(asked.customers, asked.days, asked.seed):
        print(f"| {measure} | {' | '.join(f'{value:.4g}' for value in values)} |")


if __name__ == "__main__":
    main()

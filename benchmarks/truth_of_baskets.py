"""How near rules and bundles come to the bundles that a simulated shop planted.

    python benchmarks/truth_of_baskets.py [--customers N] [--days N] [--seed N]

The simulator puts pairs of products into orders together, and knows the support and lift to expect. *Ours* are the published
bundles, the first as many as were planted and the first twice as many; the baseline takes the pairs in most baskets.
"""

import argparse
from datetime import timedelta

import numpy as np
from truth import CUSTOMERS, DAYS, SEED, Row, _tell, simulated

from shopkeeper.evaluation import Figure
from shopkeeper.models.baskets import PRIMARY, Baskets


def baskets_truth(*, customers: int = CUSTOMERS, days: int = DAYS, seed: int = SEED) -> list[Row]:
    """Return (measure, ours, truth's own, baseline) of bundles on a simulated shop."""
    with simulated(customers, days, seed) as (history, truth):
        subject = Baskets()
        found = subject.train(history, seed=seed, tell=_tell)
        moment = history.last_day + timedelta(1)
        tables = subject.predict(found.model, history, moment, version="baskets/1")
    planted = {tuple(sorted((row["product_id"], row["other_product_id"]))): row for row in truth["bundles"].to_pylist()}
    bundles = [set(row["products"]) for row in tables["bundles"].to_pylist()]
    pairs = {
        tuple(row["products"]): row
        for row in tables["itemsets"].to_pylist()
        if row["scope"] == "all" and row["n_products"] == 2
    }
    popular = sorted(pairs, key=lambda pair: (-pairs[pair]["n_baskets"], pair))
    told: list[Row] = []
    for times, words in ((1, "as many as planted"), (2, "twice as many")):
        n = times * len(planted)
        ours = np.mean([any(set(pair) <= bundle for bundle in bundles[:n]) for pair in planted])
        theirs = np.mean([pair in popular[:n] for pair in planted])
        told.append(
            (f"{len(planted)} planted bundles, among the first {words}: recall", float(ours), 1.0, float(theirs))
        )
    known = [pair for pair in planted if pair in pairs]
    for measure in ("support", "lift"):
        counted = np.array([pairs[pair][measure] for pair in known])
        expected = np.array([planted[pair][f"expected_{measure}"] for pair in known])
        told.append((f"{measure} of planted bundles: mean", float(counted.mean()), float(expected.mean()), np.nan))
        error = float(np.abs(counted / expected - 1).mean())
        told.append((f"{measure} of planted bundles: mean relative error", error, 0.0, np.nan))
    figures: dict[str, Figure] = {one.name: one.figures[PRIMARY] for one in found.report.candidates}
    ours, theirs = (figures[name].value for name in (found.report.chosen, found.report.baseline))
    told.append((f"completing a basket ({found.report.chosen}): {PRIMARY}", ours, np.nan, theirs))
    return told


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--seed", type=int, default=SEED)
    print("| measure | ours | truth's own | baseline |\n|---|---|---|---|")
    for measure, *values in baskets_truth(**vars(parser.parse_args())):
        print(f"| {measure} | {' | '.join('·' if np.isnan(value) else f'{value:.4g}' for value in values)} |")


if __name__ == "__main__":
    main()

"""How near elasticities come to a simulated shop's own truth.

    python benchmarks/truth_of_prices.py [--preset us_retail] [--customers N] [--days N] [--seed N]

The simulator knows each product's elasticity and the price of every day. *Truth's own* estimate knows, of what no
shop knows, when prices changed, each category's mean elasticity and the spread about it, and the season; of demand
it has only the sales: the posterior mean of each product's elasticity. No estimate from sales can be expected to
beat it. The baseline is one elasticity for all.
"""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
from simulated import built

from shopkeeper.features import ShopHistory
from shopkeeper.models.elasticity import PartialPooling, PooledResponse
from shopkeeper.models.price_channels import sold_lines
from shopkeeper.models.prices import OWN_THIRD, Prices
from shopkeeper.simulator import simulate
from shopkeeper.simulator.catalogue import SEASONS
from shopkeeper.simulator.seasons import yearly

SHOPS = (("us_retail", 40_000, 365, 5), ("uci_online_retail", 1500, 400, 7))
EPOCH = date(1970, 1, 1)
LEAST_MEASURED = 30
SPREAD = 0.3
"""Standard deviation of elasticities within a category, which the simulator draws with."""
Row = tuple[str, float, float, float]


@contextmanager
def simulated(
    preset: str, customers: int, days: int, seed: int
) -> Iterator[tuple[ShopHistory, Mapping[str, pa.Table], date]]:
    """Build a simulated shop's warehouse, with its dirt, in a temporary folder; hand out its history, truth and
    first day.
    """
    shop = simulate(preset, customers=customers, days=days, seed=seed)
    with built(shop, dirt=True) as history:
        yield history, shop.truth(), shop.start


def best(history: ShopHistory, truth: Mapping[str, pa.Table], start: date) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the codes of products whose price moved, the truth's own estimate of their elasticities, and the true ones.

    Poisson on days with the true price path and season, the shop's own busyness, a known lift of promotions, and a
    normal prior of each category's true mean.
    """
    lines = sold_lines(history.sale_lines())
    known = truth["products"].to_pylist()
    place = {row["product_id"].upper(): number for number, row in enumerate(known)}
    days = truth["calendar"].num_rows
    first = (start - EPOCH).days
    code = np.array([place.get(name, -1) for name in lines.product_ids.tolist()])[lines.product]
    is_goods = (code >= 0) & (lines.day >= first) & (lines.day < first + days)
    sold = np.zeros((len(known), days))
    np.add.at(sold, (code[is_goods], lines.day[is_goods] - first), 1)
    if "stock_outs" in truth:
        for row in truth["stock_outs"].to_pylist():
            sold[place[row["product_id"].upper()], (row["out_on"] - start).days] += row["lost_transactions"]
    price, shown = np.ones((len(known), days)), np.zeros((len(known), days))
    for row in sorted(truth["prices"].to_pylist(), key=lambda row: row["valid_from"]):
        at = max((row["valid_from"] - start).days, 0)
        price[place[row["product_id"].upper()], at:] = float(row["price"])
        shown[place[row["product_id"].upper()], at:] = row["on_promotion"]
    curves = {name: yearly(months, start, days) for name, months in SEASONS.items()}
    season = np.array([curves[row["season_class"]] for row in known])
    expected = (sold.sum(axis=0) - sold + 1e-9) * season * np.exp(np.log(1.2) * shown)
    true = np.array([row["price_elasticity"] for row in known])
    category = np.array([row["category"] for row in known])
    mean = np.array([true[category == each].mean() for each in category])
    found, x = mean.copy(), np.log(price)
    for _ in range(20):
        rate = expected * np.exp(found[:, None] * x)
        rate *= (sold.sum(axis=1) / np.maximum(rate.sum(axis=1), 1e-300))[:, None]
        centred = x - ((rate * x).sum(axis=1) / np.maximum(rate.sum(axis=1), 1e-300))[:, None]
        score = ((sold - rate) * centred).sum(axis=1) - (found - mean) / SPREAD**2
        found = found + score / ((rate * centred**2).sum(axis=1) + 1 / SPREAD**2)
    moved = np.ptp(price, axis=1) > 0
    names = np.array([row["product_id"].upper() for row in known])
    return names[moved], found[moved], true[moved]


@cache
def prices_of(preset: str, customers: int, days: int, seed: int) -> tuple[Row, ...]:
    """Return (measure, ours, truth's own, one elasticity for all) of a simulated shop, as loaded with its dirt."""
    with simulated(preset, customers, days, seed) as (history, truth, start):
        rows = Prices().read(history, history.last_day + timedelta(1)).panel.rows
        ours, one = PartialPooling().fit(rows), PooledResponse().fit(rows)
        names, own, true = best(history, truth, start)
    at = {name: number for number, name in enumerate(names.tolist())}
    place = np.array([at.get(name, -1) for name in ours.keys[0].tolist()])
    is_true = place >= 0
    place, found = place[is_true], ours.found
    truth_here, own_here = true[place], own[place]
    errors = {
        "": found.elasticity[is_true] - truth_here,
        "best": own_here - truth_here,
        "one": one.found.elasticity[is_true] - truth_here,
    }
    measured = found.share[is_true] >= OWN_THIRD
    inside = np.abs(errors[""]) <= 1.96 * found.sd[is_true]
    what = f"elasticities of {preset}"
    told: list[Row] = [
        (f"{what}, {len(place):,} products: mean error", *(float(each.mean()) for each in errors.values())),
        (f"{what}: mean absolute error", *(float(np.abs(each).mean()) for each in errors.values())),
        (f"{what}: truth within the 95 % interval", float(inside.mean()), np.nan, np.nan),
    ]
    if measured.sum() >= LEAST_MEASURED:
        some = [float(np.abs(each[measured]).mean()) for each in errors.values()]
        told.append((f"{what}, the {int(measured.sum()):,} measured: mean absolute error", *some))
        told.append(
            (f"{what}, the measured: truth within the interval", float(inside[measured].mean()), np.nan, np.nan)
        )
    return tuple(told)


def prices_truth() -> list[Row]:
    """Return the rows of all shops of this table."""
    return [row for shop in SHOPS for row in prices_of(*shop)]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default=SHOPS[0][0])
    parser.add_argument("--customers", type=int, default=SHOPS[0][1])
    parser.add_argument("--days", type=int, default=SHOPS[0][2])
    parser.add_argument("--seed", type=int, default=SHOPS[0][3])
    told = parser.parse_args()
    print("| measure | ours | truth's own | one for all |\n|---|---|---|---|")
    for measure, *values in prices_of(told.preset, told.customers, told.days, told.seed):
        print(f"| {measure} | {' | '.join(f'{value:.4g}' for value in values)} |")


if __name__ == "__main__":
    main()

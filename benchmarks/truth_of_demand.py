"""How near forecasts of demand come to a simulated shop's own truth.

    python benchmarks/truth_of_demand.py

A chain of stores (``us_retail``): the simulator knows each shelf's rate of selling, how busy each day is, and what was lost
where a shelf was empty. *Truth's own* forecast is the true rate x the day's true busyness x the true answer to the prices,
promotions and season of the days ahead: no forecast can be expected to beat it by more than chance. The baseline is the
seasonal naive.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import numpy as np
from simulated import built

from shopkeeper.evaluation import METRICS
from shopkeeper.features import ShopHistory
from shopkeeper.models.demand import Demand
from shopkeeper.models.demand_backtest import Period, forecast_of
from shopkeeper.models.demand_model import SeasonalNaive
from shopkeeper.models.demand_series import PRODUCT, TOTAL, series_of
from shopkeeper.simulator import simulate

CUSTOMERS, DAYS, SEED = 4000, 180, 5
HORIZON = 28
Row = tuple[str, float, float, float]
"""A measure, ours, truth's own, the baseline's."""


@contextmanager
def simulated(customers: int, days: int, seed: int) -> Iterator[tuple[ShopHistory, Mapping[str, Any]]]:
    """Build a clean simulated chain's warehouse in a temporary folder; hand out its history and its truth."""
    chain = simulate("us_retail", customers=customers, days=days, seed=seed)
    with built(chain) as history:
        yield history, {**chain.truth(dirt=False), "response": chain.response}


def demand_of(history: ShopHistory, truth: Mapping[str, Any], seed: int) -> list[Row]:
    """Compare forecasts of the last 28 days, made before them, with the truth's own."""
    subject = Demand(horizon_days=HORIZON, country="United States")
    end = history.last_day + timedelta(1)
    moment = end - timedelta(HORIZON)
    series = series_of(history, end, "United States")
    period = Period(series, moment, HORIZON)
    _, seen, rows = period.origins[0]
    found = subject.train(history, seed=seed, tell=_tell)
    # The evaluated recipe was fitted before the held-out days, which are these.
    naive = SeasonalNaive(horizon_days=HORIZON).fit(rows)
    ours, theirs = forecast_of(found.evaluated, seen, rows), forecast_of(naive, seen, rows)
    actual = period.truth(moment)
    best = _true_demand(truth, seen.key[seen.level == PRODUCT], moment)
    total, products = int(np.flatnonzero(seen.level == TOTAL)[0]), seen.level == PRODUCT

    def of(metric: str, told: np.ndarray, came: np.ndarray) -> float:
        return METRICS[metric].compute(came.ravel(), told.ravel())

    def weeks(values: np.ndarray) -> np.ndarray:
        return values.reshape(len(values), HORIZON // 7, 7).sum(axis=2)

    came, came_of = actual[total], actual[products]
    return [
        (
            "total, each day of 28: wape against what sold",
            *(of("wape", told, came) for told in (ours.units[total], best.sum(axis=0), theirs.units[total])),
        ),
        (
            "products, each week of 4: wape against what sold",
            *(of("wape", weeks(t), weeks(came_of)) for t in (ours.units[products], best, theirs.units[products])),
        ),
        (
            "products, 28 days: wape against true expected demand",
            *(
                of("wape", t.sum(axis=1), best.sum(axis=1))
                for t in (ours.units[products], best, theirs.units[products])
            ),
        ),
        (
            "all demand of 28 days, out of stock or not: bias against true expected demand",
            *(float(t.sum() / best.sum() - 1) for t in (ours.units[total], best, theirs.units[total])),
        ),
    ]


def _true_demand(truth: Mapping[str, Any], products: np.ndarray, moment: date) -> np.ndarray:
    """Return the true expected units of each product on each day from a moment on."""
    rate: dict[str, float] = {}
    for row in truth["shelves"].select(["product_id", "units_per_day"]).to_pylist():
        rate[row["product_id"]] = rate.get(row["product_id"], 0.0) + row["units_per_day"]
    calendar = truth["calendar"].to_pylist()
    factors = np.array([row["demand_factor"] for row in calendar])
    start = next(place for place, row in enumerate(calendar) if row["day_on"] == moment)
    place = {row["product_id"]: number for number, row in enumerate(truth["products"].to_pylist())}
    ahead = slice(start, start + HORIZON)
    answer = truth["response"][[place[one] for one in products]][:, ahead]
    return np.array([rate.get(one, 0.0) for one in products])[:, None] * answer * factors[ahead]


def demand_truth(*, customers: int = CUSTOMERS, days: int = DAYS, seed: int = SEED) -> list[Row]:
    """Return (measure, ours, truth's own, baseline) of demand on a simulated chain of stores."""
    with simulated(customers, days, seed) as (history, truth):
        return demand_of(history, truth, seed)


def _tell(step: str, what: str, done: int, total: int | None) -> None:
    print(f"{step}: {what} ({done} of {total})", file=sys.stderr)


if __name__ == "__main__":
    print("| measure | ours | truth's own | baseline |\n|---|---|---|---|")
    for measure, *values in demand_truth():
        print(f"| {measure} | {' | '.join(f'{value:.4g}' for value in values)} |")

"""How near churn and lifetime values come to a simulated shop's own truth.

    python benchmarks/truth.py [--customers N] [--days N] [--seed N]

The simulator knows what no shop knows: each customer's rate of ordering, hazard of leaving, level of spending, the busyness
of each day, and who was written to. *Truth's own* score uses all of that and the customer's orders before the moment, and
nothing after it: no score that keeps to the past can be expected to beat it. For churn a second, nearer mark is given: the
truth's *population*, which knows how rates and hazards are spread over all customers, the calendar and the campaigns, but of
a customer only the orders, as a shop does. That is the best that orders alone allow.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cache

import numpy as np
import pyarrow as pa
from simulated import built

from shopkeeper.evaluation import METRICS
from shopkeeper.features import ShopHistory
from shopkeeper.models.churn import PRIMARY, Churn, _read
from shopkeeper.models.customer_rows import aligned, buyers, numbers
from shopkeeper.models.customer_silence import IS_CHURNED
from shopkeeper.models.lifetime import Lifetime
from shopkeeper.simulator import simulate

CUSTOMERS, DAYS, SEED = 1500, 400, 7
Row = tuple[str, float, float, float]
"""A measure, ours, truth's own, the baseline's."""


@dataclass(frozen=True)
class Known:
    """What the truth knows of customers at a moment, in the order handed in; order days are expected over a horizon."""

    alive: np.ndarray
    silent: np.ndarray
    order_days: np.ndarray
    value: np.ndarray


def known(
    truth: Mapping[str, pa.Table], order_days: pa.Table, customers: Sequence[str], moment: date, horizon: int
) -> Known:
    """Return what the truth says of customers with an order before a moment, given those orders.

    Day by day from a customer's last order on, as the simulator lives them: an order with the day's rate (rate * demand *
    campaigns that reached the customer), then perhaps the end (hazard). Alive at the moment is by Bayes: silent so far
    because of chance, or because of the end. An order's value is the customer's spending level * the mean of the segment.
    """
    people = {row["customer_id"]: row for row in truth["customers"].to_pylist()}
    calendar = truth["calendar"].to_pylist()
    start = calendar[0]["day_on"]
    at, end = (moment - start).days, (moment - start).days + horizon
    rate = np.array([people[who]["orders_per_day"] for who in customers])
    stay = np.exp(-np.array([people[who]["death_hazard_per_day"] for who in customers]))
    daily = (
        rate[:, None] * np.array([row["demand_factor"] for row in calendar[:end]]) * _campaigns(truth, customers, end)
    )
    last = {}
    for row in order_days.to_pylist():
        if row["ordered_on"] < moment:
            last[row["customer_id"]] = max(last.get(row["customer_id"], -1), (row["ordered_on"] - start).days)
    since = np.array([last[who] for who in customers])
    alive, gone = np.ones(len(customers)), np.zeros(len(customers))
    for day in range(at):
        counts = day > since
        gone = np.where(counts, gone + alive * (1 - stay), gone)
        alive = np.where(counts, alive * stay * np.exp(-daily[:, day]), alive)
    alive = alive / (alive + gone)
    here, found = alive.copy(), np.zeros(len(customers))
    silent_here, silent_gone = alive.copy(), 1 - alive
    for day in range(at, end):
        silent_gone += silent_here * (1 - stay)
        silent_here *= stay * np.exp(-daily[:, day])
        here *= stay
        found += here * -np.expm1(-daily[:, day])
    return Known(alive, silent_here + silent_gone, found, found * _value_per_order_day(people, order_days, customers))


def silent_by_population(
    truth: Mapping[str, pa.Table], order_days: pa.Table, customers: Sequence[str], moment: date, horizon: int
) -> np.ndarray:
    """Return P(no order within the horizon) of somebody drawn from the truth's population, given the customer's orders.

    Bayes over all true pairs of rate and hazard, each as likely as any other before the customer's orders are seen.
    """
    calendar = truth["calendar"].to_pylist()
    at = (moment - calendar[0]["day_on"]).days
    demand = np.array([row["demand_factor"] for row in calendar[: at + horizon]])
    exposure = np.cumsum(demand * _campaigns(truth, customers, at + horizon), axis=1)
    rate, hazard = (truth["customers"][name].to_numpy() for name in ("orders_per_day", "death_hazard_per_day"))
    rate = np.maximum(rate, 1e-9)
    orders: dict[str, list[tuple[int, int]]] = {}
    for row in order_days.to_pylist():
        if row["ordered_on"] < moment:
            day = (row["ordered_on"] - calendar[0]["day_on"]).days
            orders.setdefault(row["customer_id"], []).append((day, row["n_orders"]))
    found = np.empty(len(customers))
    for number, who in enumerate(customers):
        days = sorted(orders[who])
        first, last, repeats = days[0][0], days[-1][0], sum(count for _, count in days) - 1
        busy = exposure[number] - exposure[number, first]
        log_weight = repeats * np.log(rate)
        weight = np.exp(log_weight - log_weight.max())
        # Rows: the last day alive; columns: pairs. Without an order after ``last`` the end may lie on any day since.
        ends = np.arange(last, at + horizon - 1)[:, None]
        dead = -np.expm1(-hazard) * np.exp(-hazard * (ends - first) - rate * busy[ends[:, 0]][:, None])
        lasts = np.exp(-hazard * (np.array([[at - 1], [at + horizon - 1]]) - first))
        lasts *= np.exp(-rate * busy[[at - 1, at + horizon - 1]][:, None])
        is_before = ends[:, 0] < at - 1
        seen = weight @ (dead[is_before].sum(axis=0) + lasts[0])
        found[number] = weight @ (dead.sum(axis=0) + lasts[1]) / seen
    return found


def _campaigns(truth: Mapping[str, pa.Table], customers: Sequence[str], days: int) -> np.ndarray:
    """Return the factor of campaigns on each customer's rate, by day."""
    place = {who: number for number, who in enumerate(customers)}
    start = truth["calendar"]["day_on"][0].as_py()
    reached: dict[str, list[int]] = {}
    for row in truth["exposures"].to_pylist():
        if row["arm"] == "email" and row["customer_id"] in place:
            reached.setdefault(row["campaign_id"], []).append(place[row["customer_id"]])
    factor = np.ones((len(customers), days))
    for row in truth["campaigns"].to_pylist():
        first, last = (row["works_from"] - start).days, (row["works_until"] - start).days
        rows = np.array(reached.get(row["campaign_id"], []), np.int64)
        factor[rows, first : last + 1] *= 1 + row["uplift"]
    return factor


def _value_per_order_day(people: Mapping[str, dict], order_days: pa.Table, customers: Sequence[str]) -> np.ndarray:
    spent: dict[str, float] = {}
    weight: dict[str, float] = {}
    for row in order_days.to_pylist():
        person = people.get(row["customer_id"])
        if person:
            spent[person["segment"]] = spent.get(person["segment"], 0.0) + row["net_sales"]
            weight[person["segment"]] = weight.get(person["segment"], 0.0) + person["spend_level"]
    return np.array(
        [
            people[who]["spend_level"] * spent[people[who]["segment"]] / weight[people[who]["segment"]]
            for who in customers
        ]
    )


@contextmanager
def simulated(customers: int, days: int, seed: int) -> Iterator[tuple[ShopHistory, Mapping[str, pa.Table]]]:
    """Build a clean simulated shop's warehouse in a temporary folder; hand out its history and its truth."""
    shop = simulate("uci_online_retail", customers=customers, days=days, seed=seed)
    with built(shop) as history:
        yield history, shop.truth(dirt=False)


def _tell(step: str, what: str, done: int, total: int | None) -> None:
    print(f"{step}: {what} ({done} of {total})", file=sys.stderr)


def churn_of(history: ShopHistory, truth: Mapping[str, pa.Table], seed: int) -> list[Row]:
    """Compare the chosen model of churn with the truth's own chance of silence, on the held-out period."""
    found = Churn().train(history, seed=seed, tell=_tell)
    horizon, moment = found.report.facts["horizon_days"], found.report.held_out[0]
    rows = _read(history, horizon).held_out
    actual = numbers(rows, IS_CHURNED)
    who, order_days = rows["customer_id"].to_pylist(), history.order_days()
    marks = {
        "": known(truth, order_days, who, moment, horizon).silent,
        ", truth's population": silent_by_population(truth, order_days, who, moment, horizon),
    }
    figures = {candidate.name: candidate.figures for candidate in found.report.candidates}
    return [
        (
            f"churn within {horizon} days ({found.report.chosen}): {metric}{mark}",
            figures[found.report.chosen][metric].value,
            METRICS[metric].compute(actual, np.clip(chance, 0.0, 1.0)),
            figures[found.report.baseline][metric].value,
        )
        for mark, chance in marks.items()
        for metric in ("roc_auc", PRIMARY, "brier", "calibration_error")
    ]


def lifetime_of(history: ShopHistory, truth: Mapping[str, pa.Table], seed: int) -> list[Row]:
    """Compare the chosen model of lifetime value with the truth's own expectations, on the held-out period."""
    found = Lifetime().train(history, seed=seed, tell=_tell)
    moment, days = found.report.held_out[0], found.report.facts["held_out_days"]
    rows = buyers(history.features([moment]))
    outcomes = history.outcomes([moment], days)
    who = rows["customer_id"].to_pylist()
    best = known(truth, history.order_days(), who, moment, days)
    ours, past = found.evaluated.score(rows), found.baseline.variant(horizon_days=days).score(rows)
    ordered = aligned(rows, outcomes, "n_order_days_ahead")
    value = np.maximum(aligned(rows, outcomes, "net_sales_ahead"), 0.0)
    died = dict(zip(*(truth["customers"][name].to_pylist() for name in ("customer_id", "died_on")), strict=True))
    lives = np.array([died[name] >= moment for name in who], np.float64)
    silence = numbers(rows, "days_since_last_order")
    told = [
        (
            f"alive on {moment} ({found.report.chosen}; baseline: recency): roc_auc",
            *(METRICS["roc_auc"].compute(lives, score) for score in (numbers(ours, "p_alive"), best.alive, -silence)),
        )
    ]
    for metric in ("rmse", "bias"):
        scores = (numbers(ours, "expected_order_days"), best.order_days, numbers(past, "expected_order_days"))
        told.append((f"order days of {days} days: {metric}", *(METRICS[metric].compute(ordered, s) for s in scores)))
    for metric in ("mean_tweedie_deviance", "rmse", "bias"):
        scores = (numbers(ours, "expected_value"), best.value, numbers(past, "expected_value"))
        least = max(0.01 * float(scores[2].mean()), 1e-9)
        told.append(
            (
                f"value of {days} days: {metric}",
                *(METRICS[metric].compute(value, np.maximum(s, least)) for s in scores),
            )
        )
    return told


@cache
def _both(customers: int, days: int, seed: int) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    with simulated(customers, days, seed) as (history, truth):
        return tuple(churn_of(history, truth, seed)), tuple(lifetime_of(history, truth, seed))


def churn_truth(*, customers: int = CUSTOMERS, days: int = DAYS, seed: int = SEED) -> list[Row]:
    """Return (measure, ours, truth's own, baseline) of churn on a simulated shop; built once for both."""
    return list(_both(customers, days, seed)[0])


def lifetime_truth(*, customers: int = CUSTOMERS, days: int = DAYS, seed: int = SEED) -> list[Row]:
    """Return (measure, ours, truth's own, baseline) of lifetime values on a simulated shop; built once for both."""
    return list(_both(customers, days, seed)[1])


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--seed", type=int, default=SEED)
    told = vars(parser.parse_args())
    print("| measure | ours | truth's own | baseline |\n|---|---|---|---|")
    for measure, *values in (*churn_truth(**told), *lifetime_truth(**told)):
        print(f"| {measure} | {' | '.join(f'{value:.4g}' for value in values)} |")


if __name__ == "__main__":
    main()

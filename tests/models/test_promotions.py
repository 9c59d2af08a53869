"""Promotions and prices known ahead: what they touch, what the shop's own past says they do, and what is forecast of them."""

import importlib.util
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shopkeeper.models.demand import Demand
from shopkeeper.models.demand_methods import Past
from shopkeeper.models.demand_series import series_of
from shopkeeper.models.promotions import FIRST_GUESS, Plan, Response, response_of

SPEC = importlib.util.spec_from_file_location("sold_in_memory", Path(__file__).parent / "sold_in_memory.py")
memory = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(memory)
START, SoldInMemory, lines_of = memory.START, memory.SoldInMemory, memory.lines_of
DAYS = 60
HORIZON = 14


def steady(days: int = DAYS) -> list[tuple]:
    """A shop of three products: a (3 units a day in store s0, 1 in s1) and b (4 in s0) of category A, c (8 in s1) of B."""
    return [
        (day, product, units, 10.0, store, category)
        for day in range(days)
        for product, units, store, category in (
            *(("a", 3.0, "s0", "A"), ("a", 1.0, "s1", "A")),
            *(("b", 4.0, "s0", "A"), ("c", 8.0, "s1", "B")),
        )
    ]


def planned(*promotions: dict, days: int = DAYS) -> dict[tuple[str, str], tuple[float, float]]:
    """Share and price of the first day ahead of each series that a promotion touches."""
    history = SoldInMemory(lines_of(steady(days)), promotions=memory.promotions(promotions))
    series = series_of(history, START + timedelta(days))
    plan = series.promotions.plan(series.level, series.key, series.calendar.first, series.calendar.end, HORIZON)
    at = np.flatnonzero(plan.share[:, days])
    return {
        (str(series.level[one]), str(series.key[one])): (
            round(float(plan.share[one, days]), 6),
            round(float(plan.price[one, days]), 6),
        )
        for one in at
    }


NOW = {"first": DAYS, "last": DAYS}


def test_a_promotion_counts_by_what_it_sells() -> None:
    """20 % off a: all of a, half of category A, a quarter of the shop, 3 of 7 units in s0 and 1 of 9 in s1."""
    assert planned({"level": "product", "member": "a", "discount_share": 0.2, **NOW}) == {
        ("total", "all"): (0.25, 0.8),
        ("store", "s0"): (round(3 / 7, 6), 0.8),
        ("store", "s1"): (round(1 / 9, 6), 0.8),
        ("category", "A"): (0.5, 0.8),
        ("product", "a"): (1.0, 0.8),
    }


def test_the_most_specific_promotion_counts() -> None:
    """All is 10 % off, category A 20 %, a 30 % and 40 % in s1; of two for b the lower price counts."""
    found = planned(
        {"level": "shop", "member": "all", "discount_share": 0.1, **NOW},
        {"level": "product", "member": "a", "discount_share": 0.3, **NOW},
        {"level": "category", "member": "A", "discount_share": 0.2, **NOW},
        {"level": "product", "member": "a", "store_id": "s1", "discount_share": 0.4, **NOW},
        {"level": "product", "member": "b", "discount_share": 0.25, **NOW},
        {"level": "product", "member": "b", "discount_share": 0.15, **NOW},
    )
    assert found["product", "a"] == (1.0, round(0.7**0.75 * 0.6**0.25, 6))
    assert found["product", "b"] == (1.0, 0.75)
    assert found["product", "c"] == (1.0, 0.9)


def test_a_price_is_held_against_what_lines_paid() -> None:
    """Lines paid 10: a price of 8 is .8 of the usual one; it needs no discount."""
    assert planned({"level": "product", "member": "c", "unit_price": 8.0, **NOW})["product", "c"] == (1.0, 0.8)


@pytest.mark.parametrize(
    ("promotion", "known"),
    [
        ({"announced_on": START + timedelta(DAYS - 1)}, True),
        ({"announced_on": START + timedelta(DAYS)}, False),
        ({"announced_on": None}, True),
        ({"member": "nobody sells this"}, False),
        ({"first": DAYS + HORIZON, "last": DAYS + HORIZON + 3}, False),
    ],
)
def test_only_what_was_known_and_concerns_the_days_ahead_counts(promotion: dict, known: bool) -> None:
    """A moment knows what was announced on the days before it."""
    given = {"level": "product", "member": "a", "discount_share": 0.2, **NOW, **promotion}
    assert bool(planned(given)) is known


def test_promotions_in_any_order_give_the_same_plan() -> None:
    """Two promotions of one product and one of its category, either way around."""
    some = [
        {"level": "product", "member": "a", "discount_share": 0.2, "promotion_id": "x", **NOW},
        {"level": "category", "member": "A", "discount_share": 0.5, "promotion_id": "y", **NOW},
        {"level": "product", "member": "a", "unit_price": 9.0, "promotion_id": "z", **NOW},
    ]
    assert planned(*some) == planned(*reversed(some))


def test_lift_is_that_of_the_share_which_is_promoted() -> None:
    """Half the units at half price with an elasticity of -2 and 1.1 beyond it: 1 + .5 (4 x 1.1 - 1)."""
    response = Response(-2.0, float(np.log(1.1)))
    plan = Plan(np.array([[0.0, 0.5, 1.0]]), np.array([[1.0, 0.5, 0.5]]))
    assert response.lift(plan)[0].tolist() == pytest.approx([1.0, 2.7, 4.4])


def past_with(elasticity: float, beyond: float, seed: int = 3) -> tuple[Past, Plan]:
    """200 products over 140 days with a promotion of ten days each at 10 to 40 % off, and what they sold."""
    rng = np.random.default_rng(seed)
    n, days = 200, 140
    share, price = np.zeros((n, days)), np.ones((n, days))
    for row, first in enumerate(rng.integers(30, 110, n)):
        share[row, first : first + 10] = 1.0
        price[row, first : first + 10] = 1 - rng.choice([0.1, 0.2, 0.3, 0.4])
    weekday = np.arange(days) % 7
    base = rng.gamma(2, 1.5, n)[:, None] * np.array([0.8, 0.9, 1, 1.1, 1.4, 1.2, 0.6])[weekday]
    units = rng.poisson(base * np.where(share > 0, price**elasticity * beyond, 1.0)).astype(float)
    return Past(units, weekday, weekday[:0]), Plan(share, price)


@pytest.mark.parametrize(("elasticity", "beyond"), [(-2.0, 1.3), (-1.0, 1.0), (-3.0, 1.1)])
def test_the_shops_own_promotions_tell_what_they_do(elasticity: float, beyond: float) -> None:
    """Planted responses come back from Poisson sales, whatever the first guess was."""
    past, plan = past_with(elasticity, beyond)
    found = response_of(past, plan)
    assert found.elasticity == pytest.approx(elasticity, abs=0.2)
    assert np.exp(found.beyond_price) == pytest.approx(beyond, abs=0.08)
    assert found.n_days == 2000


def test_without_a_past_promotion_the_published_elasticity_stands() -> None:
    """Nothing was promoted: the first guess, and it says that no day taught it."""
    past, plan = past_with(-2.0, 1.0)
    found = response_of(past, Plan(np.zeros_like(plan.share), np.ones_like(plan.price)))
    assert (found.elasticity, found.beyond_price, found.n_days) == (*FIRST_GUESS, 0)


def promoted_shop() -> SoldInMemory:
    """A shop that sells twice as much of everything in one week of five, and has planned the next such week."""
    sale = {"level": "shop", "member": "all", "discount_share": 0.3}
    weeks = [{**sale, "first": one, "last": one + 6} for one in range(35, 245, 35)]
    during = {day for week in weeks for day in range(week["first"], week["last"] + 1)}
    rows = [(*row[:2], row[2] * (2 if row[0] in during else 1), *row[3:]) for row in memory.shop(210)]
    return SoldInMemory(lines_of(rows), promotions=memory.promotions(weeks))


def test_a_planned_promotion_lifts_the_forecast_and_the_report_says_by_how_much() -> None:
    """The days of the planned week are forecast at about twice the others, and the error on promoted days is smaller."""
    history = promoted_shop()
    subject = Demand(horizon_days=14)
    trained = subject.train(history, tell=lambda *_: None)
    seen = trained.report.facts["promotions"]
    assert seen["error_ratio"] < 0.9
    assert seen["n_promoted_days"] > 100
    assert any("Promotions known ahead count" in note for note in trained.report.notes)
    found = subject.predict(trained.model, history, history.last_day + timedelta(1), version="demand/1")
    rows = found["demand_forecasts"].to_pylist()
    total = [row for row in rows if row["level"] == "total" and row["frequency"] == "daily"]
    first = history.last_day + timedelta(1)
    lifts = {(row["day"] - first).days: row["lift"] for row in total}
    assert all(lift == pytest.approx(2.0, abs=0.15) for day, lift in lifts.items() if day < 7)
    assert all(lift == 1.0 for day, lift in lifts.items() if day >= 7)
    weeks = [row["units"] for row in rows if row["level"] == "total" and row["frequency"] == "weekly"]
    assert weeks[0] == pytest.approx(2 * weeks[1], rel=0.15)


def test_what_is_announced_later_changes_nothing() -> None:
    """A promotion that is announced on the moment leaves the forecast as it was."""
    history = promoted_shop()
    subject, moment = Demand(horizon_days=14), history.last_day + timedelta(1)
    model = subject.train(history, tell=lambda *_: None).model
    week = {"level": "category", "member": "A", "discount_share": 0.5, "first": 210, "last": 216}
    late = memory.promotions([{**week, "announced_on": moment, "promotion_id": "late"}])
    more = SoldInMemory(history.lines, promotions=pa.concat_tables([history.planned, late]))
    before, after = (subject.predict(model, one, moment, version="demand/1") for one in (history, more))
    assert before["demand_forecasts"].equals(after["demand_forecasts"])


def test_promotions_of_what_nobody_bought_are_counted() -> None:
    """A category that is spelt otherwise, and a product without a sale: two of three do nothing, and a note says so."""
    some = [
        {"level": "category", "member": "a"},
        {"level": "product", "member": "zz"},
        {"level": "product", "member": "a"},
    ]
    plan = memory.promotions([{**each, "discount_share": 0.2, **NOW} for each in some])
    series = series_of(SoldInMemory(lines_of(steady()), promotions=plan), START + timedelta(DAYS))
    assert any(note.startswith("2 of 3 promotions are for a product") for note in series.notes)


def test_promotions_that_cannot_be_used_are_counted_in_the_report() -> None:
    """One that takes everything off: a note, and no promotion in the model."""
    wrong = memory.promotions([{"level": "shop", "member": "all", "discount_share": 1.0, "is_usable": False, **NOW}])
    history = SoldInMemory(lines_of(memory.shop(150, 6)), promotions=wrong)
    report = Demand(horizon_days=14).train(history, tell=lambda *_: None).report
    assert any(note.startswith("Left out of the promotions: 1 that") for note in report.notes)
    assert "promotions" not in report.facts

"""Exhibits of customers, segments, products, prices and demand answer as counted by hand over tables of a few rows."""

import json
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from shopkeeper.serving.exhibits import Exhibit, Filter, Shown, customers, demand, prices, products, reports, segments
from shopkeeper.serving.exhibits.exhibit import text_of
from shopkeeper.serving.exhibits.projection import projected
from shopkeeper.serving.exhibits.relations import relations

YEAR = Filter(date(2024, 1, 1), date(2024, 12, 31))
FRANCE = Filter(YEAR.first_day, YEAR.last_day, countries=("France",))
AS_OF = date(2024, 5, 1)
Tables = dict[str, list[dict[str, Any]]]


class Shop:
    """A version of hand-written tables."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def hold(self, tables: Tables) -> None:
        """Make the tables."""
        for name, rows in tables.items():
            self.connection.register("rows", pa.Table.from_pylist(rows))
            self.connection.execute(f"create schema if not exists {name.split('.')[0]}")
            self.connection.execute(f"create table {name} as select * from rows")
            self.connection.unregister("rows")

    def ask(self, exhibit: Exhibit, chosen: Filter = YEAR, **values: Any) -> list[dict[str, Any]]:
        """Return an exhibit's rows; its columns are those that it declares."""
        obeyed = chosen.only(exhibit.obeys)
        texts = {name: text_of(value) for name, value in values.items()}
        texts |= {"first_day": text_of(obeyed.first_day), "last_day": text_of(obeyed.last_day)}
        texts |= relations(obeyed, has_state=False, excludes_duplicates=False)
        table = self.connection.execute(exhibit.filled(texts)).to_arrow_table()
        assert table.column_names == list(exhibit.units), exhibit.name
        found: list[dict[str, Any]] = table.to_pylist()
        return found


@pytest.fixture
def shop() -> Iterator[Shop]:
    """An empty version."""
    with duckdb.connect() as connection:
        yield Shop(connection)


def line(customer: str, day: date, quantity: int = 1, country: str = "Germany", **more: Any) -> dict[str, Any]:
    """A sold line."""
    told = {"customer_id": customer, "ordered_on": day, "quantity": Decimal(quantity), "country": country}
    return (
        told
        | {"store_id": None, "category": None, "product_id": "P1", "line_kind": "sale", "is_duplicate": False}
        | more
    )


def value(customer: str, lifetime_value: float) -> dict[str, Any]:
    """A lifetime value."""
    told = {"customer_id": customer, "as_of": AS_OF, "horizon_days": 365, "expected_order_days": 4.0}
    return told | {"lifetime_value": lifetime_value, "value_low": 0.0, "value_high": 2 * lifetime_value}


def chance(customer: str, probability: float, at_risk: float | None) -> dict[str, Any]:
    """A chance to leave."""
    told = {"customer_id": customer, "horizon_days": 112, "churn_probability": probability, "value_at_risk": at_risk}
    told |= {"probability_low": 0.0, "probability_high": 1.0, "expected_next_order_on": AS_OF, "reasons": "none"}
    return told


def feature(customer: str, net_sales: float, n_orders: int = 1, days: int | None = 10) -> dict[str, Any]:
    """What is known of a customer; whatever segments are told apart by."""
    told = dict.fromkeys(segments.LIKENESS, 1.0)
    told |= {"customer_id": customer, "net_sales": Decimal(str(net_sales)), "n_orders": n_orders, "country": "Germany"}
    return told | {"days_since_last_order": days}


def scored(
    customer: str, segment: int = 1, group: str = "loyal", r: int | None = 3, f: int | None = 3
) -> dict[str, Any]:
    """A customer's segment and scores."""
    told = {"customer_id": customer, "as_of": AS_OF, "segment": segment, "segment_name": f"segment {segment}"}
    return told | {"rfm_group": group, "r_score": r, "f_score": f, "m_score": r, "certainty": 1.0}


def test_the_best_tenth_is_told_with_its_share_of_all_lifetime_value(shop: Shop) -> None:
    """Ten customers of 10 and one of 100 among them: the best tenth brings 100 of 190."""
    shop.hold({"predictions.customer_lifetime_values": [value(f"c{n}", 100.0 if n == 4 else 10.0) for n in range(10)]})
    (told,) = shop.ask(customers.WORTH)
    assert (told["n_customers"], told["n_best"], told["lifetime_value"]) == (10, 1, 190.0)
    assert told["share_of_best"] == pytest.approx(100 / 190)


def test_a_country_keeps_customers_who_ever_bought_there(shop: Shop) -> None:
    """One of two bought in France, long ago; the period does not matter."""
    shop.hold(
        {
            "predictions.customer_lifetime_values": [value("a", 10.0), value("b", 30.0)],
            "core.order_lines": [line("a", date(2020, 1, 1), country="France"), line("b", AS_OF)],
        }
    )
    assert [shop.ask(customers.WORTH, chosen)[0]["lifetime_value"] for chosen in (YEAR, FRANCE)] == [40.0, 10.0]


def test_the_best_customers_come_with_what_makes_their_value(shop: Shop) -> None:
    """40 over 4 expected orders are 10 each; segment, rule and reasons stand beside it."""
    rule = {"segment": 1, "as_of": AS_OF, "rule_words": "5 or more orders"}
    shop.hold(
        {
            "predictions.customer_lifetime_values": [value("a", 10.0), value("b", 40.0)],
            "features.customer_features": [feature("a", 5.0), feature("b", 9.0, n_orders=7)],
            "predictions.customer_segments": [scored("a"), scored("b")],
            "predictions.segments": [rule],
            "predictions.churn_scores": [chance("b", 0.1, 4.0) | {"reasons": "7 orders so far."}],
        }
    )
    first, second = shop.ask(customers.BEST)
    assert (first["place"], first["customer_id"], first["value_per_order_day"]) == (1, "b", 10.0)
    assert (first["rule_words"], first["reasons"], first["n_orders"]) == ("5 or more orders", "7 orders so far.", 7)
    assert (second["customer_id"], second["reasons"]) == ("a", None)


def test_who_may_leave_is_counted_from_one_half_on(shop: Shop) -> None:
    """Chances of .5, .9, .49 and 1; tenths from below, 1 in the last."""
    shop.hold(
        {
            "predictions.churn_scores": [
                chance("a", 0.5, 10.0),
                chance("b", 0.9, None),
                chance("c", 0.49, 7.0),
                chance("d", 1.0, 1.0),
            ]
        }
    )
    (told,) = shop.ask(customers.LEAVING)
    assert (told["n_likely_to_leave"], told["value_at_risk"], told["value_at_risk_of_likely"]) == (3, 18.0, 11.0)
    assert [(row["chance"], row["n_customers"]) for row in shop.ask(customers.BY_CHANCE)] == [
        ("40 to 50 %", 1),
        ("50 to 60 %", 1),
        ("90 to 100 %", 2),
    ]


def test_those_at_risk_stand_by_what_is_at_stake_and_the_unknown_last(shop: Shop) -> None:
    """Only those with the least chance asked for."""
    shop.hold(
        {
            "predictions.churn_scores": [chance("a", 0.5, 10.0), chance("b", 0.9, None), chance("c", 0.4, 99.0)],
            "predictions.customer_lifetime_values": [value("a", 20.0)],
            "features.customer_features": [feature("a", 1.0)],
            "predictions.customer_segments": [scored("a")],
        }
    )
    assert [row["customer_id"] for row in shop.ask(customers.AT_RISK, least=0.5)] == ["a", "b"]


def test_named_groups_and_the_grid_add_up_to_all_net_sales(shop: Shop) -> None:
    """Prospects have no scores: they are a group and in no square."""
    shop.hold(
        {
            "predictions.customer_segments": [
                scored("a", group="champions", r=5, f=5),
                scored("b", group="champions", r=5, f=5),
                scored("c", group="prospects", r=None, f=None),
            ],
            "features.customer_features": [feature("a", 60.0), feature("b", 40.0), feature("c", 0.0, 0, None)],
            "predictions.customer_lifetime_values": [value("a", 10.0)],
            "predictions.churn_scores": [chance("a", 0.2, 2.0), chance("b", 0.4, 2.0)],
        }
    )
    first, second = shop.ask(customers.RFM_GROUPS)
    assert (first["rfm_group"], first["rule"], first["n_customers"]) == ("champions", "R 5, V 4 or more", 2)
    assert (first["share_of_sales"], first["mean_churn_probability"]) == (1.0, pytest.approx(0.3))
    assert (second["rfm_group"], second["share"]) == ("prospects", pytest.approx(1 / 3))
    assert [(row["r_score"], row["f_score"], row["net_sales"]) for row in shop.ask(customers.RFM_GRID)] == [
        (5, 5, Decimal(100))
    ]


def test_retention_leaves_out_the_month_that_is_not_whole(shop: Shop) -> None:
    """Cohorts of 10 and 30: one month on 5 and 3 came back, of the second in a month under way."""
    january, february, march = (date(2024, month, 1) for month in (1, 2, 3))

    def cohort(month: date, since: int, at: date, n: int, active: int) -> dict[str, Any]:
        told = {"cohort_month": month, "months_since": since, "month_start": at, "n_customers": n, "n_active": active}
        return told | {"retention": active / n, "net_sales": Decimal(active)}

    shop.hold(
        {
            "metrics.cohort_retention": [
                cohort(january, 0, january, 10, 10),
                cohort(january, 1, february, 10, 5),
                cohort(january, 2, march, 10, 1),
                cohort(february, 0, february, 30, 30),
                cohort(february, 1, march, 30, 3),
            ],
            "metrics.monthly_sales": [
                {"month_start": month, "dimension": "all", "is_complete": month < march}
                for month in (january, february, march)
            ],
        }
    )
    (told,) = shop.ask(customers.RETURNING)
    assert (told["months_since"], told["n_customers"], told["retention"]) == (1, 10, 0.5)
    assert [row["is_whole"] for row in shop.ask(customers.COHORTS)] == [True, True, False, True, False]


def test_profiles_are_standard_deviations_from_all_who_ordered(shop: Shop) -> None:
    """Logs of 0 and 2 have mean 1 and deviation 1; who never ordered does not count; constant features are left out."""
    high = np.expm1(2.0)
    shop.hold(
        {
            "predictions.customer_segments": [scored("a", 1), scored("b", 2), scored("c", 3)],
            "features.customer_features": [
                {**feature("a", 0.0), "net_sales": 0.0},
                {**feature("b", 0.0), "net_sales": high},
                {**feature("c", 0.0, n_orders=0), "net_sales": 5000.0},
            ],
        }
    )
    told = [
        (row["segment"], row["feature"], round(row["standard_deviations"], 9)) for row in shop.ask(segments.PROFILES)
    ]
    assert told == [(1, "net_sales", -1.0), (2, "net_sales", 1.0)]


def test_histograms_hold_each_segment_whole(shop: Shop) -> None:
    """Shares of a segment add up to 1, whatever lies beyond the outer steps."""
    shop.hold(
        {
            "predictions.customer_segments": [scored(f"c{n}", 1 + n % 2) for n in range(40)],
            "features.customer_features": [{**feature(f"c{n}", 0), "net_sales": float(n**3)} for n in range(40)],
        }
    )
    rows = shop.ask(segments.SPREAD, feature="net_sales", is_log=True)
    assert sum(row["n_customers"] for row in rows) == 40
    for segment in (1, 2):
        assert sum(row["share"] for row in rows if row["segment"] == segment) == pytest.approx(1.0)
    assert all(row["from_value"] < row["to_value"] for row in rows)


def test_moves_are_those_of_the_last_moment_unless_another_is_asked(shop: Shop) -> None:
    """Moments of April and May."""
    april = date(2024, 4, 1)
    moved = {"from_segment": -1, "to_segment": 1, "share": 1.0}
    shop.hold(
        {
            "predictions.segment_migrations": [
                {**moved, "as_of": april, "n_customers": 3},
                {**moved, "as_of": AS_OF, "n_customers": 4},
            ],
            "predictions.segments": [{"segment": 1, "segment_name": "regulars"}],
        }
    )
    (last,), (before,) = shop.ask(segments.MOVES, as_of=""), shop.ask(segments.MOVES, as_of="2024-04-01")
    assert (last["n_customers"], last["from_name"], last["to_name"]) == (4, "not yet a customer", "regulars")
    assert before["n_customers"] == 3


def test_points_on_a_line_need_one_axis_and_come_out_the_same_again() -> None:
    """All features rise together: the first component holds everything, and grows with them."""
    logs = np.arange(8.0)
    table = pa.table(
        {"customer_id": [f"c{n}" for n in range(8)]}
        | {name: np.expm1(logs) for name in ("days_since_last_order", "n_orders_90d", "n_orders", "net_sales")}
    )
    found = projected(Shown(segments.BEHAVIOUR, table, "select", 1))
    assert found.explained == pytest.approx((1.0, 0.0, 0.0), abs=1e-9)
    x = found.shown.column("x")
    assert x == sorted(x)
    assert sum(x) == pytest.approx(0.0, abs=1e-3)
    assert found.shown.how
    assert projected(Shown(segments.BEHAVIOUR, table, "select", 1)).shown.column("y") == found.shown.column("y")


def test_a_report_tells_its_candidates_the_serving_one_first(tmp_path: Path) -> None:
    """A subject without a report has none."""
    figure = {"value": 1.0, "low": 0.5, "high": 1.5}
    report = {
        "chosen": "mine",
        "candidates": [
            {"name": "naive", "is_baseline": True, "figures": {"wape": figure}},
            {"name": "mine", "is_baseline": False, "figures": {"wape": {**figure, "value": 0.8}}},
        ],
        "curves": {"backtest": {"day": ["2024-01-01"], "actual": [3.0], "units": [2.0]}},
    }
    folder = tmp_path / "models" / "demand"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps(report), "utf-8")
    edition: Any = SimpleNamespace(
        folder=tmp_path, number=3, version=SimpleNamespace(models={"demand": "demand/1"}), keep=lambda _, make: make()
    )
    shown = reports.candidates(edition, "demand", demand.JUDGED)
    assert [(row["candidate"], row["is_chosen"], row["value"]) for row in shown.rows] == [
        ("mine", True, 0.8),
        ("naive", False, 1.0),
    ]
    assert "demand/1" in shown.how
    assert reports.curve(edition, "demand", demand.BACKTEST).rows == [
        {"day": "2024-01-01", "actual": 3.0, "units": 2.0}
    ]
    assert reports.curve(edition, "prices", demand.BACKTEST).is_empty


def advice(product: str, action: str, *, is_sure: bool, revenue: float, profit: float | None = None) -> dict[str, Any]:
    """Price advice: 2 a day now, and so much more of it."""
    told = {"product_id": product, "channel": "all", "currency": "GBP", "action": action, "is_sure": is_sure}
    told |= {"price": 10.0, "advised_price": 9.0, "units_per_day": 1.0, "units_change": 0.5, "unit_cost": None}
    told |= {
        "revenue_per_day": 2.0,
        "profit_per_day": None if profit is None else 1.0,
        "objective": "revenue",
        "reason": "",
    }
    for end in ("", "_low", "_high"):
        told |= {f"revenue_change{end}": revenue, f"profit_change{end}": profit}
    return told


def test_prices_to_change_stand_sure_ones_first_then_by_gain(shop: Shop) -> None:
    """Thirty days of .5 more of 2 a day are 30; profit counts where a cost is known; other currencies do not meet."""
    shop.hold(
        {
            "predictions.price_advice": [
                advice("A", "lower", is_sure=False, revenue=5.0),
                advice("B", "raise", is_sure=True, revenue=0.5),
                advice("C", "lower", is_sure=True, revenue=9.0, profit=0.2),
                advice("D", "keep", is_sure=False, revenue=0.0),
                advice("E", "raise", is_sure=True, revenue=7.0) | {"currency": "EUR"},
            ],
            "core.products": [{"product_id": "B", "description": "BOWL"}],
            "predictions.price_elasticities": [
                {"product_id": "B", "channel": "all", "currency": "GBP"}
                | {"elasticity": -2.0, "elasticity_low": -3.0, "elasticity_high": -1.0}
            ],
        }
    )
    rows = shop.ask(prices.TO_CHANGE, currency="GBP")
    assert [(row["description"], round(row["gain"], 6)) for row in rows] == [("BOWL", 30.0), ("C", 6.0), ("A", 300.0)]
    assert rows[0]["price_change"] == pytest.approx(-0.1)
    assert [row["product_id"] for row in shop.ask(prices.TO_CHANGE_FOR_SURE, currency="GBP")] == ["B", "C"]
    (told,) = shop.ask(prices.TOTALS, currency="GBP")
    assert (told["n_sure"], told["gain_of_sure"], told["n_perhaps"], told["n_to_keep"]) == (
        2,
        pytest.approx(36.0),
        1,
        1,
    )


def test_a_price_change_is_beyond_chance_where_the_intervals_part(shop: Shop) -> None:
    """From 10 units of 2 to 4 units of 3: 8 a day less."""
    changed = {"product_id": "A", "channel": "all", "currency": "GBP", "old_price": 2.0, "new_price": 3.0}
    changed |= {"days_before": 28, "days_after": 28, "is_promotion": False, "changed_on": date(2024, 3, 1)}
    before = {"units_before": 10.0, "units_before_low": 8.0, "units_before_high": 12.0}
    shop.hold(
        {
            "predictions.price_changes": [
                {**changed, **before, "units_after": 4.0, "units_after_low": 3.0, "units_after_high": 5.0},
                {
                    **changed,
                    **before,
                    "units_after": 9.0,
                    "units_after_low": 7.0,
                    "units_after_high": 11.0,
                    "channel": "bulk",
                },
                {**changed, **before, "units_after": 9.0, "units_after_low": 7.0, "units_after_high": 11.0}
                | {"changed_on": date(2023, 3, 1)},
            ],
            "core.products": [{"product_id": "A", "description": "BOWL"}],
        }
    )
    rows = shop.ask(prices.CHANGES, currency="GBP")
    assert [(row["channel"], row["is_beyond_chance"], row["revenue_a_day"]) for row in rows] == [
        ("all", True, -8.0),
        ("bulk", False, 7.0),
    ]
    assert shop.ask(prices.ANSWERS, currency="GBP")[0]["price_change"] == 0.5


def rule(left: list[str], right: str, rank: int, **more: Any) -> dict[str, Any]:
    """A rule of all baskets."""
    told = {"scope": "all", "scope_value": "all", "rank": rank, "antecedent": left, "consequent": right}
    told |= {
        "rule": f"{' + '.join(left)} → {right}",
        "n_baskets": 10 - rank,
        "support": 0.1,
        "confidence": 0.5,
        "lift": 2.0,
    }
    return told | {"lift_later": 2.0, "holds_later": rank == 1, "is_significant": True, "is_redundant": False} | more


def test_rules_are_those_that_say_something_and_join_each_pair_once(shop: Shop) -> None:
    """Both directions of a pair are one line of the network; of several products on the left there is none."""
    shop.hold(
        {
            "predictions.basket_rules": [
                rule(["A"], "B", 1),
                rule(["B"], "A", 2),
                rule(["A", "B"], "C", 3),
                rule(["C"], "A", 4, is_redundant=True),
            ],
            "core.products": [{"product_id": name, "description": f"THE {name}", "net_sales": 1} for name in "ABC"],
            "core.order_lines": [line("c", AS_OF, country="France", product_id="B"), line("c", AS_OF, product_id="A")],
        }
    )
    asked = {"scope": "all", "scope_value": "all"}
    rows = shop.ask(products.RULE_LIST, **asked)
    assert [(row["if_taken"], row["then_taken"]) for row in rows] == [
        ("A", "THE B"),
        ("B", "THE A"),
        ("A + B", "THE C"),
    ]
    assert [row["consequent"] for row in shop.ask(products.RULE_LIST, FRANCE, **asked)] == ["B"]
    (pair,) = shop.ask(products.NETWORK, **asked, most=60)
    assert (pair["product_a"], pair["product_b"], pair["n_baskets"]) == ("A", "B", 9)
    (scope,) = shop.ask(products.SCOPES)
    assert (scope["n_rules"], scope["n_good"], scope["n_holding"]) == (4, 3, 1)


def stock(product: str, on_hand: float | None, left: float | None, *, now: bool | None, order: float) -> dict[str, Any]:
    """Advice on stock, of store S1."""
    told = {"product_id": product, "store_id": "S1", "on_hand": on_hand, "days_of_stock_left": left, "reorder_now": now}
    told |= {
        "order_quantity": order,
        "daily_demand": 1.0,
        "reorder_point": 5.0,
        "order_up_to": 9.0,
        "lead_time_demand": 3.0,
    }
    return told | {"service_level": 0.95, "model": "moving_average"}


def test_what_to_reorder_stands_first_and_by_how_little_is_left(shop: Shop) -> None:
    """Unknown stock comes last, and no order is counted for it."""
    shop.hold(
        {
            "predictions.stock_advice": [
                stock("A", 50.0, 50.0, now=False, order=0.0),
                stock("B", 2.0, 2.0, now=True, order=7.0),
                stock("C", 0.0, 0.0, now=True, order=9.0),
                stock("D", None, None, now=None, order=4.0),
            ],
            "core.products": [{"product_id": "B", "description": "BOWL", "unit_cost": Decimal("1.5")}],
        }
    )
    assert [row["product_id"] for row in shop.ask(demand.REORDER)] == ["C", "B", "A", "D"]
    (told,) = shop.ask(demand.TO_ORDER)
    assert (told["n_items"], told["n_with_stock"], told["n_to_reorder"], told["n_out_of_stock"]) == (4, 3, 2, 1)
    assert (told["units_to_order"], told["order_value"]) == (16.0, 10.5)
    other = Filter(YEAR.first_day, YEAR.last_day, stores=("S2",))
    shop.hold({"core.order_lines": [line("c", AS_OF, product_id="B", store_id="S2")]})
    assert shop.ask(demand.REORDER, other) == []


def test_weeks_sold_are_counted_back_from_the_first_day_forecast(shop: Shop) -> None:
    """The moment is a Wednesday: weeks begin on Wednesdays, and one that the data do not hold whole is left out."""
    days = [AS_OF - timedelta(days=n) for n in range(1, 17)]
    forecast = {"as_of": AS_OF, "level": "total", "series": "all", "frequency": "weekly", "day": AS_OF, "units": 9.0}
    shop.hold(
        {
            "core.order_lines": [line("c", day) for day in days]
            + [line("c", AS_OF - timedelta(days=1), line_kind="return")],
            "predictions.demand_forecasts": [
                forecast | {"units_low": 5.0, "units_high": 12.0, "lift": 1.0, "model": "mean"}
            ],
        }
    )
    rows = shop.ask(demand.course_of("total", "weekly", has_lines=True), level="total", series="all")
    assert [(row["day"], row["sold"], row["units"]) for row in rows] == [
        (AS_OF - timedelta(days=14), 7, None),
        (AS_OF - timedelta(days=7), 7, None),
        (AS_OF, None, 9.0),
    ]


def test_seasons_are_means_of_days_with_a_sale(shop: Shop) -> None:
    """Units 1, 3, 1, 3: a day resembles the one two before; the correlation is taken over all of them."""
    monday = date(2024, 1, 1)
    shop.hold(
        {
            "metrics.daily_sales": [
                {
                    "day": monday + timedelta(days=n),
                    "dimension": "all",
                    "n_units": Decimal(units),
                    "gross_sales": Decimal(units),
                }
                | dict.fromkeys(("discounts", "returns", "net_sales"), Decimal(0))
                for n, units in enumerate((1, 3, 0, 1, 3))
            ]
        }
    )
    lags = shop.ask(demand.AUTOCORRELATION)
    assert [(row["lag"], round(row["correlation"], 9)) for row in lags] == [(1, -0.75), (2, 0.5), (3, -0.25)]
    assert lags[0]["bound"] == pytest.approx(0.98)
    weekdays = {row["weekday"]: row["of_mean_day"] for row in shop.ask(demand.WEEKDAYS)}
    assert weekdays == {1: 0.5, 2: 1.5, 4: 0.5, 5: 1.5}
    (month,) = shop.ask(demand.MONTHS)
    assert (month["units_per_day"], month["n_days"]) == (2.0, 4)


def test_planned_promotions_tell_the_largest_lift_and_ended_ones_what_they_did(shop: Shop) -> None:
    """28 units in the 28 days before are 1 a day; 6 in 2 days are 3 a day."""
    promotion = {"promotion_id": "p", "level": "product", "member": "P1", "store_id": "all", "is_usable": True}
    promotion |= {"unit_price": None, "discount_share": Decimal("0.2")}
    forecast = {"as_of": AS_OF, "level": "product", "series": "P1", "frequency": "daily", "units": 2.0}
    ended = AS_OF - timedelta(days=3)
    shop.hold(
        {
            "core.promotions": [
                {**promotion, "starts_on": AS_OF, "ends_on": AS_OF + timedelta(days=1)},
                {**promotion, "promotion_id": "q", "starts_on": ended - timedelta(days=1), "ends_on": ended},
            ],
            "core.products": [{"product_id": "P1", "description": "BOWL"}],
            "core.orders": [{"ordered_on": AS_OF - timedelta(days=1)}],
            "core.order_lines": [line("c", ended - timedelta(days=20), quantity=28), line("c", ended, quantity=6)],
            "predictions.demand_forecasts": [
                {**forecast, "day": AS_OF + timedelta(days=n), "lift": lift} for n, lift in enumerate((1.5, 2.0, 1.0))
            ],
        }
    )
    (planned,) = shop.ask(demand.PLANNED)
    assert (planned["name"], planned["lift"], planned["units"]) == ("BOWL", 2.0, 4.0)
    (past,) = shop.ask(demand.PAST)
    assert (past["units_before"], past["units_then"], past["lift"]) == (1.0, 3.0, 3.0)

"""What models make of UCI Online Retail, from the file to published tables: the marks of the field, met or not."""

import re
from decimal import Decimal

import pytest

from shopkeeper.apps.documents.report_page import report_page
from shopkeeper.apps.documents.story import story
from shopkeeper.apps.report import gather
from shopkeeper.evaluation import from_json
from shopkeeper.serving.predictions import predict
from shopkeeper.serving.profiling import study_published

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


@pytest.fixture(scope="module")
def shop(trained_retail):
    return trained_retail


@pytest.fixture(scope="module")
def report(shop):
    """The report of a champion."""
    return lambda subject: from_json((shop.registry.serving(subject).folder / "report.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def ask(shop):
    return lambda sql: shop.serving.query(sql).rows


def test_segments_meet_the_marks(report, ask):
    """Every mark of the published and our own baselines: price, silhouette, stability, surrogates, sizes, a better grid."""
    found = report("segments")
    facts = found.facts
    assert 4 <= facts["k"] <= 8
    assert facts["n_leaves"] <= 12
    assert facts["cost_ratio"] <= 1.15
    assert facts["silhouette_ratio"] >= 0.92
    assert facts["stability"] >= 0.90
    assert facts["smallest_share"] >= 0.01
    for name in ("surrogates_of_segments", "surrogates_of_free_clusters"):
        assert facts[name]["tree"]["accuracy"] >= 0.93
        assert facts[name]["tree"]["macro_f1"] >= 0.85
        assert facts[name]["boosted"]["accuracy"] >= 0.98
        assert facts[name]["boosted"]["macro_f1"] >= 0.90
    assert found.against_baseline.gain.low > 0
    for segment, rule, count in ask("select segment, rule_sql, n_customers from segments"):
        assert ask(f"select count(*) from customer_features where {rule}") == [(count,)], segment
        both = f"join customer_segments using (customer_id) where segment = {segment} and ({rule})"
        assert ask(f"select count(*) from customer_features {both}") == [(count,)], segment


def test_every_customer_has_one_named_group(ask):
    """Eleven groups at most, one for each of the 4,372 customers; prospects are those without an order."""
    groups = dict(ask("select rfm_group, count(*) from customer_segments group by 1"))
    assert sum(groups.values()) == 4372
    assert set(groups) <= {
        *("prospects", "new", "champions", "loyal", "previously loyal", "promising", "active", "needs attention"),
        *("at risk", "almost lost", "dormant"),
    }
    assert ask("select count(*) from customer_features where n_orders = 0") == [(groups["prospects"],)]


def test_churn_is_calibrated_and_beats_recency(report):
    """On the last 112 days, which it never saw: calibration error at most .03, and better than recency by more than noise."""
    found = report("churn")
    chosen = next(candidate for candidate in found.candidates if candidate.name == found.chosen)
    assert found.baseline == "recency"
    assert chosen.figures["calibration_error"].value <= 0.03
    assert found.against_baseline.gain.low > 0


def test_lifetime_values_beat_the_past_rate(report):
    """On the second half of the year, by more than noise; the report says how many its ranges hold."""
    found = report("lifetime")
    assert found.baseline == "past_rate"
    assert found.against_baseline.gain.low > 0
    assert found.facts["range_nominal"] == 0.9
    assert found.facts["range_coverage"] >= 0.85


def test_demand_beats_the_seasonal_naive(report, ask):
    """Judged 28 days ahead on the last eight weeks; levels add up, no Saturday has a row, and Christmas is closed."""
    found = report("demand")
    assert found.chosen == "best_per_level"
    assert found.against_baseline.gain.low > 0
    assert found.facts["wrmsse_by_level"]["product"] < found.facts["wrmsse_by_level_seasonal_naive"]["product"]
    assert 0.87 <= found.candidates[0].figures["coverage"].value <= 0.93
    assert abs(found.facts["season_open_days"] - 6) < 0.1
    assert found.curves.keys() >= {"backtest", "outlook", "autocorrelation", "periodogram"}
    assert ask(
        "select count(*) from demand_forecasts where frequency = 'daily' "
        "and (dayofweek(day) = 6 or day between '2011-12-24' and '2012-01-03')"
    ) == [(0,)]
    assert ask(
        "select count(*) from (select day, frequency, sum(units) filter (level = 'total') as total, "
        "sum(units) filter (level = 'country') as countries, sum(units) filter (level = 'product') as products "
        "from demand_forecasts group by all) where abs(total - countries) > 1e-6 or abs(total - products) > 1e-6"
    ) == [(0,)]


@pytest.mark.parametrize(
    ("asked", "table"),
    [("segment", "customer_segments"), ("churn", "churn_scores"), ("lifetime", "customer_lifetime_values")],
)
def test_predictions_from_order_lines_are_the_batchs(shop, asked, table):
    """What the API says of the raw lines of three hundred customers is what was published of them, to 1e-9."""
    editions = shop.editions
    assert editions.refresh()
    with editions.current.cursor() as connection:
        some = f"select customer_id from predictions.{table} order by hash(customer_id) limit 300"
        lines = connection.execute(
            "select order_id, customer_id, source_product_id as product_id, description, cast(quantity as double) as quantity, "
            "cast(unit_price as double) as unit_price, strftime(ordered_at, '%Y-%m-%dT%H:%M:%SZ') as ordered_at, country "
            f"from core.order_lines where customer_id in ({some}) order by hash(order_line_id)"
        ).to_arrow_table()
        batch = connection.execute(f"select * from predictions.{table} where customer_id in ({some})").to_arrow_table()
    told = predict(editions, editions.current, asked, {"order_lines": lines.to_pylist()}).plain()
    known = {row["customer_id"]: row for row in batch.to_pylist()}
    assert {each["customer_id"] for each in told["predictions"]} == set(known)
    n_compared = 0
    for each in told["predictions"]:
        for name, value in known[each["customer_id"]].items():
            if name in each and isinstance(value, float):
                assert each[name] == pytest.approx(value, rel=1e-9, abs=1e-9), name
                n_compared += 1
    assert n_compared >= 300


def test_the_month_is_reported_as_the_queries_say(shop):
    """November 2011 in five sentences, in one file below 8 MB that names nobody, each number as its query gives it again."""
    told = gather(shop, None)
    text = report_page(told)
    assert (told.month_name, told.of_month("months")["net_sales"]) == ("November 2011", Decimal("1432260.1400"))
    assert len(story(told)) == 5
    assert len(text.encode()) < 8e6
    assert not re.findall(r"(?:https?:)?//[a-z]", text)
    changes = {row["kind"]: row["change"] for row in told.rows_of("month_customers")}
    assert sum(changes.values()) == Decimal("1432260.1400") - Decimal("1062621.5800")
    for shown in told.shown.values():
        if not shown.is_empty:
            assert len(shop.serving.query(shown.sql).rows) == shown.table.num_rows


def test_the_profile_finds_what_the_file_is_known_for(shop):
    """Missing customers, equal lines, prices and codes as FACTS count them, in the whole table of 541,909 rows."""
    found = study_published(shop.published, "order_lines", words=shop.words)
    faults = {fault.name: fault.n_rows for fault in found.faults}
    assert (
        faults.items()
        >= {
            "no customer": 135_080,
            "equal lines": 5268,
            "zero price": 2515,
            "negative price": 2,
            "no description": 1454,
            "stock adjustment": 1336,
        }.items()
    )
    columns = {column.name: column for column in found.table.columns}
    assert [columns[name].n_distinct for name in ("order_id", "product_id", "source_product_id", "country")] == [
        *(25_900, 3958, 4070, 38)
    ]
    assert columns["quantity"].numbers.n_negative == 10_624

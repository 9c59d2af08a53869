"""The report of a month says what its tables say, in one file that asks nobody; what no table says is left out."""

import json
import re
from datetime import date
from html import unescape

import duckdb
import pytest
from typer.testing import CliRunner

from shopkeeper.apps.cli import app
from shopkeeper.apps.documents.report_page import report_page
from shopkeeper.apps.documents.story import story
from shopkeeper.apps.report import gather
from shopkeeper.assembly import assemble
from shopkeeper.errors import UsageError
from shopkeeper.settings import write_project

SALES = """
create schema core; create schema metrics; create schema features; create schema predictions;
create table core.customers as select * from (values
    ('old', date '2024-01-03'), ('away', date '2024-01-04'), ('gone', date '2024-04-05'), ('fresh', date '2024-05-06')
) t(customer_id, first_ordered_on);
create table core.orders as select *, customer_id is not null as has_customer, true as has_sale from (values
    ('o1', 'old', date '2024-04-02', 100.00::decimal(38, 4)), ('o2', 'gone', date '2024-04-05', 50.00),
    ('o3', null, date '2024-04-30', 30.00), ('o4', 'old', date '2024-05-02', 120.00), ('o5', 'away', date '2024-05-31', 80.00),
    ('o6', 'fresh', date '2024-05-06', 60.50), ('o7', null, date '2024-05-07', 20.00)
) t(order_id, customer_id, ordered_on, net_sales);
create table core.products as select * from (values
    ('A', 'RED <b>CLOCK</b>', false), ('B', 'BLUE MUG', false), ('POST', 'POSTAGE', true)) t(product_id, description, is_service);
create table core.order_lines as select * from (values
    ('o4-1', 'old', 'A', 'sale', 4.00::decimal(18, 4), 120.00::decimal(38, 4), timestamp '2024-05-02 10:00', false),
    ('o4-2', 'old', 'A', 'sale', 5.00, 5.00, timestamp '2024-05-03 10:00', true)
) t(order_line_id, customer_id, product_id, line_kind, unit_price, net_amount, ordered_at, is_duplicate);
create table metrics.daily_sales as select ordered_on as day, 'all' as dimension, 'all' as member, sum(net_sales) as net_sales
    from core.orders group by 1;
create table metrics.monthly_sales as select *, 0.0 as discounts, net_sales / nullif(n_orders, 0) as net_sales_per_order,
    case when net_sales_month_before > 0 then (net_sales / net_sales_month_before - 1)::double end as growth_on_month,
    (net_sales / net_sales_year_before - 1)::double as growth_on_year
from (values
    (date '2024-04-01', 'all', 'all', 180.00::decimal(38, 4), null::decimal(38, 4), null::decimal(38, 4), 3, 2, 200.00, -20.00,
     .1::double, 9, true),
    (date '2024-05-01', 'all', 'all', 280.50, 180.00, 250.00, 4, 3, 290.50, -10.00, .034, 12, true),
    (date '2024-06-01', 'all', 'all', 5.00, 280.50, null, 1, 1, 5.00, 0, 0, 1, false),
    (date '2024-05-01', 'product', 'A', 200.00, 20.00, null, 2, 2, 200.00, 0, 0, 8, true),
    (date '2024-05-01', 'product', 'B', 80.50, 160.00, null, 2, 2, 90.50, -10.00, .1, 4, true),
    (date '2024-05-01', 'product', 'POST', 900.00, 0, null, 2, 2, 900.00, 0, 0, 4, true),
    (date '2024-05-01', 'country', 'France', 210.50, 100.00, null, 3, 2, 210.50, 0, 0, 9, true),
    (date '2024-05-01', 'country', 'Spain', 70.00, 80.00, null, 1, 1, 80.00, -10.00, .1, 3, true)
) t(month_start, dimension, member, net_sales, net_sales_month_before, net_sales_year_before, n_orders, n_customers, gross_sales,
    returns, return_rate, n_units, is_complete);
create table core.stores (store_id varchar, name varchar);
create table metrics.monthly_traffic (month_start date); create table metrics.daily_traffic (day date);
create table metrics.ledger as select 'rows add up' as rule, 'all' as scope, 0::bigint as difference;
"""
ADVICE = """
create table predictions.churn_scores as select *, date '2024-06-10' as as_of, 90 as horizon_days, null::date as
    expected_next_order_on, 'no order for long' as reasons, 1 as risk_rank from (values
    ('old', .1, 10.0::double), ('away', .6, 25.5), ('gone', .9, 100.0), ('fresh', .5, 4.5)
) t(customer_id, churn_probability, value_at_risk);
create table predictions.stock_advice as select *, date '2024-06-10' as as_of from (values
    ('A', 'all', 3.0::double, 1.5::double, 2.0::double, 12.0::double, true), ('B', 'all', 90.0, 60.0, 1.5, 0.0, false)
) t(product_id, store_id, on_hand, days_of_stock_left, daily_demand, order_quantity, reorder_now);
create table predictions.price_advice as select *, date '2024-06-10' as as_of, '' as reason, 0.0 as profit_change_low,
    0.0 as profit_change_high from (values
    ('A', 'all', 'raise', true, 4.0, 4.4, 10.0::double, .05::double, .01::double, .09::double, null::double, null::double),
    ('B', 'all', 'lower', true, 9.0, 8.0, 20.0, .5, .1, .9, 6.0, .25),
    ('B', 'bulk', 'lower', false, 9.0, 8.0, 20.0, .5, -.1, .9, null, null)
) t(product_id, channel, action, is_sure, price, advised_price, revenue_per_day, revenue_change, revenue_change_low,
    revenue_change_high, profit_per_day, profit_change);
"""
CLICKS = """
create schema core; create schema metrics; create schema features; create schema predictions;
create table core.customers (customer_id varchar); create table core.products (product_id varchar, description varchar);
create table metrics.monthly_sales (month_start date, dimension varchar, member varchar, net_sales decimal,
    is_complete boolean);
create table metrics.daily_traffic as select date '2024-05-31' as day;
create table metrics.monthly_traffic as select date '2024-05-01' as month_start, 250.5::decimal(38, 4) as revenue,
    40 as n_sessions, 30 as n_customers, 12 as n_new_customers, .25::double as conversion, .5::double as bounce_rate,
    8.35::double as revenue_per_visitor;
"""


def published(folder, sql):
    """A project whose version is made of these tables."""
    write_project(folder)
    parts = assemble(folder)
    warehouse = folder / "warehouse.duckdb"
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(sql)
    parts.published.publish(warehouse, build_id="b", lake_versions={})
    return parts


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return published(tmp_path_factory.mktemp("shop") / "mugs", SALES + ADVICE)


def test_the_story_is_computed(shop):
    """Five sentences, each number by hand: 280.50 is 55.8 % above 180 and 12.2 % above 250; B earns 1.50 and A 0.50 a day."""
    assert story(gather(shop, "2024-05")) == [
        "May 2024 brought €280.50 net sales, 55.8 % more than April and 12.2 % more than May 2023.",
        "4 orders by 3 known customers came to €70.12 each; returns took back 3.4 % of what was sold.",
        (
            "1 new customer brought €60.50, while the 1 who bought in April and not since had brought €50.00; most of the "
            "growth came from customers who came back after a month without (+€80.00)."
        ),
        (
            "RED <b>CLOCK</b> sold most (€200.00) and rose most (+€180.00); BLUE MUG fell most "
            "(\N{MINUS SIGN}€79.50); 75.0 % of it all went to France."
        ),
        (
            "Next: order 1 product anew; change 2 prices (about €2.00 a day); write to the 3 customers who are likelier than "
            "not to stay away for 90 days, with whom €130.00 is at risk."
        ),
    ]


def test_the_change_is_parted_by_customers(shop):
    """New, returning, staying, lost and guests add up to the change of the month."""
    rows = {row["kind"]: row["change"] for row in gather(shop, "2024-05").rows_of("month_customers")}
    assert rows == {"new": 60.5, "returning": 80, "staying": 20, "lost": -50, "guests": -10}
    assert sum(rows.values()) == 280.5 - 180


def test_numbers_equal_their_queries(shop):
    """Each query of the file gives again what was shown, pasted into `shopkeeper query`."""
    told = gather(shop, "2024-05", names_customers=True)
    text = report_page(told)
    for name, shown in told.shown.items():
        if not shown.is_empty:
            again = shop.serving.query(shown.sql)
            assert again.rows == [tuple(row.values()) for row in shown.rows], name
            assert shown.sql in unescape(text)
    for fault in told.faults:
        assert len(shop.serving.query(fault.sql).rows) == fault.n_rows


def test_the_file_asks_nobody_and_runs_nothing(shop):
    """No address of another host, no script, no markup from the data; below 8 MB; the same twice."""
    text = report_page(gather(shop, "2024-05", names_customers=True))
    assert not re.findall(r"(?:https?:)?//[a-z]|<script|<link|<img|<iframe|@import|url\(", text, re.IGNORECASE)
    assert "default-src 'none'" in text
    assert "<b>CLOCK" not in text
    assert "&lt;b&gt;CLOCK" in text
    assert len(text.encode()) < 8e6
    assert text == report_page(gather(shop, "2024-05", names_customers=True))


def test_customers_are_named_only_if_told_to(shop):
    """Without --customers there are counts and money; with it, ids and reasons of those likelier to stay away."""
    plain, named = (report_page(gather(shop, "2024-05", names_customers=each)) for each in (False, True))
    assert "<td>gone</td>" not in plain
    assert "no order for long" not in plain
    assert "<td>gone</td>" in named
    assert "<td>old</td>" not in named
    assert [row["customer_id"] for row in gather(shop, None, names_customers=True).rows_of("write_to")] == [
        *("gone", "away", "fresh")
    ]


def test_the_last_whole_month_is_told_if_none_is_named(shop):
    """June is under way, so May is told; June is told if asked for, and said not to be whole."""
    assert gather(shop, None).month == date(2024, 5, 1)
    assert "do not cover the month whole" in story(gather(shop, "2024-06"))[0]


@pytest.mark.parametrize(
    ("month", "message"),
    [
        ("2024-13", "such as 2024-06; got '2024-13'"),
        ("May", "got 'May'"),
        ("2023-01", "from 2024-04 to 2024-06; got '2023-01'"),
    ],
)
def test_a_month_that_cannot_be_told_is_refused(shop, month, message):
    """The sentence says which can be."""
    with pytest.raises(UsageError, match=message):
        gather(shop, month)


def test_what_no_model_says_is_left_out(tmp_path):
    """A shop without predictions has no such sections, and no sentence about them."""
    told = gather(published(tmp_path / "plain", SALES), "2024-05")
    text = report_page(told)
    assert [
        title for title in ("Segments", "What to reorder", "Prices to change", "Who may stay away") if title in text
    ] == []
    assert len(story(told)) == 4
    assert "identities of rows and money balance" in text


def test_a_shop_of_clicks_is_told_by_its_visits(tmp_path):
    """Without an order there are visits, conversion and revenue."""
    told = gather(published(tmp_path / "clicks", CLICKS), None)
    assert story(told) == [
        (
            "May 2024 saw 40 visits by 30 visitors, of whom 12 were new; 25.0 % of the visits ended with a purchase, and "
            "brought €250.50."
        )
    ]
    assert "Conversion" in report_page(told)


def test_an_empty_shop_has_nothing_to_report(tmp_path):
    """No month: one sentence that says what to do; nor has a shop that never published."""
    empty = CLICKS + "delete from metrics.monthly_traffic; delete from metrics.daily_traffic;"
    with pytest.raises(UsageError, match="must have a month"):
        gather(published(tmp_path / "empty", empty), None)
    write_project(tmp_path / "new")
    with pytest.raises(UsageError, match="must be published"):
        gather(assemble(tmp_path / "new"), None)


def test_the_command_writes_the_file(shop, tmp_path):
    """The path, the sentences, and as JSON what a program wants to know; a file of another kind is refused."""
    project = ["--project", str(shop.settings.project)]
    out = tmp_path / "may.html"
    done = CliRunner().invoke(app, ["report", "--out", str(out), "--month", "2024-05", "--json", *project])
    told = json.loads(done.stdout)
    assert (told["month"], told["version"], told["bytes"]) == ("2024-05", 1, out.stat().st_size)
    assert told["sentences"] == story(gather(shop, "2024-05"))
    refused = CliRunner().invoke(app, ["report", "--out", str(tmp_path / "may.pdf"), *project])
    assert isinstance(refused.exception, UsageError)

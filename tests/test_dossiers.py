"""What one version says of one customer or product: whole, found by any spelling, and silent about what no table tells."""

from datetime import date

import duckdb
import pytest

from shopkeeper.apps.screen import print_dossier
from shopkeeper.errors import UsageError
from shopkeeper.published import Published
from shopkeeper.serving import customer_dossier, product_dossier

CORE = """
create schema core; create schema metrics; create schema features; create schema predictions;
create table core.customers as select * from (values ('c1', 'France'), ('c2', 'Spain')) t(customer_id, country);
create table core.products as select * from (values
    ('A1', 'RED ALARM CLOCK', 'clocks', null, null, null, date '2024-01-05', date '2024-02-03', 2, 5.0, 2.0, 3.0, 13.0,
    -3.0, 10.0, false),
    ('B2', 'BLUE MUG', 'mugs', 'Acme', 4.5, 2.0, date '2024-01-05', date '2024-01-05', 1, 4.0, 4.5, 4.5, 18.0, 0.0, 18.0, false),
    ('POST', 'POSTAGE', null, null, null, null, null, null, 1, 1.0, 9.0, 9.0, 99.0, 0.0, 99.0, true)
) t(product_id, description, category, brand, list_price, unit_cost, first_sold_on, last_sold_on, n_orders, n_units,
    lowest_price, highest_price, gross_sales, returns, net_sales, is_service);
create table core.orders as select * from (values
    ('o1', 'c1', date '2024-01-05', 22.0, 0.0, 22.0, 'EUR'), ('o2', 'c1', date '2024-02-03', 9.0, -3.0, 6.0, 'EUR')
) t(order_id, customer_id, ordered_on, gross_sales, returns, net_sales, currency);
create table core.order_lines as select * from (values
    ('o1', 'c1', 'A1', date '2024-01-05', 'sale', 2.0, 4.0), ('o1', 'c1', 'B2', date '2024-01-05', 'sale', 4.0, 18.0),
    ('o2', 'c1', 'A1', date '2024-02-03', 'sale', 3.0, 9.0), ('o2', 'c1', 'A1', date '2024-02-03', 'return', -1.0, -3.0),
    ('o2', 'c1', 'A1', date '2024-02-03', 'sample', 1.0, 7.0)
) t(order_id, customer_id, product_id, ordered_on, line_kind, quantity, net_amount);
create table core.promotions as select * from (values
    ('over', 'product', 'A1', 'all', date '2024-01-01', date '2024-02-03', 2.5, null, true),
    ('price', 'product', 'A1', 's1', date '2024-02-20', date '2024-02-25', 2.5, null, true),
    ('all clocks', 'category', 'clocks', 'all', date '2024-02-01', date '2024-02-04', null, .2, true),
    ('spring', 'shop', 'all', 'all', date '2024-03-01', date '2024-03-07', null, .1, true),
    ('wrong', 'shop', 'all', 'all', date '2024-03-09', date '2024-03-08', null, .1, false)
) t(promotion_id, level, member, store_id, starts_on, ends_on, unit_price, discount_share, is_usable);
create table features.customer_features as select * from (values ('c1', 2, 2, 29.0), ('c2', 0, 0, null)
) t(customer_id, n_orders, n_order_days, mean_days_between_orders);
"""
ADVICE = """
create table predictions.customer_lifetime_values as select 'c1' as customer_id, 365 as horizon_days, 120.5 as lifetime_value,
    60.0 as value_low, 200.0 as value_high, 3.2 as expected_order_days, .9 as p_alive,
    'bgnbd' as model, 'lifetime/1' as model_version;
create table predictions.demand_forecasts as select * from (values
    ('product', 'A1', 'weekly', date '2024-02-11', 4.0, 1.0, 9.0), ('product', 'A1', 'weekly', date '2024-02-04', 5.0, 2.0, 10.0),
    ('product', 'A1', 'daily', date '2024-02-04', 1.0, 0.0, 3.0), ('category', 'A1', 'weekly', date '2024-02-04', 8.0, 0.0, 3.0)
) t(level, series, frequency, day, units, units_low, units_high);
create table predictions.customer_recommendations as select 'c1' as customer_id, 1 as place;
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Published:
    """A version of two customers and two products, with some of the tables of predictions, one of them of an older form."""
    folder = tmp_path_factory.mktemp("dossiers")
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute(CORE + ADVICE)
    published = Published(folder / "published", keep=2)
    published.publish(folder / "warehouse.duckdb", build_id="b", lake_versions={})
    return published


def of(dossier, title):
    """The rows of one section as objects."""
    (section,) = (each for each in dossier.sections if each.title == title)
    return section.plain()


def test_a_customer_is_told_whole(published):
    """Orders, months, value and what was bought most; nothing of segments, churn or labels, which no table tells."""
    found = customer_dossier(published, " C1 ")
    assert (found.kind, found.id, found.version) == ("customer", "c1", 1)
    (orders,) = of(found, "orders")
    assert (orders["country"], orders["n_orders"], orders["net_sales"], orders["returns"]) == ("France", 2, 28, -3)
    assert orders["first_order_on"] == date(2024, 1, 5)
    assert [(row["month"], row["net_sales"]) for row in of(found, "net sales by month")] == [
        ("2024-01", 22),
        ("2024-02", 6),
    ]
    (value,) = of(found, "lifetime value")
    assert (value["lifetime_value"], value["value_low"], value["value_high"]) == (120.5, 60, 200)
    assert [row["product_id"] for row in of(found, "bought most")] == ["B2", "A1"]
    assert {"segment", "churn", "label"}.isdisjoint(section.title for section in found.sections)


def test_planned_promotions_of_a_product(published):
    """Its own, its category's and the shop's, the first to begin first; none that is over, is another's, or cannot be used."""
    names = {
        code: [row["promotion_id"] for row in of(product_dossier(published, code), "planned promotions")]
        for code in ("A1", "B2")
    }
    assert names == {"A1": ["all clocks", "price", "spring"], "B2": ["spring"]}


def test_a_product_is_told_whole(published):
    """Net sales leave samples out, the place counts goods only, and weeks stand in order."""
    found = product_dossier(published, "a1")
    assert (found.id, found.name) == ("A1", "RED ALARM CLOCK")
    (sales,) = of(found, "sales")
    assert (sales["net_sales"], sales["place_by_net_sales"]) == (10, "2 of 2")
    assert [(row["month"], row["net_sales"], row["n_units"]) for row in of(found, "net sales by month")] == [
        ("2024-01", 4, 2),
        ("2024-02", 6, 3),
    ]
    assert [(row["day"].day, row["units"]) for row in of(found, "demand by week")] == [(4, 5), (11, 4)]


def test_an_older_table_says_so(published):
    """A table that another version of Shopkeeper wrote is named, and the rest is told."""
    assert "older Shopkeeper" in of(customer_dossier(published, "c1"), "recommended")[0]["note"]


@pytest.mark.parametrize(
    ("ask", "code", "nearest"),
    [
        (product_dossier, "alarm", "A1 (RED ALARM CLOCK)"),
        (product_dossier, "b3", "B2 (BLUE MUG)"),
        (customer_dossier, "c11", "c1"),
        (customer_dossier, "'; drop table core.orders; --", "c"),
    ],
)
def test_an_unknown_code_names_the_nearest(published, ask, code, nearest):
    """The sentence names what was asked and what is like it, by code and by description."""
    with pytest.raises(UsageError, match="must be one that the published version knows") as error:
        ask(published, code)
    assert f"The nearest are {nearest}" in str(error.value)


def test_it_is_printed_for_people(published, capsys):
    """Bars by month, the range of each week, and facts without those that nobody knows."""
    print_dossier(product_dossier(published, "A1"))
    told = capsys.readouterr().out
    assert "product A1 · RED ALARM CLOCK" in told
    assert "brand" not in told
    assert "2024-02 ██████████████████████████████" in told
    assert "5.0  (2.0 to 10.0)" in told


def test_programs_get_every_section_by_name(published):
    """Titles become keys."""
    told = product_dossier(published, "A1").plain()
    assert told["product_id"] == "A1"
    assert [row["units"] for row in told["demand_by_week"]] == [5, 4]

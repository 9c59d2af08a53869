"""UCI Online Retail, from the file to queries on a published version: every figure is known exactly."""

from decimal import Decimal

import numpy as np
import pytest

from shopkeeper.models.demand_methods import METHODS, Past

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def shop(tmp_path_factory, retail):
    return retail(tmp_path_factory.mktemp("copied") / "shop")


@pytest.fixture(scope="module")
def ask(shop):
    return lambda sql: shop.serving.query(sql).rows


def test_the_raw_figures(ask):
    """Rows, invoices, codes, descriptions, customers, countries, span and gaps are those of the file."""
    assert ask(
        "select count(*), count(distinct order_id), count(distinct source_product_id), count(distinct product_id), "
        "count(distinct description), count(distinct customer_id), count(distinct country), "
        "count(*) - count(customer_id), count(*) - count(description), sum(quantity), sum(gross_amount) from order_lines"
    ) == [(541909, 25900, 4070, 3958, 4223, 4372, 38, 135080, 1454, Decimal("5176450.000"), Decimal("9747747.9340"))]
    assert ask("select min(ordered_at_local)::varchar, max(ordered_at_local)::varchar from order_lines") == [
        ("2010-12-01 08:26:00", "2011-12-09 12:50:00")
    ]


def test_the_oddities(ask):
    """Equal rows, zero and negative prices, negative quantities, invoices with C and with A are all still there."""
    assert ask(
        "select count(*) filter (is_duplicate), count(*) filter (unit_price = 0), count(*) filter (unit_price < 0), "
        "count(*) filter (quantity < 0), count(*) filter (order_id like 'C%'), "
        "count(distinct order_id) filter (order_id like 'C%'), count(*) filter (order_id like 'A%'), "
        "count(*) filter (quantity < 0 and unit_price = 0), sum(gross_amount) filter (quantity > 0) from order_lines"
    ) == [(5268, 2515, 2, 10624, 9288, 3836, 3, 1336, Decimal("10644560.4240"))]


def test_line_kinds(ask):
    """Each kind has its rows and its amount to the last digit."""
    found = ask("select line_kind, count(*), sum(net_amount) from order_lines group by 1")
    assert {kind: (rows, amount) for kind, rows, amount in found} == {
        "postage": (2110, Decimal("279462.120")),
        "discount": (77, Decimal("-5696.220")),
        "manual": (572, Decimal("-68671.640")),
        "sample": (63, Decimal("-3049.390")),
        "fee": (71, Decimal("-228696.139")),
        "bad_debt": (3, Decimal("-11062.060")),
        "charity": (16, Decimal("-7933.430")),
        "gift_voucher": (34, Decimal("685.810")),
        "stock_adjustment": (1336, Decimal(0)),
        "cancellation": (8704, Decimal("-478724.180")),
        "free": (1162, Decimal(0)),
        "sale": (527761, Decimal("10271433.063")),
    }


@pytest.mark.parametrize("table", ["orders", "customers_and_guests", "daily_sales", "monthly_sales", "products"])
def test_net_sales_at_every_grain(ask, table):
    """Gross, discounts, returns and net are the same sums whatever table they are summed over."""
    source = {
        "orders": "orders",
        "customers_and_guests": "(select gross_sales, discounts, returns, net_sales from customers union all "
        "select gross_sales, discounts, returns, net_sales from orders where not has_customer)",
        "daily_sales": "(from daily_sales where dimension = 'country')",
        "monthly_sales": "(from monthly_sales where dimension = 'product')",
        "products": "products",
    }[table]
    assert ask(f"select sum(gross_sales), sum(discounts), sum(returns), sum(net_sales) from {source}") == [
        (Decimal("10271433.063"), Decimal("-5696.220"), Decimal("-478724.180"), Decimal("9787012.663"))
    ]


def test_equal_lines_within_net_sales(ask):
    """Of the equal lines, those among the kinds of net sales are worth what they are worth."""
    assert ask(
        "select count(*), sum(net_amount) from order_lines "
        "where is_duplicate and line_kind in ('sale', 'discount', 'cancellation')"
    ) == [(5257, Decimal("21390.720"))]


def test_january_grows_against_december_of_the_year_before(ask):
    """The month before January 2011 is December 2010, and a month under way is marked as such."""
    assert ask(
        "select net_sales_month_before = (select net_sales from monthly_sales where dimension = 'all' "
        "and month_start = '2010-12-01') from monthly_sales where dimension = 'all' and month_start = '2011-01-01'"
    ) == [(True,)]
    assert ask("select month_start::varchar from monthly_sales where dimension = 'all' and not is_complete") == [
        ("2011-12-01",)
    ]


def test_trading_days(ask):
    """The shop traded on 305 days and never on a Saturday."""
    assert ask("select count(*), count(*) filter (iso_weekday = 6) from calendar_days where is_trading_day") == [
        (305, 0)
    ]


def test_first_recipe(ask):
    """Customers' first of equal lines with a product code and a price: the row counts of each step, and the spend."""
    assert ask(
        r"""
        with described as (
            select *, row_number() over (
                partition by order_id, source_product_id, description, customer_id, quantity order by source_row
            ) as nth
            from order_lines where has_customer and description is not null
        ),
        firsts as (select * from described where nth = 1),
        coded as (select * from firsts where length(regexp_replace(source_product_id, '[^0-9]', '', 'g')) >= 2),
        goods as (select * from coded where description not in ('Next Day Carriage', 'High Resolution Image')),
        priced as (select * from goods where unit_price > 0)
        select (select count(*) from described), (select count(*) from firsts),
            (select count(*) from firsts where order_id like 'C%'), (select count(*) from coded),
            (select count(*) from goods), count(*), count(distinct customer_id), count(distinct order_id),
            count(distinct product_id), sum(gross_amount)
        from priced
        """
    ) == [(406829, 401550, 8841, 399682, 399599, 399567, 4362, 21781, 3674, Decimal("8265855.30"))]


def test_second_recipe(ask):
    """The default fences of is_outlier are the published ones: quantity first, then price among what is left."""
    assert ask(
        "select count(*), count(*) filter (not is_outlier), count(*) filter (not is_outlier and has_customer), "
        "count(distinct customer_id) filter (not is_outlier) from order_lines where line_kind <> 'stock_adjustment'"
    ) == [(540573, 482515, 351190, 4248)]


def off(actual, told) -> tuple[float, float]:
    """Return RMSE and MAPE."""
    return float(np.sqrt(np.mean((actual - told) ** 2))), float(np.mean(np.abs(actual - told) / actual))


def ahead(method, units, weekday, first, last, step) -> tuple[np.ndarray, np.ndarray]:
    """Return what sold and what a method says of it, ``step`` open days at a time, each from what was known before them."""
    told = [
        METHODS[method](Past(units[None, :at], weekday[:at], weekday[at : min(at + step, last)]))[0]
        for at in range(first, last, step)
    ]
    return units[first:last], np.concatenate(told)


def test_daily_demand(ask):
    """The published marks: both baselines exactly; the method chosen before the test days meets the mark of 61 days at once.

    The mark of six days ahead, 2450 and 17.5 %, is missed, and docs/model-demand.md says why: the test holds what is met.
    """
    rows = ask(
        "select ordered_on, sum(abs(quantity))::double from order_lines "
        "where line_kind <> 'stock_adjustment' and not is_outlier group by 1 order by 1"
    )
    weekday = np.array([day.weekday() for day, _ in rows])
    units = np.array([value for _, value in rows])
    first, last = len(units) - 61, len(units)
    assert last == 305
    rolling = off(*ahead("seasonal_naive", units, weekday, first, last, 6))
    once = off(*ahead("seasonal_naive", units, weekday, first, last, 61))
    assert (round(rolling[0]), round(100 * rolling[1], 1)) == (2933, 21.0)
    assert (round(once[0]), round(100 * once[1], 1)) == (3857, 30.1)
    before = {name: off(*ahead(name, units, weekday, first - 120, first, 6))[0] for name in METHODS}
    chosen = min(before, key=before.get)
    assert chosen == "weekday_level"
    rolling = off(*ahead(chosen, units, weekday, first, last, 6))
    once = off(*ahead(chosen, units, weekday, first, last, 61))
    assert (round(rolling[0]), round(100 * rolling[1], 1)) == (2634, 19.0)
    assert once[0] <= 3200
    assert once[1] <= 0.25


BASKETS = """
with lines as (
    select order_lines.order_id, products.description
    from order_lines join products using (product_id)
    where line_kind <> 'stock_adjustment' and not is_outlier and has_customer and gross_amount >= 0
        and product_id not in ('DOT', 'POST', 'M', 'BANK CHARGES', 'D', 'CRUK', 'B', 'S')
),
items as (select distinct order_id, description as item from lines),
sizes as (select order_id, count(*) as n_items from items group by order_id),
baskets as (select items.* from items join sizes using (order_id) where n_items >= 2),
total as (select count(distinct order_id) as n from baskets),
ones as (select item, count(*) as n from baskets group by item having count(*) >= .03 * (select n from total)),
twos as (
    select a.item as first, b.item as second, count(*) as n
    from baskets a join baskets b on a.order_id = b.order_id and a.item < b.item
    where a.item in (select item from ones) and b.item in (select item from ones)
    group by all having count(*) >= .03 * (select n from total)
),
threes as (
    select count(*) as n from baskets a join baskets b using (order_id) join baskets c using (order_id)
    join twos x on x.first = a.item and x.second = b.item join twos y on y.first = b.item and y.second = c.item
    join twos z on z.first = a.item and z.second = c.item
    group by a.item, b.item, c.item having count(*) >= .03 * (select n from total)
),
rules as (
    select first as antecedent, second as consequent, n from twos union all select second, first, n from twos
),
measured as (
    select antecedent, consequent, rules.n / total.n as support, rules.n / l.n as confidence,
        rules.n * total.n / (l.n * r.n) as lift
    from rules join ones l on l.item = antecedent join ones r on r.item = consequent cross join total
)
"""


def test_third_recipe(ask):
    """Baskets, itemsets and rules come out as published, the alarm clocks to the sixth digit."""
    assert ask(
        f"{BASKETS} select (select count(*) from sizes), (select n from total), "
        "(select count(*) from ones) + (select count(*) from twos) + (select count(*) from threes), "
        "(select count(*) from measured where lift >= 1)"
    ) == [(16811, 15660, 104, 8)]
    found = ask(
        f"{BASKETS} select round(support, 6), round(confidence, 6), round(lift, 6) from measured "
        "where antecedent like 'ALARM CLOCK BAKELIKE %' order by antecedent"
    )
    assert found == [(0.032184, 0.669323, 12.507868), (0.032184, 0.601432, 12.507868)]


def test_the_csv_gives_the_same_tables(shop, tmp_path, real_data, make_shop, run_shop, tables_of):
    """The Latin-1 CSV, zipped, ends in the same marts as the Excel file, row for row."""
    csv = make_shop(tmp_path / "csv", "uci_online_retail", real_data("online_retail/kaggle_ecommerce_data.zip"))
    run_shop(csv)
    mine, theirs = tables_of(shop), tables_of(csv)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name]] == []


def test_the_csv_adds_nothing_to_the_excel_file(shop, real_data):
    """A source that sends the same rows again in another format adds none of them."""
    from shopkeeper import workflow
    from shopkeeper.sources.files import FileSource

    name, settings = "uci_online_retail", shop.settings
    again = FileSource(
        name,
        real_data("online_retail/kaggle_ecommerce_data.zip"),
        dict(settings.sources[name].mappings),
        timezone=settings.shop.timezone,
        scratch=settings.scratch,
    )
    done = workflow.ingest(shop.lake, {name: again})
    assert [(load.rows_read, load.rows_loaded, load.rows_resent) for load in done.loads] == [(541909, 0, 541909)]


def test_nothing_new(shop, run_shop):
    """A second run loads nothing, builds nothing and publishes nothing; then one that only resent rows does no harm."""
    before = shop.published.current()
    run_shop(shop)
    done = run_shop(shop)
    assert (done.ingest.loads, done.build.models) == ([], {})
    assert done.version.number >= before
    assert shop.serving.query("select sum(net_sales) from orders").rows == [(Decimal("9787012.663"),)]


def test_features(ask):
    """A row for each of the 4,372 customers; counts, money and days are those of a query that shares no SQL with them."""
    assert ask(
        "select count(*), count(distinct customer_id), min(as_of)::varchar, max(as_of)::varchar from customer_features"
    ) == [(4372, 4372, "2011-12-10", "2011-12-10")]
    plain = """
        with sales as (from order_lines where customer_id is not null and line_kind = 'sale'),
        sold as (
            select customer_id, count(distinct order_id) as n_orders, count(distinct ordered_on) as n_days,
                count(distinct product_id) as n_products, sum(quantity) as n_units, sum(gross_amount) as gross,
                date '2011-12-10' - max(ordered_on) as last, date '2011-12-10' - min(ordered_on) as first,
                count(distinct order_id) filter (ordered_on >= date '2011-12-10' - 90) as n_90d
            from sales group by all
        ),
        net as (
            select customer_id, count(distinct order_id) filter (line_kind = 'cancellation') as n_cancellations,
                sum(net_amount) filter (line_kind in ('sale', 'discount', 'cancellation', 'return')) as net
            from order_lines where customer_id is not null group by all
        )
    """
    assert ask(
        f"{plain} select count(*), count(*) filter (f.n_orders <> coalesce(s.n_orders, 0) "
        "or f.n_order_days <> coalesce(n_days, 0) or f.n_products <> coalesce(s.n_products, 0) "
        "or f.n_units <> coalesce(s.n_units, 0) or f.gross_sales <> coalesce(gross, 0)::double "
        "or f.net_sales <> coalesce(net, 0)::double or f.days_since_last_order is distinct from last "
        "or f.days_since_first_order is distinct from first or f.n_orders_90d <> coalesce(n_90d, 0) "
        "or f.n_cancellations <> net.n_cancellations or not coalesce(f.cancellation_rate, 0) between 0 and 1) "
        "from customer_features f join net using (customer_id) left join sold s using (customer_id)"
    ) == [(4372, 0)]


def test_the_ledger_balances(shop):
    """No identity of the ledger is off by a minor unit."""
    rows = shop.serving.ledger().rows
    assert len(rows) >= 8
    assert [row for row in rows if row[-1] != 0] == []

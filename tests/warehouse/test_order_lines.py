"""Order lines and what is made of them: kinds, flags, amounts, and increments that end as one full build."""

from decimal import Decimal

import pytest

from shopkeeper import workflow
from shopkeeper.assembly import assemble

SETTINGS = """
[shop]
timezone = "Europe/London"
currency = "GBP"

[line_kinds.codes]
postage = ["POST"]
discount = ["D"]
[line_kinds.orders]
cancellation = "C"

[sources.shop]
path = "sent"
[sources.shop.tables.products]
entity = "products"
files = "products*"
columns = { product_id = "sku", category = "category" }
[sources.shop.tables.lines]
entity = "order_lines"
[sources.shop.tables.lines.columns]
order_id = "order"
product_id = "sku"
description = "name"
quantity = "qty"
unit_price = "price"
discount_amount = "off"
ordered_at = "at"
customer_id = "who"
"""
HEADER = "order,sku,name,qty,price,off,at,who\n"
FIRST = """\
1,a,Mug,2,1.50,,2020-06-30 23:30:00,ann
1,a,Mug,2,1.50,,2020-06-30 23:30:00,ann
1,b,Pot,1,10,2.5,2020-06-30 23:30:00,ann
2,post,Postage,1,4,,2020-12-31 23:30:00,
2,A ,Cup,10,1.50,,2020-12-31 23:30:00,
2,b,,-3,0,,2020-12-31 23:30:00,
C3,a,Mug,-1,1.50,,2021-01-02 09:00:00,ann
4,D,Discount,-1,0.75,,2021-01-02 10:00:00,bob
4,a,Mug,1,0,,2021-01-02 10:00:00,bob
4,b,Pot,-1,10,,2021-01-02 10:00:00,bob
"""
SECOND = """\
1,c,Lid,1,0.5,,2020-06-30 23:30:00,ann
5,a,Mug,5012345678900,999.99,,2021-02-01 10:00:00,cat
"""
CATALOGUE = "sku,category\na,crockery\n"


@pytest.fixture(scope="module")
def shops(tmp_path_factory, tables_of):
    """One shop built as its files came, one built once from all of them; their tables, and the first one."""

    def start(name):
        folder = tmp_path_factory.mktemp(name)
        (folder / "sent").mkdir()
        (folder / "shopkeeper.toml").write_text(SETTINGS)
        return folder

    def run(folder):
        parts = assemble(folder)
        done = workflow.run(parts.lake, parts.warehouse, parts.published, parts.sources)
        assert done.ingest.failures == []
        return parts

    grown = start("grown")
    for name, text in (("b.csv", HEADER + FIRST), ("a.csv", HEADER + SECOND), ("products.csv", CATALOGUE)):
        (grown / "sent" / name).write_text(text)
        parts = run(grown)
    once = start("once")
    for file in (grown / "sent").iterdir():
        (once / "sent" / file.name).write_bytes(file.read_bytes())
    return parts, tables_of(parts), tables_of(run(once))


@pytest.fixture
def ask(shops):
    return lambda sql: shops[0].serving.query(sql).rows


def test_increments_end_as_one_build(shops):
    """A file at a time, the catalogue last, gives the tables of one full build."""
    _, grown, once = shops
    assert [name for name in once if grown[name] != once[name]] == []


def test_kinds(ask):
    """The first rule that matches gives the kind, whatever the case of the code."""
    assert ask("select order_id, line_kind, count(*) from order_lines group by all order by all") == [
        ("1", "sale", 4),
        ("2", "postage", 1),
        ("2", "sale", 1),
        ("2", "stock_adjustment", 1),
        ("4", "discount", 1),
        ("4", "free", 1),
        ("4", "return", 1),
        ("5", "sale", 1),
        ("C3", "cancellation", 1),
    ]


def test_amounts(ask):
    """Gross, discount and net by hand: discounts are lines of that kind and what lines take off themselves."""
    assert ask(
        "select gross_sales, discounts, returns, net_sales, other_amount from orders where order_id <> '5' order by order_id"
    ) == [
        (Decimal("16.5"), Decimal("-2.5"), Decimal(0), Decimal(14), Decimal(0)),
        (Decimal(15), Decimal(0), Decimal(0), Decimal(15), Decimal(4)),
        (Decimal(0), Decimal("-0.75"), Decimal(-10), Decimal("-10.75"), Decimal(0)),
        (Decimal(0), Decimal(0), Decimal("-1.5"), Decimal("-1.5"), Decimal(0)),
    ]


def test_a_bar_code_in_the_quantity_is_a_line_and_an_outlier(ask):
    """An amount beyond 10^14 is kept exactly and flagged; it does not stop a build."""
    assert ask("select gross_amount, is_outlier from order_lines where order_id = '5'") == [
        (Decimal(5012345678900) * Decimal("999.99"), True)
    ]


def test_lines_are_numbered_and_equal_ones_flagged(ask):
    """An order that got a line later is numbered anew; of two equal lines, one is a duplicate."""
    assert ask(
        "select line_number, product_id, is_duplicate from order_lines where order_id = '1' order by line_number"
    ) == [(1, "A", False), (2, "A", True), (3, "B", False), (4, "C", False)]


def test_days_are_the_shops(ask):
    """A time without a zone is the shop's: an hour earlier in UTC in summer, the same day all the same."""
    assert ask(
        "select distinct order_id, ordered_at::varchar, ordered_on::varchar from order_lines "
        "where order_id in ('1', '2') order by 1"
    ) == [
        ("1", "2020-06-30 22:30:00", "2020-06-30"),
        ("2", "2020-12-31 23:30:00", "2020-12-31"),
    ]


def test_the_catalogue_comes_last(ask):
    """Lines loaded before the catalogue have its category; the most frequent name is the product's."""
    assert ask("select product_id, category, description from products order by product_id") == [
        ("A", "crockery", "Mug"),
        ("B", None, "Pot"),
        ("C", None, "Lid"),
        ("D", None, "Discount"),
        ("POST", None, "Postage"),
    ]
    assert ask("select distinct category from order_lines where product_id = 'A'") == [("crockery",)]


def test_guests_are_kept_apart(ask):
    """An order without a customer is an order; customers hold those who are known."""
    assert ask("select order_id from orders where not has_customer") == [("2",)]
    assert ask("select customer_id, n_orders, n_orders_with_return from customers order by 1") == [
        ("ann", 1, 1),
        ("bob", 0, 1),
        ("cat", 1, 0),
    ]

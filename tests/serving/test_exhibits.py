"""Exhibits say what their SQL says, under every filter; each figure of the small shop is added up by hand."""

from datetime import date
from decimal import Decimal
from importlib import import_module
from pkgutil import iter_modules

import pytest

from shopkeeper.errors import UsageError
from shopkeeper.serving import exhibits
from shopkeeper.serving.exhibits import Choices, Exhibit, dossiers, filter_of, sales
from shopkeeper.serving.exhibits.exhibit import UNITS, heading

SCOPES = frozenset({"aggregates", "customers"})


def all_exhibits() -> dict[str, Exhibit]:
    """Every exhibit that any module of the room declares and a query gives, by name."""
    found = {}
    for module in iter_modules(exhibits.__path__):
        for value in vars(import_module(f"{exhibits.__name__}.{module.name}")).values():
            each = value.values() if isinstance(value, dict) else [value]
            for one in each:
                if isinstance(one, Exhibit) and one.sql:
                    assert found.setdefault(one.name, one) == one, f"two exhibits are called {one.name}"
    return found


EXHIBITS = all_exhibits()
GIVEN = {"id": "10001", "text": "u", "table": "core.orders", "month": date(2011, 3, 1)}


@pytest.fixture(scope="module")
def visit(small_shop):
    return small_shop.gallery.visit(SCOPES)


def chosen(visit, **params):
    return filter_of(params, visit.choices)


# ------------------------------------------------------------------ filters


def test_choices_are_what_the_shop_brings(visit):
    """Days and countries of the data, the largest first; stores and categories that nobody names are none."""
    assert visit.choices == Choices(
        date(2011, 1, 1), date(2011, 3, 31), ("United Kingdom", "EIRE", "France"), stores=(), categories=()
    )


@pytest.mark.parametrize(
    ("last", "first_shown"),
    [
        (date(2011, 12, 9), date(2010, 12, 1)),
        (date(2012, 1, 1), date(2011, 1, 1)),
        (date(2010, 12, 5), date(2010, 12, 1)),
    ],
)
def test_at_first_the_last_thirteen_months_are_shown(last, first_shown):
    """From the first of a month; all of the data if they are shorter."""
    assert Choices(date(2010, 12, 1), last).default_first_day == first_shown


def test_a_filter_goes_to_a_url_and_back(visit):
    """What is chosen by itself is left out; the rest gives the same filter again."""
    asked = {"period": ["2011-02-01", "2011-02-28"], "country": ["France", "EIRE"]}
    one = filter_of(asked, visit.choices)
    assert one.countries == ("EIRE", "France")
    again = {}
    for name, value in one.params(visit.choices):
        again.setdefault(name, []).append(value)
    assert filter_of(again, visit.choices) == one
    assert chosen(visit).params(visit.choices) == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"country": ["Atlantis"]}, "a country must be one that the published version knows"),
        ({"store": ["S1"]}, "it knows none"),
        ({"period": ["2011-01-01"]}, "a period must be two days"),
        ({"period": ["yesterday", "today"]}, "a period must be two days"),
        ({"period": ["2011-03-01", "2011-02-01"]}, "a period must begin before it ends"),
        ({"period": ["2031-03-01", "2031-04-01"]}, "lie between 2011-01-01 and 2011-03-31"),
    ],
)
def test_what_is_not_there_is_told(visit, params, said):
    """A strange country, store or period gives a sentence."""
    with pytest.raises(UsageError, match=said):
        filter_of(params, visit.choices)


def test_a_period_is_cut_to_the_data(visit):
    """A link to more than there is shows what there is."""
    found = chosen(visit, period=["2001-01-01", "2099-01-01"])
    assert (found.first_day, found.last_day) == (date(2011, 1, 1), date(2011, 3, 31))


@pytest.mark.parametrize(("days", "grain"), [(45, "day"), (46, "week"), (200, "week"), (201, "month")])
def test_a_series_has_a_readable_number_of_points(days, grain):
    """Days up to 45, weeks up to 200 days, months beyond."""
    first = date(2011, 1, 1)
    assert exhibits.Filter(first, date.fromordinal(first.toordinal() + days - 1)).grain == grain


# ----------------------------------------------------------------- exhibits


def test_the_totals_are_added_up_by_hand(visit):
    """135 sold, 4 came back, on nine orders of four customers and two guests."""
    told = visit.show(sales.TOTALS, chosen(visit)).first()
    assert (told["gross_sales"], told["returns"], told["net_sales"]) == (Decimal(135), Decimal(-4), Decimal(131))
    assert (told["n_orders"], told["n_customers"], told["n_units"]) == (9, 4, 35)
    assert told["net_sales_per_order"] == pytest.approx(131 / 9)
    assert told["return_rate"] == pytest.approx(4 / 135)


@pytest.mark.parametrize(
    ("params", "net_sales", "n_orders", "n_customers"),
    [
        ({"country": ["France", "EIRE"]}, 66, 2, 2),
        ({"country": ["United Kingdom"]}, 65, 7, 2),
        ({"period": ["2011-02-01", "2011-02-28"]}, 53, 3, 2),
        ({"period": ["2011-03-01", "2011-03-31"], "country": ["EIRE"]}, 36, 1, 1),
    ],
)
def test_the_totals_under_a_filter(visit, params, net_sales, n_orders, n_customers):
    """Period and countries cut the same lines out of every figure."""
    told = visit.show(sales.TOTALS, chosen(visit, **params)).first()
    assert (told["net_sales"], told["n_orders"], told["n_customers"]) == (net_sales, n_orders, n_customers)


def test_growth_is_that_of_the_last_whole_month(visit):
    """March on February: 60 to 53; orders 4 to 3; customers 3 to 2; nothing is known of a year before."""
    told = visit.show(sales.GROWTH, chosen(visit)).first()
    assert told["month_start"] == date(2011, 3, 1)
    assert told["growth_on_month"] == pytest.approx(60 / 53 - 1)
    assert told["growth_on_year"] is None
    assert told["growth_of_orders"] == pytest.approx(4 / 3 - 1)
    assert told["growth_of_customers"] == pytest.approx(3 / 2 - 1)


def test_growth_within_a_period_is_of_its_last_whole_month(visit):
    """Up to the middle of March, February is the last; it is compared with January though that lies outside."""
    told = visit.show(sales.GROWTH, chosen(visit, period=["2011-02-01", "2011-03-15"])).first()
    assert told["month_start"] == date(2011, 2, 1)
    assert told["growth_on_month"] == pytest.approx(53 / 18 - 1)


def test_growth_comes_from_new_and_old_customers(visit):
    """36 from the new one, 12 back, 15 less from who stayed, 30 lost, 4 from guests: seven in all."""
    told = {row["kind"]: row["change"] for row in visit.show(sales.NEW_AND_OLD, chosen(visit)).rows}
    assert told == {"new": 36, "returning": 12, "staying": -15, "lost": -30, "guests": 4}
    parts = visit.show(sales.GROWTH_PARTS, chosen(visit)).first()
    assert (parts["change"], parts["by_new"], parts["by_old"], parts["by_guests"]) == (7, 36, -33, 4)
    assert parts["part_of_new"] == pytest.approx(36 / 7)


def test_a_country_is_as_large_in_the_map_as_in_the_totals(visit):
    """By country: 65, 36, 30, and shares of 131."""
    rows = visit.show(sales.BY_COUNTRY, chosen(visit)).rows
    assert [(row["country"], row["net_sales"]) for row in rows] == [
        ("United Kingdom", 65),
        ("EIRE", 36),
        ("France", 30),
    ]
    assert sum(row["share"] for row in rows) == pytest.approx(1)


@pytest.mark.parametrize("params", [{}, {"country": ["France"]}, {"period": ["2011-01-10", "2011-03-10"]}], ids=str)
@pytest.mark.parametrize("name", EXHIBITS)
def test_each_exhibit_is_what_its_query_gives(name, params, visit, small_shop):
    """Its columns are those it declares, in known units; pasted into a query, the SQL gives the same rows."""
    exhibit = EXHIBITS[name]
    assert set(exhibit.units.values()) <= UNITS
    assert exhibit.definition.endswith(".")
    shown = visit.show(exhibit, chosen(visit, **params), **{key: GIVEN[key] for key in GIVEN if key in exhibit.places})
    if shown.lacks:
        assert set(shown.lacks) <= set(exhibit.needs)
        return
    assert shown.table.column_names == list(exhibit.units)
    answer = small_shop.serving.query(shown.sql)
    assert answer.columns == tuple(exhibit.units)
    assert sorted(map(str, answer.rows)) == sorted(str(tuple(row.values())) for row in shown.rows)


def test_what_is_not_obeyed_changes_nothing(visit):
    """An exhibit of one customer is the same under any filter, and kept once."""
    france = visit.show(dossiers.CUSTOMER, chosen(visit, country=["France"]), id="10001")
    everywhere = visit.show(dossiers.CUSTOMER, chosen(visit), id="10001")
    assert france.sql == everywhere.sql
    assert france.table is everywhere.table


def test_a_text_of_the_url_stays_a_text(visit):
    """What somebody writes into the address is a literal, whatever it holds."""
    shown = visit.show(dossiers.CUSTOMER, chosen(visit), id="x' or '1' = '1")
    assert shown.is_empty


def test_customers_are_masked_for_who_may_not_see_them(small_shop):
    """Ids are masked as the API masks them, and the same each time; cities are left out."""
    visit = small_shop.gallery.visit(frozenset({"aggregates"}))
    shown = visit.show(dossiers.CUSTOMER, chosen(visit), id="10001")
    assert "city" not in shown.table.column_names
    masked = shown.first()["customer_id"]
    from shopkeeper.serving.listings import customers, page

    listed = page(visit.edition, customers(visit.edition, small_shop.keys.masking_secret()), (), limit=10, cursor=None)
    assert masked in {row["customer_id"] for row in listed.rows}
    assert b"10001" not in shown.csv()


def test_a_text_is_no_formula(visit):
    """A cell that a spreadsheet would compute is marked as text; numbers below zero stay numbers."""
    from shopkeeper.serving.exhibits.exhibit import _plain

    assert [_plain(value) for value in ("=1+1", "-2", Decimal("-2.5"), ["a", "b"])] == [
        "'=1+1",
        "'-2",
        Decimal("-2.5"),
        "a; b",
    ]


def test_an_edition_is_let_go_with_its_last_visit(small_shop):
    """A visit holds the version it began with; nobody holding it, it is released."""
    import gc

    visit = small_shop.gallery.visit(SCOPES)
    edition, held = visit.edition, visit.edition.n_held
    del visit
    gc.collect()
    assert edition.n_held == held - 1


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("n_orders", "Orders"),
        ("growth_on_month", "Growth on month"),
        ("product_id", "Product"),
        ("net_sales", "Net sales"),
    ],
)
def test_columns_have_headings(column, words):
    """Names in words."""
    assert heading(column) == words

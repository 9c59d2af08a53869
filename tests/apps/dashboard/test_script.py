"""What a run of the dashboard's script shows, without a browser: figures by hand, filters, states, who may look."""

import re
from html import unescape

import pytest

from shopkeeper.apps.api.endpoint import Caller
from shopkeeper.apps.charts.formats import MINUS
from shopkeeper.apps.dashboard.pages import pages
from shopkeeper.apps.dashboard.visitors import COOKIE, Visitors
from shopkeeper.errors import QueryError, UsageError


def told(app) -> str:
    """All quiet lines and states of a page as text."""
    return unescape(re.sub(r"<[^>]+>", " ", " ".join(each.proto.body for each in app.get("html"))))


def cards_of(app) -> dict[str, tuple[str, str]]:
    return {each.label: (each.value, each.delta) for each in app.metric}


def test_the_cards_of_the_small_shop(app_of, small_shop):
    """131 of nine orders; in March a third more orders than in February, and 60 for 53."""
    app = app_of(small_shop)
    assert not app.exception
    assert cards_of(app) == {
        "Net sales": ("£131.00", "+13.2 %"),
        "Orders": ("9", "+33.3 %"),
        "Customers": ("4", "+50.0 %"),
        "Average order": ("£14.56", "-15.1 %"),
        "Return rate": ("3.0 %", "+6.2 points"),
        "Month growth": ("+13.2 %", "from £53.00"),
        "Change of net sales": ("+£7.00", "100 %"),
        "New customers": ("+£36.00", "514.3 % of the growth"),
        "Known customers": (f"{MINUS}£33.00", f"{MINUS}471.4 % of the growth"),
        "Guests": ("+£4.00", "57.1 % of the growth"),
    }


def test_a_filter_of_the_address_counts(app_of, small_shop):
    """Two countries and two months: 30 in February, 36 in March, no customer in both."""
    app = app_of(small_shop, country=["France", "EIRE"], period=["2011-02-01", "2011-03-31"])
    assert cards_of(app)["Net sales"] == ("£66.00", "+20.0 %")
    assert cards_of(app)["Customers"][0] == "2"
    assert app.multiselect[0].value == ["EIRE", "France"]


def test_a_filter_can_be_chosen(app_of, small_shop):
    """Choosing a country in the sidebar changes the cards and the address."""
    app = app_of(small_shop)
    app.multiselect[0].select("France").run()
    assert cards_of(app)["Net sales"][0] == "£30.00"


def test_what_the_address_asks_in_vain_is_told(app_of, small_shop):
    """An unknown country is a sentence, and the page shows all."""
    app = app_of(small_shop, country="Atlantis")
    assert "A country must be one that the published version knows" in told(app)
    assert cards_of(app)["Net sales"][0] == "£131.00"


@pytest.mark.parametrize(
    ("path", "key", "cards"),
    [
        ("customer", "10001", {"Net sales": "£35.00", "Orders": "3", "Last order": "2 Mar 2011"}),
        ("product", "MUG", {"Net sales": "£45.00", "Units": "17", "Last price": "£3.50"}),
        ("country", "EIRE", {"Net sales": "£36.00", "Orders": "1", "Return rate": "10.0 %"}),
    ],
)
def test_one_of_them(path, key, cards, app_of, small_shop):
    """A customer, a product, a country: their figures by hand."""
    app = app_of(small_shop, path, id=key)
    assert not app.exception
    shown = {label: value for label, (value, _) in cards_of(app).items()}
    assert {label: shown.get(label) for label in cards} == cards


def test_an_unknown_customer_is_told_and_one_can_be_chosen(app_of, small_shop):
    """A sentence, and those that there are."""
    app = app_of(small_shop, "customer", id="nobody")
    assert "A customer must be one that the published version knows; got 'nobody'" in told(app)
    assert app.text_input[0].value == "nobody"
    assert len(app.dataframe[0].value) == 4


def test_a_page_that_fails_says_a_sentence(app_of, small_shop, monkeypatch):
    """A foreseen error is its own sentence, an unforeseen one is told without its text; neither shows a traceback."""
    (page,) = (page for page in pages() if page.path == "overview")
    for error, said in (
        (
            QueryError("the published tables must be of this Shopkeeper; got others. Run `shopkeeper run`."),
            "got others",
        ),
        (ZeroDivisionError("secret of a customer"), "an unforeseen ZeroDivisionError"),
    ):

        def fail(_view, error=error):
            raise error

        monkeypatch.setitem(page.__dict__, "show", fail)
        app = app_of(small_shop)
        assert said in told(app)
        assert "secret" not in told(app)
        assert not app.exception


def test_nothing_published_says_what_to_do(app_of, unpublished_shop):
    """The command that makes the first version."""
    app = app_of(unpublished_shop)
    assert "Nothing is published yet" in told(app)
    assert [each.value for each in app.code] == ["shopkeeper run"]


def test_an_empty_version_says_what_it_lacks(app_of, empty_shop):
    """No card, no empty chart."""
    app = app_of(empty_shop)
    assert "This version holds no sales and no visits" in told(app)
    assert not app.metric


def test_a_new_version_is_taken_up(app_of, small_shop, run_shop, tmp_path, make_shop):
    """The next run of the script shows what was published since."""
    lines = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    (tmp_path / "a.csv").write_text(lines + "1,MUG,BLUE MUG,1,2011-01-01 10:00:00,2.50,10001,France\n", "utf-8")
    parts = make_shop(tmp_path / "shop", "uci_online_retail", tmp_path / "*.csv")
    run_shop(parts)
    app = app_of(parts)
    assert cards_of(app)["Net sales"][0] == "£2.50"
    (tmp_path / "b.csv").write_text(lines + "2,MUG,BLUE MUG,1,2011-01-05 10:00:00,4.00,10001,France\n", "utf-8")
    run_shop(parts)
    app.run()
    assert cards_of(app)["Net sales"][0] == "£6.50"


# ------------------------------------------------------------- who may look


def test_a_key_opens_what_its_scopes_say(tmp_path, make_shop):
    """Signing in needs a scope with which there is something to see; a revoked key opens nothing at the next look."""
    parts = make_shop(tmp_path / "shop", "uci_online_retail", tmp_path / "none.csv")
    visitors = Visitors(parts.keys)
    assert visitors.by_token(None).scopes >= {"aggregates", "customers"}
    key = parts.keys.add("boss", ["aggregates"])
    tracker = parts.keys.add("tracker", ["events"])
    assert visitors.by_token(None).scopes == frozenset()
    with pytest.raises(UsageError, match="neither revoked nor expired"):
        visitors.sign_in("shk_wrong")
    with pytest.raises(UsageError, match="must have one of the scopes"):
        visitors.sign_in(tracker)
    token = visitors.sign_in(f" {key} ")
    assert visitors.by_token(token).scopes == {"aggregates"}
    parts.keys.revoke("boss")
    assert visitors.by_token(token).scopes == frozenset()
    assert COOKIE == "shopkeeper_visit"


def test_pages_of_customers_need_the_scope(small_shop):
    """With aggregates alone, no page of one customer is there."""
    visit = small_shop.gallery.visit(frozenset({"aggregates"}))
    there = {page.path for page in pages() if page.is_there(visit)}
    assert "customer" not in there
    assert {"overview", "product"} <= there


def test_explore_tells_what_a_table_holds(app_of, small_shop):
    """Ten lines, two of them of guests, worth 3 and 7; the column that the address names."""
    app = app_of(small_shop, "explore", table="core.order_lines", column="quantity")
    assert not app.exception
    assert "10 rows in 29 columns" in told(app)
    assert "“no customer” (2 rows, 20 %)" in told(app)
    assert app.selectbox(key="column").value == "quantity"
    assert "2 · 2.5 · 5.5" in told(app)


def test_explore_hides_customers_without_the_scope(app_of, small_shop, monkeypatch):
    """Their ids are counted, and not shown."""
    app = app_of(small_shop, "explore", table="core.order_lines", column="customer_id")
    assert "10001" in str(app.dataframe[0].value["values"].tolist())
    monkeypatch.setattr(Visitors, "by_token", lambda *_: Caller("clerk", frozenset({"aggregates"})))
    app = app_of(small_shop, "explore", table="core.order_lines", column="customer_id")
    assert not app.exception
    assert "Values are hidden" in told(app)
    assert "10001" not in str(app.dataframe[0].value["values"].tolist())


def test_explore_names_the_nearest_table(app_of, small_shop):
    """A table that there is not is a sentence, and all tables are shown."""
    app = app_of(small_shop, "explore", table="core.order_line")
    assert "The nearest are core.order_lines" in told(app)
    assert not app.exception

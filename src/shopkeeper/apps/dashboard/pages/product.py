"""One product: sales, prices, demand to come, what another price would do, what goes with it, stock and promotions."""

from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper.apps.charts import figures
from shopkeeper.apps.charts.figures import Series
from shopkeeper.apps.dashboard.parts import Card, cards, chart, header, section, table
from shopkeeper.apps.dashboard.parts.choice import chosen
from shopkeeper.apps.dashboard.parts.sold import WIDE, course
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.exhibits import Shown, dossiers

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

SECTIONS = dossiers.PRODUCT_SECTIONS


def show(view: View) -> None:
    """Show the page."""
    shown = chosen(view, "product", dossiers.PRODUCT)
    if shown is None:
        return
    one = shown.first()
    key = one["product_id"]
    told = [f"Code {key}", one["category"], one["brand"]]
    header(view, one["description"] or key, told=" · ".join(filter(None, told)))
    _cards(view, shown)
    with st.grid(2, min_column_width=WIDE, gap="small", key="course"):
        sold = view.show(dossiers.PRODUCT_OVER_TIME, id=key)
        course(view, sold, "net_sales", f"Net sales by {view.filter.grain}")
        _prices(view, view.show(dossiers.PRICE_HISTORY, id=key))
    if view.has("predictions.demand_forecasts"):
        _demand(view, key)
    if view.has("predictions.price_advice"):
        _price(view, key)
    _together(view, key)


def _cards(view: View, shown: Shown) -> None:
    one, tell = shown.first(), view.formats
    each = [
        Card(shown, "net_sales", note=f"place {one['place']:,} of {one['n_products']:,}"),
        Card(shown, "n_units", note=f"on {tell.count(one['n_orders'])} orders"),
        Card(
            shown, "price", label="Last price", note=f"cost {tell.price(one['unit_cost'])}" if one["unit_cost"] else ""
        ),
        Card(shown, "last_sold_on", label="Last sold", note=f"first {tell.date(one['first_sold_on'])}"),
    ]
    stock = view.show(SECTIONS["stock"], id=one["product_id"])
    if not stock.is_empty and (row := stock.first())["on_hand"] is not None:
        where = "" if row["store_id"] == "all" else f" in {row['store_id']}"
        lasts = f"{tell.number(row['days_of_stock_left'])} days{where}"
        each.append(Card(stock, "on_hand", label="On hand", note=lasts))
    answer = view.show(SECTIONS["how_buyers_answer_to_the_price"], id=one["product_id"])
    if not answer.is_empty and (row := answer.first())["elasticity"] is not None:
        each.append(Card(answer, "elasticity", note=f"{tell.number(row['low'])} to {tell.number(row['high'])}"))
    cards(view, each, key="product")


def _prices(view: View, shown: Shown) -> None:
    def figure() -> "Figure":
        return figures.lines(
            view.theme,
            view.formats,
            shown.column("week_start"),
            [
                Series(
                    "middle price",
                    shown.column("median_price"),
                    "price",
                    shown.column("lowest_price"),
                    shown.column("highest_price"),
                )
            ],
        )

    chart(view, shown, figure)


def _demand(view: View, key: str) -> None:
    section("What will sell, and what is there")
    shown = view.show(dossiers.PRODUCT_FORECAST, id=key)

    def figure() -> "Figure":
        expected = Series(
            "expected",
            shown.column("expected"),
            "number",
            shown.column("expected_low"),
            shown.column("expected_high"),
            is_dashed=True,
        )
        sold = Series("sold", shown.column("sold"), "number")
        return figures.lines(view.theme, view.formats, shown.column("day"), [sold, expected])

    stock = view.show(dossiers.STOCK_OVER_TIME, id=key)
    with st.grid(1 if stock.is_empty else 2, min_column_width=WIDE, gap="small", key="demand"):
        chart(view, shown, figure, none="This product is not forecast: it sold too little of late.")
        if not stock.is_empty:
            _stock(view, stock)
    table(view, view.show(SECTIONS["stock"], id=key), leads_to="store_id", none="Nothing is known of its stock.")
    promotions = view.show(dossiers.PLANNED_PROMOTIONS, id=key)
    if not promotions.is_empty:
        table(view, promotions)


def _stock(view: View, shown: Shown) -> None:
    def figure() -> "Figure":
        series = [Series("on hand", shown.column("on_hand"), "count")]
        return figures.lines(view.theme, view.formats, shown.column("day"), series, is_filled=True)

    chart(view, shown, figure)


def _price(view: View, key: str) -> None:
    section("What it should cost")
    shown = view.show(dossiers.PRICE_CURVE, id=key)

    def figure() -> "Figure":
        first = shown.first()
        series = Series(
            f"{first['objective']} a day",
            shown.column("money_per_day"),
            "money",
            shown.column("money_low"),
            shown.column("money_high"),
        )
        drawn = figures.lines(view.theme, view.formats, shown.column("price"), [series], x_unit="price")
        marks = {"now": first["price_now"], "advised": first["advised_price"]}
        return figures.marked(drawn, view.theme, view.formats, marks)

    chart(view, shown, figure, none="No what-if: how buyers answer to its price is unknown; the table below says why.")
    table(view, view.show(SECTIONS["price_advice"], id=key))
    table(view, view.show(SECTIONS["how_buyers_answer_to_the_price"], id=key))
    changes = view.show(SECTIONS["last_price_changes"], id=key)
    if not changes.is_empty:
        table(view, changes)


def _together(view: View, key: str) -> None:
    each = [(name, view.show(SECTIONS[name], id=key)) for name in ("goes_with_it", "rules", "bundles")]
    if all(shown.is_empty for _, shown in each):
        return
    section("What goes with it")
    for name, shown in each:
        if not shown.is_empty:
            table(view, shown, leads_to="product_id" if name == "goes_with_it" else "")


PAGE = Page(
    "product",
    "Product",
    show,
    needs=("core.products",),
    is_listed=False,
    place=91,
    obeys=("period", "country", "store"),
)

"""Overview: how the shop does, over time, by place and by product, and where last month's growth came from."""

from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper.apps.charts import figures, maps
from shopkeeper.apps.dashboard.parts import chart, empty, header, section, table
from shopkeeper.apps.dashboard.parts import sold as parts
from shopkeeper.apps.dashboard.parts.cards import Card, cards
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.exhibits import Exhibit, sales

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

BY_PLACE: dict[str, tuple[Exhibit, Exhibit, Exhibit]] = {
    "country": (sales.BY_COUNTRY, sales.COUNTRY_BY_MONTH, sales.TOP_COUNTRY),
    "state": (sales.BY_STATE, sales.STATE_BY_MONTH, sales.TOP_STATE),
    "store": (sales.BY_STORE, sales.STORE_BY_MONTH, sales.TOP_STORE),
}
WIDE = parts.WIDE


def show(view: View) -> None:
    """Show the page."""
    header(view, "Overview", "How the shop does in the period and the places chosen in the sidebar.")
    if view.has("metrics.daily_sales"):
        _sales(view)
    elif view.has("metrics.daily_traffic"):
        _visits(view)
    else:
        empty(
            "This version holds no sales and no visits",
            "Bring order lines or events to the shop, then run it; this page finds the new version by itself.",
            "shopkeeper run",
        )


def _sales(view: View) -> None:
    parts.totals(view, key="overview")
    parts.over_time(view, key="overview")
    growth = view.show(sales.NEW_AND_OLD)
    if set(growth.column("kind")) - {"guests"}:
        parts.growth(view, growth)
    section("What sells, and where")
    with st.grid(2, min_column_width=WIDE, gap="small", key="what"):
        parts.top_products(view)
        if len(view.visit.choices.categories) > 1:
            _treemap(view, sales.BY_CATEGORY, "category")
        elif view.locations:
            _treemap(view, BY_PLACE[view.locations[0]][0], view.locations[0])
    for place in view.locations:
        _place(view, place)
    table(view, view.show(sales.MONTHLY), height="content")


def _treemap(view: View, exhibit: Exhibit, unit: str) -> None:
    shown = view.show(exhibit)

    def figure() -> "Figure":
        return figures.treemap(
            view.theme, view.formats, shown.column(unit), shown.column("net_sales"), height=parts.RANKED
        )

    chart(view, shown, figure, title=f"Shares by {unit}", key=f"treemap {unit}")


def _place(view: View, place: str) -> None:
    by_place, by_month, top = BY_PLACE[place]
    shown = view.show(by_place)
    if place in maps.FILES and maps.can_show(place, shown.column(place)):
        drawn = maps.of_places(view.theme, view.formats, place, shown.column(place), shown.column("net_sales"))
        missing = ", ".join(drawn.missing)
        chart(
            view,
            shown,
            lambda: drawn.figure,
            leads_to=place,
            below="Darker is more, each step about three times the one before."
            + (f" Without a shape: {missing}." if missing else ""),
        )
    with st.grid(2, min_column_width=WIDE, gap="small", key=f"place {place}"):
        _by_month(view, by_month, place)
        table(
            view,
            shown,
            title=f"{place.capitalize()} by net sales",
            leads_to=place,
            key=f"list {place}",
            height=parts.RANKED,
        )
    if len(view.visit.choices.categories) > 1:
        table(view, view.show(top), leads_to=place)


def _by_month(view: View, exhibit: Exhibit, unit: str) -> None:
    shown = view.show(exhibit)

    def figure() -> "Figure":
        months = sorted(set(shown.column("month_start")))
        members = list(dict.fromkeys(shown.column(unit)))
        told = {(row[unit], row["month_start"]): row["net_sales"] for row in shown.rows}
        cells = [[told.get((member, month)) for month in months] for member in members]
        return figures.heat(view.theme, view.formats, months, members, cells, is_logarithmic=True)

    chart(
        view,
        shown,
        figure,
        below="Tinted by order of size: each row can be read, the largest do not outshine the rest.",
    )


def _visits(view: View) -> None:
    totals, course = view.show(sales.TRAFFIC_TOTALS), view.show(sales.TRAFFIC_OVER_TIME)
    columns = ("revenue", "n_sessions", "n_visitors", "n_sessions_with_purchase", "conversion")
    cards(view, [Card(totals, column, course=course.column(column)) for column in columns], key="overview")
    with st.grid(2, min_column_width=WIDE, gap="small", key="visits"):
        for column, label in (("revenue", "Revenue"), ("n_sessions", "Visits")):
            parts.course(view, course, column, f"{label} by {view.filter.grain}")


PAGE = Page("overview", "Overview", show, icon="monitoring", place=0, obeys=("period", "country", "store", "category"))

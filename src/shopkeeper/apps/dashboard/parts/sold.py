"""What is shown of sales wherever sales are shown: the shop's, a country's, a store's."""

from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper.apps.charts import figures
from shopkeeper.apps.charts.figures import Series
from shopkeeper.apps.dashboard.parts.cards import Card, cards
from shopkeeper.apps.dashboard.parts.charts import chart
from shopkeeper.apps.dashboard.view import View
from shopkeeper.serving.exhibits import Shown, sales

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

WIDE = 400
RANKED = 436
"""Height of ten ranked bars, and of what stands beside them."""
CHANGES = {
    "net_sales": ("growth_on_month", "change"),
    "n_orders": ("growth_of_orders", "change"),
    "n_customers": ("growth_of_customers", "change"),
    "net_sales_per_order": ("growth_of_average_order", "change"),
    "return_rate": ("change_of_return_rate", "points"),
}
"""Card → the column that tells how the last whole month differs from the month before, and its unit."""


def totals(view: View, *, key: str) -> None:
    """Show the cards of a period, each with its course and the change of the last whole month on the month before."""
    shown, course, growth = view.show(sales.TOTALS), view.show(sales.OVER_TIME), view.show(sales.GROWTH)
    told, whole = growth.first(), [row for row in course.rows if row["is_whole"]]
    each = [
        Card(
            shown,
            column,
            change=told[change],
            change_unit=unit,
            course=[row[column] for row in whole],
            is_bad_up=column == "return_rate",
        )
        for column, (change, unit) in CHANGES.items()
        if column in {"net_sales", "n_orders", "net_sales_per_order"} or shown.first()[column]
    ]
    months = view.show(sales.MONTHLY)
    for column, before, name in (
        ("growth_on_month", "net_sales_month_before", "month"),
        ("growth_on_year", "net_sales_year_before", "year"),
    ):
        if told[column] is not None:
            grown = [row[column] for row in reversed(months.rows) if row["is_complete"]]
            note = f"from {view.formats.short_money(told[before])}"
            each.append(Card(growth, column, label=f"{name.capitalize()} growth", note=note, course=grown))
    line = (
        ""
        if growth.is_empty
        else f"Changes are those of {view.formats.month(told['month_start'])}, the last whole month, on the month before."
    )
    cards(view, each, key=key, told=line)


def over_time(view: View, *, key: str) -> None:
    """Show net sales and customers over the period."""
    shown = view.show(sales.OVER_TIME)
    has_customers = any(shown.column("n_customers"))
    with st.grid(2, min_column_width=WIDE, gap="small", key=f"over-time {key}"):
        course(view, shown, "net_sales", f"Net sales by {view.filter.grain}", key=key)
        if not has_customers:
            course(view, shown, "n_orders", f"Orders by {view.filter.grain}", key=key)
            return

        def figure() -> "Figure":
            series = [Series("customers", shown.column("n_customers"), "count")]
            series.append(Series("new ones", shown.column("n_new_customers"), "count"))
            return figures.lines(
                view.theme,
                view.formats,
                shown.column("period_start"),
                series,
                x_unit=_unit(view),
                is_whole=shown.column("is_whole"),
            )

        chart(view, shown, figure, title=f"Customers by {view.filter.grain}", key=f"customers over time {key}")


def course(view: View, shown: Shown, column: str, title: str, *, key: str = "") -> None:
    """Show one column over the periods of an exhibit."""

    def figure() -> "Figure":
        return figures.lines(
            view.theme,
            view.formats,
            shown.column("period_start"),
            [Series(shown.exhibit.heading(column).lower(), shown.column(column), shown.exhibit.units[column])],
            x_unit=_unit(view),
            is_whole=shown.column("is_whole"),
            is_filled=True,
        )

    chart(view, shown, figure, title=title, key=f"{column} over time {key}")


def _unit(view: View) -> str:
    return "month" if view.filter.grain == "month" else "period"


def growth(view: View, shown: Shown) -> None:
    """Show what new customers, old ones and guests did for the growth of the last whole month, and over time."""
    told = view.show(sales.GROWTH_PARTS)
    first = told.first()
    st.header(
        f"Where the growth of {view.formats.month(first['month_start'])} came from",
        anchor=False,
        help=told.exhibit.definition,
    )
    is_growth = first["change"] is not None and first["change"] > 0
    each = [Card(told, "change", label="Change of net sales", note="100 %")]
    for column, part in (("by_new", "part_of_new"), ("by_old", "part_of_old"), ("by_guests", "part_of_guests")):
        if first[column]:
            note = f"{view.formats.share(first[part])} of the {'growth' if is_growth else 'change'}"
            each.append(Card(told, column, note=note))
    cards(view, each, key="growth")

    def steps() -> "Figure":
        rows = shown.rows
        return figures.steps(
            view.theme,
            view.formats,
            [row["kind"] for row in rows],
            [row["change"] for row in rows],
            start=("month before", rows[0]["total_month_before"]),
            end=(view.formats.month(rows[0]["month_start"]), rows[0]["total"]),
        )

    with st.grid(2, min_column_width=WIDE, gap="small", key="growth-charts"):
        chart(view, shown, steps, title="By what customers did")
        _new_and_old(view)


def _new_and_old(view: View) -> None:
    shown = view.show(sales.NEW_AND_OLD_OVER_TIME)

    def figure() -> "Figure":
        months = sorted(set(shown.column("month_start")))
        told = {(row["kind"], row["month_start"]): row["net_sales"] for row in shown.rows}
        kinds = [kind for kind in ("old", "new", "guests") if any((kind, month) in told for month in months)]
        series = [Series(kind, [told.get((kind, month), 0) for month in months]) for kind in kinds]
        return figures.bars(view.theme, view.formats, months, series, is_stacked=True, label_unit="month")

    chart(view, shown, figure)


def top_products(view: View, *, key: str = "") -> None:
    """Show the ten products with most net sales; each leads to its page."""
    shown = view.show(sales.TOP_PRODUCTS)

    def figure() -> "Figure":
        rows = shown.rows[:10]
        return figures.ranking(
            view.theme,
            view.formats,
            [row["description"] for row in rows],
            [row["net_sales"] for row in rows],
            keys=[row["product_id"] for row in rows],
            notes=[f"{view.formats.count(row['n_units'])} units" for row in rows],
        )

    chart(view, shown, figure, leads_to="product", key=f"top products {key}")

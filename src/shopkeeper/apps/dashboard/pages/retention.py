"""Retention: whether customers order again, by the month in which they ordered first."""

from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper.apps.charts import figures
from shopkeeper.apps.charts.figures import Series
from shopkeeper.apps.dashboard.parts import chart, header
from shopkeeper.apps.dashboard.parts.tabs import headline
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.exhibits import Shown, customers, sales

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TWO = 430
MEASURES = {"retention": "Share who came back", "n_active": "Customers", "net_sales": "Net sales"}
UNITS = {"retention": "share", "n_active": "count", "net_sales": "money"}
KINDS = ("new", "old", "guests")


def show(view: View) -> None:
    """Show the page."""
    header(view, "Retention", "Whether those who ordered once order again, by the month of their first order.")
    by_age = view.show(customers.RETURNING)
    told = {row["months_since"]: row for row in by_age.rows}
    known = [each for each in (1, 3, 6, 12) if each in told]
    if known:
        said = ", ".join(
            f"{view.formats.share(told[each]['retention'])} {'in the month after' if each == 1 else f'{each} months later'}"
            for each in known
        )
        headline(f"Of those who ordered for the first time, so many ordered again: {said}.")
    _cohorts(view)
    with st.grid(2, min_column_width=TWO, gap="small", key="retention"):
        chart(view, by_age, lambda: _by_age(view, by_age), below="The last points rest on the few oldest cohorts.")
        _new_and_old(view)


def _cohorts(view: View) -> None:
    cohorts = view.show(customers.COHORTS)
    measure = st.segmented_control(
        "Show",
        list(MEASURES),
        default="retention",
        format_func=lambda each: MEASURES[each],
        required=True,
        key="measure",
    )
    chart(
        view,
        cohorts,
        lambda: _heat(view, cohorts, measure or "retention"),
        below="Rows: month of the first order, with its customers. Columns: months since.",
    )


def _heat(view: View, cohorts: Shown, measure: str) -> "Figure":
    rows = cohorts.rows
    months = sorted({row["cohort_month"] for row in rows})
    # In the first month all bought: it would only pale the others.
    ages = sorted({row["months_since"] for row in rows} - ({0} if measure != "net_sales" else set()))
    cells = {(row["cohort_month"], row["months_since"]): row[measure] for row in rows}
    sizes = {row["cohort_month"]: row["n_customers"] for row in rows}
    lines = [[cells.get((month, age)) for age in ages] for month in months]
    return figures.heat(
        view.theme,
        view.formats,
        ages,
        [f"{view.formats.month(month)} ({view.formats.count(sizes[month])})" for month in months],
        lines,
        unit=UNITS[measure],
        column_unit="count",
        shows_values=True,
    )


def _by_age(view: View, by_age: Shown) -> "Figure":
    return figures.lines(
        view.theme,
        view.formats,
        by_age.column("months_since"),
        [Series("ordered again", by_age.column("retention"), "share")],
        x_unit="count",
        is_filled=True,
    )


def _new_and_old(view: View) -> None:
    shown = view.show(sales.NEW_AND_OLD_OVER_TIME)

    def figure() -> "Figure":
        months = sorted({row["month_start"] for row in shown.rows})
        told = {(row["month_start"], row["kind"]): row["net_sales"] for row in shown.rows}
        return figures.bars(
            view.theme,
            view.formats,
            months,
            [
                Series(kind, [told.get((month, kind), 0) for month in months])
                for kind in KINDS
                if any(told.get((month, kind)) for month in months)
            ],
            is_stacked=True,
            label_unit="month",
        )

    chart(view, shown, figure)


PAGE = Page(
    "retention",
    "Retention",
    show,
    icon="replay",
    section="Insight",
    place=3,
    needs=("metrics.cohort_retention",),
    obeys=("period",),
)

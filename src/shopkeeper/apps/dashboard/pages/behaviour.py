"""Behaviour: what visitors do, from the first view to the purchase; when they come, and whether they come back."""

from itertools import pairwise
from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper.apps.charts import figures
from shopkeeper.apps.charts.figures import Series
from shopkeeper.apps.dashboard.parts import Card, cards, chart, empty, header, table
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.exhibits import Shown, behaviour

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TWO = 430
PARTS = ("Funnel", "Traffic", "Hours", "Visitors", "Products")
STEPS = {"view": "view a product", "cart": "put it into the cart", "purchase": "buy"}
BY = {
    "revenue_per_day": ("Revenue", "money", "revenue"),
    "n_purchases_per_day": ("Purchases", "number", "n_purchases"),
    "n_events_per_day": ("Events", "number", "n_events"),
}


def show(view: View) -> None:
    """Show the page."""
    totals, funnel = view.show(behaviour.TOTALS), view.show(behaviour.FUNNEL)
    header(view, "Behaviour", "What visitors did, as trackers and collectors sent it.")
    _headline(view, totals, funnel)
    course = view.show(behaviour.OVER_TIME)
    whole = [row for row in course.rows if row["is_whole"]] or course.rows

    def of(column: str) -> list[object]:
        return [row[column] for row in whole]

    columns = ("n_sessions", "n_visitors", "conversion", "bounce_rate", "revenue", "revenue_per_visitor")
    new = view.formats.count(totals.first()["n_new_visitors"])
    each = [
        Card(
            totals,
            column,
            course=of(column),
            note=f"{new} new" if column == "n_visitors" else "",
            is_bad_up=column == "bounce_rate",
        )
        for column in columns
    ]
    cards(view, each, key="behaviour")
    tabs = st.tabs(PARTS, key="part", bind="query-params")
    shows = (_funnel, _traffic, _hours, _visitors, _products)
    for tab, part in zip(tabs, shows, strict=True):
        if tab.open:
            with tab:
                part(view, funnel if part is _funnel else course)


def _headline(view: View, totals: Shown, funnel: Shown) -> None:
    rows = {row["step"]: row for row in funnel.rows}
    if not rows or not rows["view"]["n_sessions"]:
        return
    cart, bought = (view.formats.share(rows[step]["share_of_views"]) for step in ("cart", "purchase"))
    minutes = view.formats.number(totals.first()["minutes_per_session"])
    st.markdown(
        f"Of the visits that view a product, **{cart}** put something into the cart and **{bought}** go on to buy. "
        f"A visit lasts {minutes} minutes on average."
    )


def _funnel(view: View, funnel: Shown) -> None:
    with st.grid(2, min_column_width=TWO, gap="small", key="funnel"):

        def steps() -> "Figure":
            rows = funnel.rows
            return figures.ranking(
                view.theme,
                view.formats,
                [STEPS[row["step"]].capitalize() for row in rows],
                [row["n_sessions"] for row in rows],
                unit="count",
                notes=[
                    f"{view.formats.share(row['share_of_step_before'])} of the step before"
                    if row["share_of_step_before"] is not None
                    else ""
                    for row in rows
                ],
            )

        rows = funnel.rows
        told = " · ".join(
            f"{view.formats.share(row['share_of_step_before'])} of those who {STEPS[before['step']]} {STEPS[row['step']]}"
            for before, row in pairwise(rows)
            if row["share_of_step_before"] is not None
        )
        chart(view, funnel, steps, title="Visits that …", below=told)
        _before(view)
    course = view.show(behaviour.FUNNEL_OVER_TIME)

    def rates() -> "Figure":
        names = ("cart_rate", "purchase_rate", "view_to_purchase_rate")
        return figures.lines(
            view.theme,
            view.formats,
            course.column("period_start"),
            [Series(course.exhibit.heading(name), course.column(name), "share") for name in names],
            x_unit="month" if view.filter.grain == "month" else "period",
            is_whole=course.column("is_whole"),
        )

    chart(view, course, rates)


def _before(view: View) -> None:
    shown = view.show(behaviour.BEFORE_PURCHASE)
    names = list(dict.fromkeys(row["previous_event_type"] for row in shown.rows))
    shares = {(row["scope"], row["previous_event_type"]): row["share"] for row in shown.rows}

    def figure() -> "Figure":
        return figures.bars(
            view.theme,
            view.formats,
            names,
            [
                Series(label, [shares.get((scope, name), 0) for name in names], "share")
                for scope, label in (("session", "in the same visit"), ("product", "and of the same product"))
            ],
        )

    chart(view, shown, figure)


def _traffic(view: View, course: Shown) -> None:
    x, unit = course.column("period_start"), "month" if view.filter.grain == "month" else "period"

    def drawn(*series: Series, is_filled: bool = False) -> "Figure":
        return figures.lines(
            view.theme, view.formats, x, series, x_unit=unit, is_whole=course.column("is_whole"), is_filled=is_filled
        )

    grain = view.filter.grain
    with st.grid(2, min_column_width=TWO, gap="small", key="traffic"):
        chart(
            view,
            course,
            lambda: drawn(
                Series("visits", course.column("n_sessions"), "count"),
                Series("visitors", course.column("n_visitors"), "count"),
            ),
            title=f"Visits and visitors by {grain}",
            key="visits",
        )
        chart(
            view,
            course,
            lambda: drawn(
                Series("conversion", course.column("conversion"), "share"),
                Series("bounce", course.column("bounce_rate"), "share"),
            ),
            title=f"Conversion and bounce by {grain}",
            key="conversion",
        )
        chart(
            view,
            course,
            lambda: drawn(Series("revenue", course.column("revenue")), is_filled=True),
            title=f"Revenue by {grain}",
            key="revenue",
        )
        chart(
            view,
            course,
            lambda: drawn(Series("revenue per visitor", course.column("revenue_per_visitor"), "price"), is_filled=True),
            title=f"Revenue per visitor by {grain}",
            key="revenue-per-visitor",
        )
    table(view, view.show(behaviour.DAILY_ACTIVITY), height="content")


def _hours(view: View, course: Shown) -> None:  # noqa: ARG001 - all parts are called alike
    shown = view.show(behaviour.BY_HOUR)
    chosen = (
        st.segmented_control(
            "Count",
            list(BY),
            default="revenue_per_day",
            format_func=lambda name: BY[name][0],
            key="counted",
            required=True,
        )
        or "revenue_per_day"
    )
    label, unit, total = BY[chosen]
    rows = shown.rows
    cells = {(row["iso_weekday"], row["hour"]): row[chosen] for row in rows}
    best = max(rows, key=lambda row: row[total], default=None)

    def figure() -> "Figure":
        return figures.heat(
            view.theme,
            view.formats,
            list(range(24)),
            [view.formats.weekday(day) for day in range(1, 8)],
            [[cells.get((day, hour), 0) for hour in range(24)] for day in range(1, 8)],
            unit=unit,
            column_unit="text",
        )

    title = f"{label} a day, by weekday and hour"
    if best and best[total]:
        title += f": most on {view.formats.weekday(best['iso_weekday'])} from {best['hour']} to {best['hour'] + 1}"
    chart(view, shown, figure, title=title, key=f"hours {chosen}")
    with st.grid(2, min_column_width=TWO, gap="small", key="hours-and-days"):
        hours = [sum(row[total] for row in rows if row["hour"] == hour) for hour in range(24)]
        days = [sum(row[total] for row in rows if row["iso_weekday"] == day) for day in range(1, 8)]
        of_total = "money" if unit == "money" else "count"
        chart(
            view,
            shown,
            lambda: figures.bars(
                view.theme, view.formats, [str(hour) for hour in range(24)], [Series(label.lower(), hours, of_total)]
            ),
            title=f"{label} by hour",
            key=f"hour {chosen}",
        )
        chart(
            view,
            shown,
            lambda: figures.bars(
                view.theme,
                view.formats,
                [view.formats.weekday(day) for day in range(1, 8)],
                [Series(label.lower(), days, of_total)],
            ),
            title=f"{label} by weekday",
            key=f"weekday {chosen}",
        )


def _visitors(view: View, course: Shown) -> None:
    active = view.show(behaviour.ACTIVITY)
    with st.grid(2, min_column_width=TWO, gap="small", key="visitors"):
        chart(
            view,
            active,
            lambda: figures.lines(
                view.theme,
                view.formats,
                active.column("day"),
                [
                    Series("active that day", active.column("n_active"), "count", colour=view.theme.muted),
                    Series("mean of 7 days", active.column("mean_7d"), "number", colour=view.theme.main),
                ],
            ),
        )
        chart(
            view,
            course,
            lambda: figures.bars(
                view.theme,
                view.formats,
                course.column("period_start"),
                [
                    Series("returning", course.column("n_returning_visitors"), "count"),
                    Series("new", course.column("n_new_visitors"), "count"),
                ],
                is_stacked=True,
                label_unit="month" if view.filter.grain == "month" else "period",
            ),
            title=f"New and returning visitors by {view.filter.grain}",
            key="new-visitors",
        )
    _retention(view)


def _retention(view: View) -> None:
    shown = view.show(behaviour.RETENTION)
    rows = shown.rows
    cohorts = list(dict.fromkeys(row["cohort_month"] for row in rows))
    sizes = {row["cohort_month"]: row["n_customers"] for row in rows}
    months = list(range(1, max((row["months_since"] for row in rows), default=0) + 1))
    cells = {(row["cohort_month"], row["months_since"]): row["retention"] for row in rows}
    if not months:
        empty("Nobody could come back yet", "All visitors of this period were first seen in its last month.")
        return

    def figure() -> "Figure":
        return figures.heat(
            view.theme,
            view.formats,
            months,
            [f"{view.formats.month(cohort)} ({view.formats.count(sizes[cohort])})" for cohort in cohorts],
            [[cells.get((cohort, month)) for month in months] for cohort in cohorts],
            unit="share",
            column_unit="text",
            shows_values=len(months) <= 13,
        )

    chart(
        view,
        shown,
        figure,
        below="Visitors first seen in a month (how many), and the share of them who came so many months later.",
    )


def _products(view: View, course: Shown) -> None:  # noqa: ARG001
    table(view, view.show(behaviour.PRODUCTS), leads_to="product_id")


PAGE = Page(
    "behaviour",
    "Behaviour",
    show,
    icon="web_traffic",
    section="Insight",
    place=5,
    needs=("metrics.daily_traffic",),
    obeys=("period",),
    without="This page shows what visitors do on a site: views, carts and purchases. It stands here as soon as events come: "
    "from files, or sent to a running shopkeeper serve.",
)

"""Demand: what to reorder, what will be sold and how sure that is, how demand goes through the week and the year, promotions."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from shopkeeper.apps.charts import figures
from shopkeeper.apps.charts.courses import ahead, stems
from shopkeeper.apps.charts.figures import Series
from shopkeeper.apps.dashboard.parts import Card, cards, chart, empty, header, note, table
from shopkeeper.apps.dashboard.parts.tabs import headline, tabs
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.exhibits import Shown, demand, reports
from shopkeeper.serving.exhibits.customers import PLACES
from shopkeeper.vocabulary import DEMAND

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TWO = 430
LEVELS = {"total": "Whole shop", "country": "Country", "store": "Store", "category": "Category", "product": "Product"}
FREQUENCIES = {"daily": "By day", "weekly": "By week"}


def show(view: View) -> None:
    """Show the page."""
    header(
        view,
        "Demand",
        "What to reorder, and what will be sold.",
        told=f"As of {view.formats.date(view.last_day)}",
    )
    parts = {}
    if view.has(demand.STOCK):
        parts["What to reorder"] = _reorder
    if view.has(demand.FORECASTS):
        parts["Forecast"] = _forecast
        if reports.report_of(view.visit.edition, DEMAND):
            parts["How good it is"] = _backtest
    if view.has(demand.SALES):
        parts["Seasons"] = _seasons
    if view.has(demand.PROMOTIONS):
        parts["Promotions"] = _promotions
    tabs(view, parts, key="part")


def _reorder(view: View) -> None:
    totals, shown = view.show(demand.TO_ORDER), view.show(demand.REORDER)
    told, tell = totals.first(), view.formats
    if told["n_with_stock"]:
        headline(
            f"{tell.count(told['n_to_reorder'])} of {tell.count(told['n_items'])} products{_at_stores(view)} are at or "
            f"below their reorder point: order "
            f"{tell.count(told['units_to_order'] or 0)} units now. {tell.count(told['n_out_of_stock'])} are out of stock."
        )
        each = ["n_to_reorder", "n_out_of_stock", "n_less_than_a_week", "units_to_order"]
        cards(
            view,
            [Card(totals, name) for name in each + ["order_value"] * (told["order_value"] is not None)],
            key="stock",
        )
    else:
        headline(
            f"What is in stock is not known, so when to reorder is told as a reorder point: order once stock falls to it, with a "
            f"chance of {tell.share(told['service_level'])} not to run out."
        )
        cards(view, [Card(totals, name) for name in ("n_items", "units_of_a_period", "service_level")], key="stock")
    rows = shown.rows
    columns = [
        name
        for name in shown.exhibit.units
        if any(row[name] is not None for row in rows) and (name != "store_id" or len({row[name] for row in rows}) > 1)
    ]
    table(view, shown, leads_to="product_id", columns=columns, height=460, none="There is nothing to order.")


def _at_stores(view: View) -> str:
    return " at their stores" if len({row["store_id"] for row in view.show(demand.REORDER).rows}) > 1 else ""


def _forecast(view: View) -> None:
    levels = [level for level in LEVELS if not view.show(demand.SERIES, level=level).is_empty]
    level = (
        st.segmented_control(
            "Of", levels, default=levels[0], format_func=lambda each: LEVELS[each], required=True, key="level"
        )
        or levels[0]
    )
    known = {row["series"]: row["name"] for row in view.show(demand.SERIES, level=level).rows}
    series = next(iter(known))
    if level != "total":
        chosen = st.selectbox(
            LEVELS[level],
            list(known),
            format_func=lambda each: each if known[each] == each else f"{known[each].strip()} ({each})",
            key=f"series {level}",
        )
        series = chosen or series
    by = (
        st.segmented_control(
            "Counted",
            list(FREQUENCIES),
            default="weekly",
            format_func=lambda each: FREQUENCIES[each],
            required=True,
            key="by",
        )
        or "weekly"
    )
    totals = view.show(demand.AHEAD, level=level, series=series)
    told, tell = totals.first(), view.formats
    who = "The shop" if level == "total" else known[series].strip()
    headline(
        f"{who} is expected to sell {tell.count(told['units'])} units from {tell.date(told['first_day'])} to "
        f"{tell.date(told['last_day'])}."
    )
    course = view.show(demand.course_of(level, by, has_lines=view.has("core.order_lines")), level=level, series=series)
    chart(
        view,
        course,
        lambda: ahead(view.theme, view.formats, course.rows, is_weekly=by == "weekly"),
        key="course",
        below=f"Method: {told['model']}. The band holds what will be sold with 90 %."
        + (f" Planned promotions add {tell.share(told['mean_lift'])}." if (told["mean_lift"] or 0) > 0.0005 else ""),
    )
    if level != "total":
        everything = view.show(demand.ALL_AHEAD, level=level)
        leads = "series" if level in {"product", "country", "store"} else ""
        table(view, everything, leads_to=leads, columns=_names(everything))


def _names(shown: Shown) -> list[str]:
    """Return the columns that say something: a name that is the code, and promotions where none is planned, do not."""
    rows = shown.rows
    silent = {"name"} if all(row["name"] == row["series"] for row in rows) else set()
    if all((row["lift"] or 1) < 1.0005 for row in rows):
        silent.add("lift")
    return [name for name in shown.exhibit.units if name not in silent]


def _backtest(view: View) -> None:
    edition, tell = view.visit.edition, view.formats
    report = reports.report_of(edition, DEMAND)
    judged = reports.candidates(edition, DEMAND, demand.JUDGED)
    facts = report.get("facts", {})
    rows = {(row["candidate"], row["figure"]): row for row in judged.rows}
    mine, theirs = (rows.get((report.get(name), "wape")) for name in ("chosen", "baseline"))
    if mine and theirs and mine is not theirs:
        headline(
            f"On days it had not seen, the forecast of the whole shop was off by {tell.share(mine['value'])} of the "
            f"units sold; the "
            f"baseline, the same day a week before, by {tell.share(theirs['value'])}."
        )
    elif mine:
        headline(
            f"No method beat the baseline, the same day a week before. On days it had not seen it was off by "
            f"{tell.share(mine['value'])} of the units sold."
        )
    backtest = reports.curve(edition, DEMAND, demand.BACKTEST)

    def figure() -> "Figure":
        return figures.lines(
            view.theme,
            view.formats,
            backtest.column("day"),
            [
                Series("sold", backtest.column("actual"), "count", colour=view.theme.text),
                Series(
                    "forecast",
                    backtest.column("units"),
                    "count",
                    backtest.column("low"),
                    backtest.column("high"),
                    colour=view.theme.main,
                ),
                Series(
                    "a week before", backtest.column("naive"), "count", is_dashed=True, colour=view.theme.colours[1]
                ),
            ],
        )

    chart(view, backtest, figure, none="The report holds no forecasts made before.")
    _by_level(facts)
    table(view, judged, height="content")


def _by_level(facts: Any) -> None:
    ours, naive = facts.get("wrmsse_by_level", {}), facts.get("wrmsse_by_level_seasonal_naive", {})
    if not (ours and naive):
        return
    methods = facts.get("methods", {})
    told = "; ".join(
        f"{LEVELS.get(level, level).lower()} {ours[level]:.2f} against {naive[level]:.2f}"
        + (f" (by {methods[level].replace('_', ' ')})" if level in methods else "")
        for level in ours
        if level in naive
    )
    note(f"WRMSSE by level, against the baseline: {told}. Lower is better.")


def _seasons(view: View) -> None:
    weekdays, months = view.show(demand.WEEKDAYS), view.show(demand.MONTHS)
    days, tell = weekdays.rows, view.formats
    if days:
        best, least = (choose(days, key=lambda row: row["units_per_day"]) for choose in (max, min))
        headline(
            f"{tell.weekday(best['weekday'])} sells most, {tell.share(best['of_mean_day'])} of the mean day; "
            f"{tell.weekday(least['weekday'])} least, {tell.share(least['of_mean_day'])}."
        )
    with st.grid(2, min_column_width=TWO, gap="small", key="seasons"):
        chart(
            view,
            weekdays,
            lambda: figures.bars(
                view.theme,
                view.formats,
                [tell.weekday(day) for day in weekdays.column("weekday")],
                [Series("units a day", weekdays.column("units_per_day"), "count")],
            ),
        )
        chart(
            view,
            months,
            lambda: figures.bars(
                view.theme,
                view.formats,
                months.column("month_start"),
                [Series("units a day", months.column("units_per_day"), "count")],
                label_unit="month",
            ),
        )
    lags = view.show(demand.AUTOCORRELATION)
    chart(
        view,
        lags,
        lambda: stems(view.theme, view.formats, lags.column("lag"), lags.column("correlation"), lags.column("bound")),
        below="Dotted: what chance alone would do.",
        none="There are too few days with a sale.",
    )


def _promotions(view: View) -> None:
    planned, past = view.show(demand.PLANNED), view.show(demand.PAST)
    rows, tell = planned.rows, view.formats
    if rows:
        best = max(rows, key=lambda row: row["lift"] or 0)
        headline(
            f"{len(rows)} planned. The largest lift is expected of {best['name']} from {tell.date(best['starts_on'])}: "
            f"{tell.number(best['lift'])} times the usual units."
        )
    else:
        headline("No promotion is planned after the last day of the data.")
    if rows:
        table(
            view,
            planned,
            columns=[each for each in planned.exhibit.units if any(row[each] is not None for row in rows)],
        )
    if past.is_empty:
        empty("No promotion has ended in this period", "Choose a longer one in the sidebar.")
    else:
        table(
            view,
            past,
            leads_to="member",
            columns=[each for each in past.exhibit.units if any(row[each] is not None for row in past.rows)],
        )


PAGE = Page(
    "demand",
    "Demand",
    show,
    icon="local_shipping",
    section="Insight",
    place=6,
    needs=(demand.FORECASTS, demand.STOCK),
    obeys=("period", *PLACES),
)

"""Prices: which to change, how sure that is, how buyers answer to prices, and what earlier changes did."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from shopkeeper.apps.charts import intervals
from shopkeeper.apps.dashboard.parts import Card, cards, chart, empty, header, table
from shopkeeper.apps.dashboard.parts.tabs import headline, tabs
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.exhibits import Shown, prices
from shopkeeper.serving.exhibits.customers import PLACES

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

DRAWN, MANY = 12, 20
FURTHEST = 3.0


def show(view: View) -> None:
    """Show the page."""
    header(
        view,
        "Prices",
        "Which prices to change, and how buyers answer to prices.",
        told=f"As of {view.formats.date(view.last_day)}",
    )
    parts = {}
    if view.has(prices.ADVISED):
        parts["What to change"] = _advice
    if view.has(prices.ELASTIC):
        parts["Elasticities"] = _elasticities
    if view.has(prices.CHANGED):
        parts["Earlier changes"] = _changes
    tabs(view, parts, key="part")


def _advice(view: View) -> None:
    currency = {"currency": view.formats.currency}
    totals, shown = view.show(prices.TOTALS, **currency), view.show(prices.TO_CHANGE, **currency)
    told, tell, rows = totals.first(), view.formats, shown.rows
    if told["n_sure"]:
        first = rows[0]
        headline(
            f"{first['action'].capitalize()} {first['description'].strip()} from {tell.price(first['price'])} to "
            f"{tell.price(first['advised_price'])}: {tell.money(first['gain'])} more {first['objective']} in 30 days. "
            f"{tell.count(told['n_sure'])} prices are sure to gain, {tell.money(told['gain_of_sure'])} in all."
        )
    elif rows:
        headline(f"No price is sure to gain by a change; {tell.count(told['n_perhaps'])} may.")
    else:
        headline("No price needs to change, as far as is known.")
    cards(
        view,
        [Card(totals, name) for name in ("n_sure", "gain_of_sure", "n_perhaps", "n_to_keep", "n_unknown")],
        key="prices",
        told="No unit cost is known: what is advised brings most revenue, not most profit."
        if rows and all(row["objective"] == "revenue" for row in rows)
        else "",
    )
    only_sure = st.toggle("Only sure ones", value=bool(told["n_sure"]), key="sure", disabled=not told["n_sure"])
    if only_sure:
        shown = view.show(prices.TO_CHANGE_FOR_SURE, **currency)
    table(view, shown, leads_to="product_id", columns=_told(shown), height=420, none="There is no price to change.")
    drawn = shown.rows[:DRAWN]

    def figure() -> "Figure":
        return intervals.forest(
            view.theme,
            view.formats,
            [
                f"{row['description'].strip()}: {tell.price(row['price'])} → {tell.price(row['advised_price'])}"
                for row in drawn
            ],
            [row["gain"] for row in drawn],
            [row["gain_low"] for row in drawn],
            [row["gain_high"] for row in drawn],
            keys=[row["product_id"] for row in drawn],
            notes=[f"elasticity {tell.number(row['elasticity'])}; {row['reason']}" for row in drawn],
            rules=[0.0],
            is_strong=[bool(row["is_sure"]) for row in drawn],
        )

    chart(
        view,
        shown,
        figure,
        title="Gain in 30 days, with its interval",
        leads_to="product",
        key="gain-forest",
        below="The line is the 95 % interval of the elasticity alone: seasons and rivals are not in it.",
        none="There is no price to change.",
    )


def _elasticities(view: View) -> None:
    shown = view.show(prices.ELASTICITIES, currency=view.formats.currency)
    rows, tell = shown.rows, view.formats
    elastic = [row for row in rows if row["elasticity_high"] < -1]
    if rows:
        headline(
            f"Of {tell.count(len(rows))} prices whose effect is known, {tell.count(len(elastic))} are surely such that "
            f"a lower price "
            f"brings more revenue."
        )
    drawn = rows[:MANY]
    chart(
        view,
        shown,
        lambda: intervals.forest(
            view.theme,
            view.formats,
            [f"{row['description'].strip()}{_list_of(row)}" for row in drawn],
            [row["elasticity"] for row in drawn],
            [row["elasticity_low"] for row in drawn],
            [row["elasticity_high"] for row in drawn],
            unit="number",
            keys=[row["product_id"] for row in drawn],
            notes=[f"{row['status']}, {tell.count(row['n_prices'])} prices seen" for row in drawn],
            rules=[-1.0, 0.0],
            is_strong=[row["status"] == "measured" for row in drawn],
        ),
        leads_to="product",
        none="Prices have not changed enough to tell.",
        below="Dotted: 0, where buyers do not care, and -1, where revenue stays the same. Grey: drawn to products like it.",
    )
    table(view, shown, title="All of them", columns=_told(shown), leads_to="product_id", key="elasticity-table")


def _told(shown: Shown) -> list[str]:
    """Return the columns that say something: a shop without costs has none, one price list needs no name."""
    return [
        name
        for name in shown.exhibit.units
        if name not in {"unit_cost", "channel"} or len({row[name] for row in shown.rows}) > 1
    ]


def _list_of(row: dict[str, Any]) -> str:
    """Return the price list in brackets, where there are several."""
    return "" if row["channel"] == "all" else f" ({row['channel']})"


def _changes(view: View) -> None:
    currency = {"currency": view.formats.currency}
    answers, changes = view.show(prices.ANSWERS, **currency), view.show(prices.CHANGES, **currency)
    rows, tell = answers.rows, view.formats
    raised = [row for row in rows if row["price_change"] > 0]
    lowered = [row for row in rows if row["price_change"] < 0]
    if raised and lowered:
        fell, rose = (
            sum(1 for row in raised if row["units_change"] < 0) / len(raised),
            sum(1 for row in lowered if row["units_change"] > 0) / len(lowered),
        )
        headline(
            f"After {tell.count(len(raised))} higher prices units fell in {tell.share(fell)} of the cases; after "
            f"{tell.count(len(lowered))} lower ones they rose in {tell.share(rose)}."
        )
    near = [row for row in rows if abs(row["units_change"]) <= FURTHEST and abs(row["price_change"]) <= 1]
    chart(
        view,
        answers,
        lambda: intervals.scatter(
            view.theme,
            view.formats,
            [row["price_change"] for row in near],
            [row["units_change"] for row in near],
            [
                f"<b>{row['description'].strip()}</b><br>{tell.date(row['changed_on'])}: price "
                f"{tell.change(row['price_change'])}, "
                f"units {tell.change(row['units_change'])}"
                for row in near
            ],
            x_unit="change",
            y_unit="change",
            x_title="Change of the price",
            y_title="Change of units a day",
            keys=[row["product_id"] for row in near],
            colours=[view.theme.colours[1] if row["is_promotion"] else view.theme.main for row in near],
        ),
        leads_to="product",
        none="No price changed for long enough in this period.",
        below=f"Amber: promotions. {len(rows) - len(near)} that changed further are in the data, not in the picture."
        if len(near) < len(rows)
        else "Amber: promotions.",
    )
    if changes.is_empty:
        empty("No price changed", "In this period and selection every posted price stayed.")
    else:
        table(view, changes, columns=_told(changes), leads_to="product_id", title="Each change")


PAGE = Page(
    "prices",
    "Prices",
    show,
    icon="sell",
    section="Insight",
    place=5,
    needs=(prices.ADVISED, prices.ELASTIC, prices.CHANGED),
    obeys=("period", *PLACES),
)

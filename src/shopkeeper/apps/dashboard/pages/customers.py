"""Customers: who is worth most and why, who is about to leave, how they score, and whether they come back."""

from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper.apps.charts import groups, intervals
from shopkeeper.apps.dashboard.parts import Card, cards, chart, empty, header, table
from shopkeeper.apps.dashboard.parts.tabs import headline, tabs
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.exhibits import customers

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TWO = 430
DRAWN = 12
CHANCES = {0.5: "Likely (50 % and more)", 0.3: "30 % and more", 0.0: "All"}


def show(view: View) -> None:
    """Show the page."""
    header(
        view,
        "Customers",
        "Who they are, what they are worth, and who may leave.",
        told=f"As of {view.formats.date(view.last_day)}, by all that is known of each customer until then",
    )
    parts = {}
    if view.has(customers.VALUES):
        parts["Best customers"] = _best
    if view.has(customers.CHURN):
        parts["About to leave"] = _leaving
    if view.has(customers.SEGMENTS, customers.FEATURES):
        parts["Recency and frequency"] = _rfm
    if parts:
        tabs(view, parts, key="part")
    else:
        empty(
            "No model tells of customers yet",
            "Bring orders that name their customers, and run the shop.",
            "shopkeeper run",
        )


def _best(view: View) -> None:
    worth, best = view.show(customers.WORTH), view.show(customers.BEST)
    told, money = worth.first(), view.formats.money
    if told["n_customers"]:
        headline(
            f"The best tenth, {view.formats.count(told['n_best'])} customers, are expected to bring "
            f"{money(told['value_of_best'])} in the next {told['horizon_days']} days: "
            f"{view.formats.share(told['share_of_best'])} of what all {view.formats.count(told['n_customers'])} will."
        )
    each = [
        Card(worth, "lifetime_value", label="Lifetime value"),
        Card(worth, "share_of_best"),
        Card(worth, "n_customers"),
    ]
    if view.has(customers.CHURN):
        leaving = view.show(customers.LEAVING)
        each += [Card(leaving, "value_at_risk"), Card(leaving, "n_likely_to_leave")]
    cards(view, each, key="worth")
    table(
        view,
        best,
        leads_to="customer_id",
        columns=[name for name in best.exhibit.units if _is_told(view, name)],
        height=430,
    )

    def figure() -> "Figure":
        rows = best.rows[:DRAWN]
        return intervals.forest(
            view.theme,
            view.formats,
            [f"{row['customer_id']} · {row['country']}" if row["country"] else row["customer_id"] for row in rows],
            [row["lifetime_value"] for row in rows],
            [row["value_low"] for row in rows],
            [row["value_high"] for row in rows],
            keys=[row["customer_id"] for row in rows],
            notes=[
                f"{view.formats.number(row['expected_order_days'])} days with an order expected at "
                f"{money(row['value_per_order_day'])} each"
                for row in rows
            ],
        )

    chart(
        view,
        best,
        figure,
        title=f"The first {DRAWN}, with what they may bring",
        leads_to="customer" if view.visit.sees_customers else "",
        key="best-forest",
        below="The line holds what 90 % of such customers bring.",
    )


def _is_told(view: View, name: str) -> bool:
    """Return whether a column of the table says something in this shop."""
    if name in {"segment_name", "rule_words"}:
        return view.has(customers.SEGMENTS)
    if name in {"churn_probability", "reasons"}:
        return view.has(customers.CHURN)
    return name != "country" or len(view.visit.choices.countries) > 1


def _leaving(view: View) -> None:
    totals, spread = view.show(customers.LEAVING), view.show(customers.BY_CHANCE)
    told = totals.first()
    if told["n_customers"]:
        headline(
            f"{view.formats.count(told['n_likely_to_leave'])} of {view.formats.count(told['n_customers'])} customers are more "
            f"likely than not to order nothing in the next {told['horizon_days']} days. With all, "
            f"{view.formats.money(told['value_at_risk'])} of lifetime value are at risk, "
            f"{view.formats.money(told['value_at_risk_of_likely'])} of it with these."
        )
    least = st.segmented_control(
        "Chance to leave",
        list(CHANCES),
        default=0.5,
        format_func=lambda each: CHANCES[each],
        required=True,
        key="chance",
    )
    at_risk = view.show(customers.AT_RISK, least=float(least or 0.0))
    table(view, at_risk, leads_to="customer_id", height=430, none="Nobody has such a chance.")

    def figure() -> "Figure":
        return groups.columns(
            view.theme,
            view.formats,
            spread.column("chance"),
            spread.column("n_customers"),
            spread.column("value_at_risk"),
            name="customers",
            line_name="value at risk",
        )

    chart(view, spread, figure)


def _rfm(view: View) -> None:
    grid, named = view.show(customers.RFM_GRID), view.show(customers.RFM_GROUPS)
    rows = named.rows
    if rows:
        first = rows[0]
        headline(
            f"“{first['rfm_group'].capitalize()}” are {view.formats.share(first['share'])} of the customers and bring "
            f"{view.formats.share(first['share_of_sales'])} of net sales."
        )
    with st.grid(2, min_column_width=TWO, gap="small", key="rfm"):
        chart(
            view,
            grid,
            lambda: _grid(view),
            key="rfm-grid",
            below="The number is how many customers; the darker, the more net sales.",
        )
        chart(
            view,
            named,
            lambda: groups.shares(
                view.theme,
                view.formats,
                [row["rfm_group"] for row in rows],
                {
                    "of customers": [row["share"] for row in rows],
                    "of net sales": [row["share_of_sales"] for row in rows],
                },
                notes=[row["rule"] for row in rows],
            ),
            key="rfm-shares",
        )
    table(view, named, title="Named groups, their rules and figures", height="content")


def _grid(view: View) -> "Figure":
    rows, tell = view.show(customers.RFM_GRID).rows, view.formats
    return groups.grid(
        view.theme,
        [row["f_score"] for row in rows],
        [row["r_score"] for row in rows],
        [row["net_sales"] for row in rows],
        [tell.count(row["n_customers"]) for row in rows],
        [
            f"<b>{tell.count(row['n_customers'])} customers, {tell.money(row['net_sales'])}</b><br>"
            f"{tell.money(row['net_sales_per_customer'])} each<br>last order {tell.number(row['median_days_since_last_order'])} "
            f"days ago, {tell.number(row['median_n_orders'])} orders (medians)"
            for row in rows
        ],
        x_title="Frequency: 5 ordered most often",
        y_title="Recency: 5 ordered last",
    )


PAGE = Page(
    "customers",
    "Customers",
    show,
    icon="group",
    section="Insight",
    place=1,
    needs=(customers.VALUES, customers.CHURN, customers.SEGMENTS),
    obeys=customers.PLACES,
)

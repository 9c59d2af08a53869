"""One customer: orders, segment and why, churn and reasons, lifetime value, and what to offer."""

from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper import vocabulary as v
from shopkeeper.apps.charts import figures
from shopkeeper.apps.dashboard.parts import Card, cards, chart, facts, header, section, table
from shopkeeper.apps.dashboard.parts.choice import chosen
from shopkeeper.apps.dashboard.parts.sold import WIDE
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.exhibits import Shown, dossiers, heading

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from shopkeeper.apps.charts import Formats

ROOMY = 200
"""Pixels of a card whose note is a sentence."""


def show(view: View) -> None:
    """Show the page."""
    shown = chosen(view, "customer", dossiers.CUSTOMER)
    if shown is None:
        return
    one = shown.first()
    key = one["customer_id"]
    where = ", ".join(filter(None, (one["city"], one["country"])))
    since = f"since {view.formats.date(one['first_ordered_on'])}" if one["first_ordered_on"] else "without an order yet"
    header(view, f"Customer {key}", told=f"{where + ' · ' if where else ''}{since}")
    scores = view.show(dossiers.SCORES, id=key)
    _cards(view, shown, scores)
    _orders(view, view.show(dossiers.CUSTOMER_ORDERS, id=key))
    if not scores.is_empty:
        section("Who it is, and what is expected")
        _expected(view, key)
    offers = view.show(dossiers.CUSTOMER_SECTIONS["recommended"], id=key)
    section("What to offer")
    with st.grid(2, min_column_width=WIDE, gap="small", key="offers"):
        if not offers.lacks:
            table(view, offers, leads_to="product_id", title="Show next")
        table(view, view.show(dossiers.CUSTOMER_SECTIONS["bought_most"], id=key), leads_to="product_id")


def _cards(view: View, shown: Shown, scores: Shown) -> None:
    one, told = shown.first(), scores.first()
    tell = view.formats
    each = [
        Card(shown, "net_sales"),
        Card(shown, "n_orders", note=f"{tell.money(one['net_sales_per_order'])} each"),
        Card(shown, "last_ordered_on", note=_before(one["days_since_last_order"], tell)),
    ]
    if not scores.is_empty:
        if told["rfm_group"] is not None:
            each.append(Card(scores, "rfm_group", label="Group", note=told["segment_name"] or ""))
        if told["churn_probability"] is not None:
            between = f"{tell.share(told['probability_low'])} to {tell.share(told['probability_high'])}"
            each.append(Card(scores, "churn_probability", label=f"No order in {told['churn_days']} days", note=between))
        if told["lifetime_value"] is not None:
            between = f"{tell.short_money(told['value_low'])} to {tell.short_money(told['value_high'])}"
            each.append(Card(scores, "lifetime_value", label=f"Value, {told['value_days']} days", note=between))
    cards(view, each, key="customer", narrowest=ROOMY)


def _before(days: int | None, tell: "Formats") -> str:
    """Return how long before the last day of the data it was."""
    if days is None:
        return ""
    return "the last day" if not days else f"{tell.count(days)} {'day' if days == 1 else 'days'} before the last"


def _orders(view: View, shown: Shown) -> None:
    def figure() -> "Figure":
        return figures.stems(
            view.theme,
            view.formats,
            shown.column("ordered_on"),
            shown.column("net_sales"),
            notes=[f"order {row['order_id']}, {view.formats.count(row['n_units'])} units" for row in shown.rows],
        )

    chart(view, shown, figure, none="This customer has no order.")


def _expected(view: View, key: str) -> None:
    sections = dossiers.CUSTOMER_SECTIONS
    with st.grid(2, min_column_width=WIDE, gap="small", key="expected"):
        facts(
            view,
            view.show(sections["segment"], id=key),
            ("segment_name", "profile", "rule_words", "rfm_group", "certainty"),
        )
        facts(
            view,
            view.show(sections["churn"], id=key),
            (
                "churn_probability",
                "probability_low",
                "probability_high",
                "expected_next_order_on",
                "reasons",
                "value_at_risk",
            ),
        )
        facts(
            view,
            view.show(sections["lifetime_value"], id=key),
            ("lifetime_value", "value_low", "value_high", "expected_order_days", "p_alive"),
        )
        shown = view.show(dossiers.CHURN_REASONS, id=key)

        def figure() -> "Figure":
            rows = shown.rows
            return figures.ranking(
                view.theme,
                view.formats,
                [f"{heading(row['feature'])}: {row['value']}" for row in rows],
                [row["effect"] for row in rows],
                unit="number",
            )

        chart(view, shown, figure)


PAGE = Page("customer", "Customer", show, scopes=(v.CUSTOMERS,), needs=("core.customers",), is_listed=False, place=90)

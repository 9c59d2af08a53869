"""One country: its sales, what sells there, its customers, and what to show to who comes from there."""

import streamlit as st

from shopkeeper.apps.dashboard.parts import header, table
from shopkeeper.apps.dashboard.parts import sold as parts
from shopkeeper.apps.dashboard.parts.choice import chosen
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.exhibits import dossiers, sales


def show(view: View) -> None:
    """Show the page."""
    shown = chosen(view, "country", dossiers.COUNTRY)
    if shown is None:
        return
    country = shown.first()["country"]
    view = view.within(countries=(country,))
    header(view, country)
    parts.totals(view, key="country")
    parts.over_time(view, key="country")
    growth = view.show(sales.NEW_AND_OLD)
    if set(growth.column("kind")) - {"guests"}:
        parts.growth(view, growth)
    customers, offers = (
        view.show(dossiers.COUNTRY_CUSTOMERS, id=country),
        view.show(dossiers.COUNTRY_OFFERS, id=country),
    )
    with st.grid(2, min_column_width=parts.WIDE, gap="small", key="country-what"):
        parts.top_products(view, key="country")
        if not customers.is_empty:
            table(view, customers, leads_to="customer_id", height=parts.RANKED)
    if not offers.is_empty:
        table(view, offers, leads_to="product_id")
    table(view, view.show(sales.MONTHLY), height="content")


PAGE = Page(
    "country", "Country", show, needs=("core.orders",), is_listed=False, place=93, obeys=("period", "store", "category")
)

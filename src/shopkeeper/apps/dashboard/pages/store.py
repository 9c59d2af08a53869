"""One store: its sales, what sells there, and what it should order."""

import streamlit as st

from shopkeeper.apps.dashboard.parts import header, table
from shopkeeper.apps.dashboard.parts import sold as parts
from shopkeeper.apps.dashboard.parts.choice import chosen
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving.exhibits import dossiers, sales


def show(view: View) -> None:
    """Show the page."""
    shown = chosen(view, "store", dossiers.STORE)
    if shown is None:
        return
    one = shown.first()
    view = view.within(stores=(one["store_id"],))
    where = [one["name"], one["city"], one["state"], one["country"]]
    header(
        view,
        f"Store {one['store_id']}",
        told=" · ".join(filter(None, where)) or "Nothing but its sales is known of it.",
    )
    parts.totals(view, key="store")
    parts.over_time(view, key="store")
    growth = view.show(sales.NEW_AND_OLD)
    if set(growth.column("kind")) - {"guests"}:
        parts.growth(view, growth)
    with st.grid(2, min_column_width=parts.WIDE, gap="small", key="store-what"):
        parts.top_products(view, key="store")
        table(view, view.show(sales.BY_CATEGORY), height=parts.RANKED)
    stock = view.show(dossiers.STORE_STOCK, id=one["store_id"])
    if not stock.is_empty:
        table(view, stock, leads_to="product_id")
    table(view, view.show(sales.MONTHLY), height="content")


PAGE = Page("store", "Store", show, needs=("core.stores",), is_listed=False, place=92, obeys=("period", "category"))

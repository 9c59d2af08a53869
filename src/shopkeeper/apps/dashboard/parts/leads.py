"""From a bar, a point or a row to the page that tells of it."""

from typing import Any, NoReturn

import streamlit as st

from shopkeeper.apps.dashboard.view import LEADS, View


def lead_to(view: View, unit: str, key: Any) -> NoReturn:
    """Go to the page of one customer, product, store or country; the filter goes along."""
    st.switch_page(st.session_state["pages"][LEADS[unit]], query_params=view.params(id=key))


def leads(unit: str) -> bool:
    """Return whether there is a page for a unit that who looks may see."""
    return LEADS.get(unit) in st.session_state.get("pages", {})


def lead(view: View, label: str, path: str, **given: Any) -> None:
    """Show a link to another page; the filter goes along."""
    if (page := st.session_state["pages"].get(path)) is not None:
        st.page_link(page, label=label, query_params=view.params(**given))

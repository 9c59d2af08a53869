"""Which one a page is about: the one that the address names, or one to choose from those whose code or name fits a text."""

import streamlit as st

from shopkeeper.apps.dashboard.parts.look import header
from shopkeeper.apps.dashboard.parts.states import failed
from shopkeeper.apps.dashboard.parts.tables import table
from shopkeeper.apps.dashboard.view import View
from shopkeeper.serving.exhibits import Exhibit, Shown
from shopkeeper.serving.exhibits.dossiers import CHOICES


def chosen(view: View, kind: str, exhibit: Exhibit) -> Shown | None:
    """Return what an exhibit says of the one that the address names; None where it names none, and one is to be chosen."""
    asked = view.one("id")
    if asked is not None:
        shown = view.show(exhibit, id=asked)
        if not shown.is_empty:
            return shown
        failed(f"a {kind} must be one that the published version knows; got {asked[:60]!r}. Choose one below.")
    header(view, f"Choose a {kind}", told="By code or by name; those with most net sales first.")
    text = st.text_input(
        f"Find a {kind}", value=(asked or "")[:60], placeholder="A part of its code or name", key=f"find {kind}"
    )
    exhibit = CHOICES[kind]
    found = view.show(exhibit, text=text)
    if asked and found.is_empty and text == asked[:60]:
        found = view.show(exhibit, text="")
    has_names = found.column("name") != found.column("id")
    columns = ("id", "name", "net_sales") if has_names else ("id", "net_sales")
    table(view, found, leads_to="id", none=f"No {kind} holds {text!r}.", columns=columns)
    return None

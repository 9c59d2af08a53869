"""Parts of a page behind tabs: only the one that is looked at is made, and the address says which."""

from collections.abc import Callable, Mapping
from html import escape

import streamlit as st

from shopkeeper.apps.dashboard.view import View


def tabs(view: View, parts: Mapping[str, Callable[[View], None]], *, key: str) -> None:
    """Show the parts by their titles, the first at first; ``key`` is the parameter of the URL that names the open one."""
    if len(parts) == 1:
        next(iter(parts.values()))(view)
        return
    for tab, part in zip(st.tabs(list(parts), key=key, bind="query-params"), parts.values(), strict=True):
        if tab.open:
            with tab:
                part(view)


def headline(text: str) -> None:
    """Show the answer to a page's question in a sentence."""
    st.html(f'<p style="font-size:1.12rem;line-height:1.45;margin:0.1rem 0 0.4rem">{escape(text)}</p>')

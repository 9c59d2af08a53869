"""A chart with its title, its definition on hover, its data, and what its bars and points lead to."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import streamlit as st

from shopkeeper.apps.dashboard.parts.downloads import data_menu
from shopkeeper.apps.dashboard.parts.leads import lead_to, leads
from shopkeeper.apps.dashboard.parts.states import empty
from shopkeeper.apps.dashboard.view import View
from shopkeeper.serving.exhibits import Shown

if TYPE_CHECKING:
    import plotly.graph_objects as go

SCALE = 2
HEAD_START = 0.3
"""Seconds by which the first chart that somebody looks at comes after the figures above it: as soon as it comes, the browser
reads Plotly's script for a second or two, and shows nothing meanwhile."""


def chart(
    view: View,
    shown: Shown,
    figure: "Callable[[], go.Figure]",
    *,
    title: str = "",
    definition: str = "",
    leads_to: str = "",
    key: str = "",
    none: str = "There is nothing in this period and selection.",
    below: str = "",
) -> None:
    """Show an exhibit as a figure.

    ``figure`` is called only if there is something to show. ``leads_to``: the unit (customer, product, store, country) of the
    ``customdata`` of its bars or points; a click goes to the page of that one. ``below``: a quiet line under it.
    """
    exhibit = shown.exhibit
    key = key or exhibit.name
    with st.container(border=True, key=f"chart-{key}", height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(title or exhibit.title, anchor=False, help=definition or exhibit.definition, width="stretch")
            if not shown.is_empty:
                data_menu(view, shown, key)
        if shown.is_empty:
            _none(shown, none)
            return
        _figure(view, figure(), title or exhibit.title, leads_to, key)
        if below:
            st.caption(below)


def _figure(view: View, figure: "go.Figure", title: str, leads_to: str, key: str) -> None:
    if "has_charts" not in st.session_state:
        st.session_state["has_charts"] = True
        time.sleep(HEAD_START)
    figure.update_layout(paper_bgcolor=view.theme.ground)
    can_lead = bool(leads_to) and leads(leads_to)
    if can_lead:
        figure.update_layout(clickmode="event+select")
    picked: Any = st.plotly_chart(
        figure,
        theme=None,
        key=f"figure {key}",
        on_select="rerun" if can_lead else "ignore",
        selection_mode="points",
        alt=title,
        config={
            "displaylogo": False,
            "responsive": True,
            "scrollZoom": False,
            "doubleClick": "reset",
            "modeBarButtons": [["toImage"]],
            "toImageButtonOptions": {"format": "png", "scale": SCALE, "filename": key.replace(" ", "_")},
        },
    )
    if can_lead and (points := picked.selection.points):
        told = points[0].get("customdata")
        lead_to(view, leads_to, told[0] if isinstance(told, list) else told)


def _none(shown: Shown, none: str) -> None:
    if shown.lacks:
        empty(
            "The shop does not bring this yet", f"It needs {', '.join(shown.lacks)}, which has no rows in this version."
        )
    else:
        empty("Nothing to show", none)

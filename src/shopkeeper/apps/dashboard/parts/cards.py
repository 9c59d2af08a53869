"""Cards: one figure each, with its change, its course, and its definition on hover."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from shopkeeper.apps.charts.formats import MINUS
from shopkeeper.apps.charts.sparkline import sparkline
from shopkeeper.apps.dashboard.parts.downloads import data_menu
from shopkeeper.apps.dashboard.view import View
from shopkeeper.serving.exhibits import Shown

NARROWEST, MOST_IN_A_ROW = 138, 6


@dataclass(frozen=True)
class Card:
    """A figure: the column of an exhibit's first row, and its words.

    ``change``: a fraction shown below it, told as ``change_unit``; ``course``: values for a small line; ``is_bad_up``: more of it
    is worse; ``unit``: how it reads, where not as its column; ``note``: words instead of a change.
    """

    shown: Shown
    column: str
    label: str = ""
    definition: str = ""
    unit: str = ""
    change: float | None = None
    change_unit: str = "change"
    course: Sequence[Any] = field(default=())
    is_bad_up: bool = False
    note: str = ""

    @property
    def value(self) -> Any:
        """The figure as the query gave it."""
        return self.shown.first().get(self.column)


def cards(view: View, each: Sequence[Card], *, key: str, told: str = "", narrowest: int = NARROWEST) -> None:
    """Show cards beside one another, as many as fit; below them what is ``told`` of all, and the data behind them."""
    rows = -(-len(each) // MOST_IN_A_ROW)
    with st.grid(-(-len(each) // rows), min_column_width=narrowest, gap="xsmall", key=f"cards-{key}"):
        for card in each:
            _card(view, card)
    exhibits = {card.shown.exhibit.name: card.shown for card in each if not card.shown.lacks}
    with st.container(horizontal=True, vertical_alignment="center", gap="xsmall", key=f"shop-below-cards-{key}"):
        st.caption(told or " ", width="stretch")
        data_menu(view, list(exhibits.values()), key)


def _card(view: View, card: Card) -> None:
    exhibit = card.shown.exhibit
    tell = view.formats.of(card.unit or exhibit.units.get(card.column, "text"))
    tell_change = view.formats.of(card.change_unit)
    course = [float(value) for value in card.course if value is not None]
    label = card.label or exhibit.heading(card.column)
    # Streamlit's own line in a card loads a drawing library of a megabyte first, and keeps the figure back for seconds.
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.metric(
            label,
            tell(card.value),
            # Streamlit tells what fell by the keyboard's minus.
            delta=tell_change(card.change).replace(MINUS, "-") if card.change is not None else card.note or None,
            delta_color=("inverse" if card.is_bad_up else "normal") if card.change is not None else "off",
            delta_arrow="auto" if card.change is not None else "off",
            help=card.definition or exhibit.definition,
        )
        if line := sparkline(view.theme, course, label=f"{label} over time"):
            st.html(line)

"""Tables: an exhibit's rows in the shop's formats, sortable, paged where they are many, and rows that lead on."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from shopkeeper.apps.charts.formats import NOTHING
from shopkeeper.apps.dashboard.parts.downloads import data_menu
from shopkeeper.apps.dashboard.parts.leads import lead_to, leads
from shopkeeper.apps.dashboard.parts.states import empty
from shopkeeper.apps.dashboard.view import View
from shopkeeper.serving.exhibits import Shown

if TYPE_CHECKING:
    import pyarrow as pa

PAGE = 500
MONEY, COUNTS, SHARES = {"money", "gain", "price"}, {"count"}, {"share", "change", "points"}
NUMBERS = {"number", "days", "seconds", "hour"}
WHOLE = 1e15
"""Beyond it, a number has no digits after the point."""


def table(
    view: View,
    shown: Shown,
    *,
    title: str = "",
    definition: str = "",
    leads_to: str = "",
    columns: Sequence[str] = (),
    key: str = "",
    height: "int | Literal['auto', 'content']" = "auto",
    none: str = "There is nothing in this period and selection.",
) -> None:
    """Show an exhibit's rows.

    ``leads_to``: the column whose value a chosen row leads to, if its unit has a page; ``columns``: which to show, in this order.
    """
    exhibit = shown.exhibit
    key = key or exhibit.name
    with st.container(border=True, key=f"table-{key}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(title or exhibit.title, anchor=False, help=definition or exhibit.definition, width="stretch")
            if not shown.is_empty:
                data_menu(view, shown, key)
        if shown.is_empty:
            lacks = f"It needs {', '.join(shown.lacks)}, which has no rows in this version." if shown.lacks else none
            empty("Nothing to show", lacks)
            return
        unit = exhibit.units.get(leads_to, "")
        can_lead = bool(leads_to) and leads(unit) and not (unit == "customer" and not view.visit.sees_customers)
        rows = _page(shown, key)
        picked: Any = st.dataframe(
            _told(view, shown, rows, columns or rows.column_names),
            hide_index=True,
            column_config=_columns(view, shown, columns or rows.column_names),
            key=f"rows {key}",
            on_select="rerun" if can_lead else "ignore",
            selection_mode="single-row",
            alt=title or exhibit.title,
            placeholder=NOTHING,
            height=height,
        )
        if can_lead:
            st.caption(f"Choose a row to open the {unit}.")
            if chosen := picked.selection.rows:
                lead_to(view, unit, rows.column(leads_to)[chosen[0]].as_py())


def _page(shown: Shown, key: str) -> "pa.Table":
    """Return the rows of the page that is looked at: all, or of many, so many in the order that was chosen."""
    rows = shown.table
    if rows.num_rows <= PAGE:
        return rows
    order, place = st.container(horizontal=True, vertical_alignment="bottom"), st.container()
    with order:
        names = {name: shown.exhibit.heading(name) for name in rows.column_names}
        by = st.selectbox(
            "Sorted by", [None, *names], format_func=lambda name: names.get(name, "as it comes"), key=f"by {key}"
        )
        is_down = st.toggle("Largest first", value=True, key=f"down {key}", disabled=by is None)
    if by is not None:
        rows = rows.sort_by([(by, "descending" if is_down else "ascending")])
    with place:
        page = st.pagination(-(-rows.num_rows // PAGE), key=f"page {key}")
    return rows.slice((page - 1) * PAGE, PAGE)


def _told(view: View, shown: Shown, rows: "pa.Table", columns: Sequence[str]) -> "pa.Table":
    """Return rows as the grid takes them: numbers as doubles, fractions in per cent, what has words of its own in words."""
    import pyarrow as pa

    told = {}
    for name in columns:
        unit, values = shown.exhibit.units.get(name, "text"), rows.column(name)
        if unit in SHARES:
            told[name] = pa.array([None if value is None else 100 * float(value) for value in values.to_pylist()])
        elif unit in MONEY | COUNTS | NUMBERS:
            told[name] = pa.array(
                [None if value is None else float(value) for value in values.to_pylist()], pa.float64()
            )
        elif unit in {"date", "month", "period", "flag"}:
            told[name] = values
        else:
            tell = view.formats.of(unit)
            told[name] = pa.array([None if value is None else tell(value) for value in values.to_pylist()], pa.string())
    return pa.table(told)


def _columns(view: View, shown: Shown, columns: Sequence[str]) -> dict[str, Any]:
    return {name: _column(view, shown, name) for name in columns}


def _column(view: View, shown: Shown, name: str) -> Any:
    unit, label = shown.exhibit.units.get(name, "text"), shown.exhibit.heading(name)
    kinds = st.column_config
    if unit in MONEY:
        values = [float(value) for value in shown.column(name) if value is not None]
        digits = 2 if unit == "price" or max(map(abs, values), default=0) < 1000 else 0
        sign = "+" if unit == "gain" else ""
        # A column is written by one pattern, in which the sign comes after the symbol: a blank keeps them apart.
        gap = " " if sign or min(values, default=0) < 0 else ""
        return kinds.NumberColumn(label, format=f"{view.formats.symbol}{gap}%{sign},.{digits}f")
    if unit in COUNTS:
        return kinds.NumberColumn(label, format="%,.0f")
    if unit in SHARES:
        return kinds.NumberColumn(label, format="%.1f %%" if unit == "share" else "%+.1f %%")
    if unit in NUMBERS:
        return kinds.NumberColumn(label, format=f"%,.{_digits(shown.column(name))}f")
    if unit in {"date", "period"}:
        return kinds.DateColumn(label, format="D MMM YYYY" if view.formats.is_european else "MMM D, YYYY")
    if unit == "month":
        return kinds.DateColumn(label, format="MMM YYYY")
    if unit == "flag":
        return kinds.CheckboxColumn(label)
    return kinds.TextColumn(label)


def _digits(values: Sequence[Any]) -> int:
    """Return how many digits after the point tell something in a column of numbers."""
    known = [abs(float(value)) for value in values if value is not None and value == value]  # noqa: PLR0124 - no NaN
    if all(value == int(value) for value in known if value < WHOLE):
        return 0
    largest = max(known)
    return 1 if largest >= 100 else 2 if largest >= 1 else 4


def facts(view: View, shown: Shown, columns: Sequence[str] = (), *, key: str = "") -> None:
    """Show an exhibit's first row as names and values, one below the other; what is not known is left out."""
    exhibit, row = shown.exhibit, shown.first()
    key = key or exhibit.name
    with st.container(border=True, key=f"facts-{key}", height="stretch"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(exhibit.title, anchor=False, help=exhibit.definition, width="stretch")
            if not shown.is_empty:
                data_menu(view, shown, key)
        if shown.is_empty:
            empty("Nothing to show", "This version says nothing about it.")
            return
        told = [
            f"<dt>{escape(exhibit.heading(name))}</dt><dd>{escape(view.formats.of(exhibit.units[name])(row[name]))}</dd>"
            for name in columns or exhibit.units
            if row.get(name) is not None
        ]
        st.html(f'<dl class="shop-facts">{"".join(told)}</dl>')

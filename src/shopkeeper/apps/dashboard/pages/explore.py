"""Explore: what any table holds, column by column and two by two, and which of its rows are odd."""

from html import escape
from typing import TYPE_CHECKING, Any

import streamlit as st

from shopkeeper.apps.charts.profiled import share
from shopkeeper.apps.dashboard.parts import explored as parts
from shopkeeper.apps.dashboard.parts import header, note
from shopkeeper.apps.dashboard.parts.states import failed
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.serving import profiling
from shopkeeper.serving.exhibits import explored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shopkeeper.serving.profiling import Column, Fault, TableProfile, TableSummary

TABLE, COLUMN, FIRST, SECOND, FAULT, TAB = "table", "column", "first", "second", "fault", "tab"
TABS = ("Columns", "Pairs", "Faults")
DEFINITION = (
    "Every table of the published version: types, missing and different values, spread and outliers, how columns go together, "
    "and the faults of the data by kind. Counts, quartiles and outliers are of all rows; correlations of large tables of a "
    "sample. Filters of the sidebar do not apply."
)


def show(view: View) -> None:
    """Show the page."""
    found = parts.tables_of(view)
    names = [each.name for each in sorted(found, key=lambda each: not each.n_rows)]
    asked = view.one(TABLE)
    if asked and asked not in names:
        _unknown(names, asked)
    _forget(TABLE, names)
    title, control = st.container(), st.container()
    with control:
        chosen = st.selectbox(
            "Table",
            names,
            index=None,
            key=TABLE,
            bind="query-params",
            placeholder="All tables: choose one to see its columns",
        )
    if chosen is None:
        _all(view, found, title)
    else:
        _one(view, chosen, title)


def _unknown(names: "Sequence[str]", asked: str) -> None:
    import difflib

    near = difflib.get_close_matches(asked.lower(), names, 3, 0.4)
    told = f" The nearest are {', '.join(near)}." if near else ""
    failed(f"table must be one that is published; got {asked[:60]!r}.{told} Choose one below.")


def _forget(key: str, names: "Sequence[str]") -> None:
    """Let go of a choice that is no more to be had."""
    if st.session_state.get(key) not in {None, *names}:
        del st.session_state[key]


# ------------------------------------------------------------------ all tables


def _all(view: View, found: "Sequence[TableSummary]", title: "st.delta_generator.DeltaGenerator") -> None:
    held = [each for each in found if each.n_rows]
    n_empty = len(found) - len(held)
    faults = parts.faults_of(view)
    with title:
        header(
            view,
            "Explore",
            DEFINITION,
            told=f"{len(held)} of {len(found)} tables have rows, {sum(each.n_rows for each in held):,} in all. "
            + _faulty(view, faults),
        )
    with view.visit.edition.cursor() as connection:
        shown = explored.tables(connection, held, view.visit.edition.number)
    kinds = st.column_config
    rows: dict[str, list[Any]] = {
        "table": [each.name for each in held],
        "n_rows": [each.n_rows for each in held],
        "n_columns": [each.n_columns for each in held],
        "missing": [None if each.missing_share is None else 100 * each.missing_share for each in held],
        "grain": [each.grain for each in held],
    }
    config = {
        "table": kinds.TextColumn("Table", pinned=True),
        "n_rows": kinds.NumberColumn("Rows", format="%,.0f", width=90),
        "n_columns": kinds.NumberColumn("Columns"),
        "missing": kinds.ProgressColumn("Cells missing", format="%.1f %%", min_value=0, max_value=100, width=130),
        "grain": kinds.TextColumn("One row is", width="large"),
    }
    parts.listed(
        view,
        shown,
        rows,
        config,
        picks=lambda row: parts.choose(TABLE, held[row].name),
        told="Choose a row to look into that table."
        + (f" {n_empty} more have no rows: the shop does not bring what they tell of." if n_empty else ""),
        height=parts.TALL,
    )
    parts.faults(view, faults, key=FAULT, is_of_all=True)


def _faulty(view: View, faults: "Sequence[Fault]") -> str:
    if not faults:
        return "None of the kinds of faults that are looked for was found."
    most = faults[0] if len(faults) == 1 else max(faults, key=lambda each: each.n_rows)
    text = f"{len(faults)} kind{'s' if len(faults) != 1 else ''} of faults, most often “{most.name}” "
    text += f"({most.n_rows:,} row{'s' if most.n_rows != 1 else ''}, {share(most.share, 1)})"
    priced = [each for each in faults if each.amount]
    if priced:
        dearest = max(priced, key=lambda each: abs(each.amount))
        text += f"; most money on “{dearest.name}” ({view.formats.short_money(dearest.amount)})"
    return f"{text}."


# ------------------------------------------------------------------- one table


def _one(view: View, name: str, title: "st.delta_generator.DeltaGenerator") -> None:
    told = parts.profile_of(view, name)
    faults = parts.faults_of(view, name)
    n_cells = told.n_rows * len(told.columns)
    missing = sum(each.n_missing for each in told.columns)
    with title:
        sentence = (
            f"{told.n_rows:,} rows in {len(told.columns)} columns, {share(missing, n_cells)} of the cells missing."
        )
        if name in profiling.FAULTY:
            sentence += f" {_faulty(view, faults)}"
        header(view, name, DEFINITION, told=sentence)
    note(escape(told.grain[:1].upper() + told.grain[1:]))
    columns, pairs, faulty = st.tabs(TABS, key=TAB, bind="query-params")
    if columns.open:
        with columns:
            _columns(view, told)
    elif pairs.open:
        with pairs:
            _pairs(view, told)
    elif faulty.open:
        with faulty:
            parts.faults(view, faults, key=FAULT)
    st.caption("The same as a page to send: ")
    st.code(f"shopkeeper profile {name} --out profile.html", language="sh")


def _columns(view: View, told: "TableProfile") -> None:
    names = [each.name for each in told.columns]
    parts.columns(view, told, COLUMN)
    _forget(COLUMN, names)
    chosen = st.selectbox("Column", names, index=names.index(_telling(told)), key=COLUMN, bind="query-params")
    parts.column(view, told, told.column(chosen))


def _telling(told: "TableProfile") -> str:
    """Return the column to begin with: the numbers that differ most, else the first that may be shown."""

    def worth(each: "Column") -> tuple[bool, bool, int]:
        is_number = each.numbers is not None and not each.is_constant and each.name not in profiling.LINEAGE
        return is_number, not each.is_hidden, each.n_distinct if is_number else 0

    return max(told.columns, key=worth).name


def _pairs(view: View, told: "TableProfile") -> None:
    correlated, associated = parts.pairs_of(view, told)

    def pick(first: str, second: str) -> None:
        parts.choose(FIRST, first)
        parts.choose(SECOND, second)

    with st.grid(2, min_column_width=430, gap="small", key="pairs"):
        parts.correlated(view, told, correlated)
        parts.closest(view, told, associated, pick)
    names = [each.name for each in told.columns if not each.is_hidden and each.n_missing < each.n_rows]
    if len(names) < 2:
        return
    best = next((each for each in associated if each.strength < profiling.SAME), None)
    first, second = (best.first, best.second) if best else (names[0], names[1])
    for key in (FIRST, SECOND):
        _forget(key, names)
    with st.container(horizontal=True):
        one = st.selectbox("Column across", names, index=names.index(first), key=FIRST, bind="query-params")
        other = st.selectbox("Column down", names, index=names.index(second), key=SECOND, bind="query-params")
    parts.pair(view, told, told.column(one), told.column(other))


PAGE = Page("explore", "Explore", show, icon="search_insights", section="Running", place=6)

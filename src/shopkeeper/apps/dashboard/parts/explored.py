"""What a table holds, as parts of a page: its columns, one of them, two of them, its faults."""

from collections.abc import Callable, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

import streamlit as st

from shopkeeper.apps.charts import figures, spreads
from shopkeeper.apps.charts.profiled import (
    HIDDEN,
    WORDS,
    distinct,
    grid_note,
    heights,
    label,
    number_facts,
    share,
    values,
)
from shopkeeper.apps.dashboard.parts.charts import chart
from shopkeeper.apps.dashboard.parts.downloads import data_menu
from shopkeeper.apps.dashboard.parts.states import empty
from shopkeeper.apps.dashboard.parts.tables import table
from shopkeeper.apps.dashboard.view import View
from shopkeeper.serving import profiling
from shopkeeper.serving.exhibits import Shown, explored

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from shopkeeper.progress import Tell
    from shopkeeper.serving.profiling import Association, Column, Correlation, Fault, TableProfile, TableSummary

N_BINS, N_PAIRS = 30, 20
LISTED, TALL = 388, 420
Reads = Callable[[Any, "Tell"], Any]


def counted(view: View, subject: str, name: object, read: Reads) -> Any:
    """Return what ``read(connection, tell)`` gives, kept with the version; while it counts, the page says what.

    What names customers is kept apart from what does not.
    """
    edition = view.visit.edition
    place = st.empty()

    def tell(step: str, what: str, done: int, total: int | None) -> None:  # noqa: ARG001 - as whoever tells calls it
        told = f"{what} ({done + 1:,} of {total:,})" if total else what
        place.progress(done / total if total else 0.0, text=f"Counting {subject}: {told}")

    def make() -> Any:
        with edition.cursor() as connection:
            return read(connection, tell)

    with st.spinner(f"Counting {subject}…", show_time=True):
        found = edition.keep((name, view.visit.sees_customers), make)
    place.empty()
    return found


def tables_of(view: View) -> "list[TableSummary]":
    """Return every table in one line."""
    found: list[TableSummary] = counted(
        view,
        "all tables",
        "summaries",
        lambda connection, tell: profiling.summaries(connection, view.parts.words, tell=tell),
    )
    return found


def profile_of(view: View, name: str) -> "TableProfile":
    """Return a table's columns."""

    def read(connection: Any, tell: "Tell") -> "TableProfile":
        return profiling.profile(
            connection,
            view.visit.edition.number,
            name,
            words=view.parts.words,
            shows_customers=view.visit.sees_customers,
            tell=tell,
        )

    found: TableProfile = counted(view, name, ("profile", name), read)
    return found


def pairs_of(view: View, told: "TableProfile") -> "tuple[list[Correlation], list[Association]]":
    """Return how a table's columns go together."""

    def read(connection: Any, tell: "Tell") -> Any:
        tell("", "correlations of numbers", 0, 2)
        correlated = profiling.correlations(connection, told)
        tell("", "numbers by texts, and texts", 1, 2)
        return correlated, profiling.associations(connection, told, correlated)

    found: tuple[list[Correlation], list[Association]] = counted(
        view, f"pairs of columns of {told.name}", ("pairs", told.name), read
    )
    return found


def faults_of(view: View, name: str | None = None) -> "list[Fault]":
    """Return the faults of a table, or of all."""
    version = view.visit.edition.version

    def read(connection: Any, tell: "Tell") -> "list[Fault]":
        tell("", "by kind", 0, None)
        return profiling.faults(
            connection,
            now=datetime.fromisoformat(version.published_at),
            table=name,
            shows_customers=view.visit.sees_customers,
        )

    found: list[Fault] = counted(view, f"faults of {name or 'all tables'}", ("faults", name), read)
    return found


# ------------------------------------------------------------------ lists


def listed(
    view: View,
    shown: Shown,
    rows: dict[str, list[Any]],
    config: dict[str, Any],
    *,
    picks: Callable[[int], None] | None = None,
    told: str = "",
    height: Any = "auto",
) -> None:
    """Show rows with bars and shares in their cells; ``picks`` is called with the row that somebody chooses."""
    key = f"listed {shown.exhibit.name}"

    def pick() -> None:
        chosen = st.session_state[key].selection.rows
        if chosen and picks is not None:
            picks(chosen[0])

    with st.container(border=True, key=f"table-{shown.exhibit.name}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.subheader(shown.exhibit.title, anchor=False, help=shown.exhibit.definition, width="stretch")
            data_menu(view, shown, key)
        st.dataframe(
            rows,
            hide_index=True,
            column_config=config,
            key=key,
            on_select=pick if picks else "ignore",
            selection_mode="single-row",
            alt=shown.exhibit.title,
            placeholder="",
            height=height,
        )
        if told:
            st.caption(told)


def choose(key: str, value: str) -> None:
    """Choose a value for a control of the page, as a row that was clicked says."""
    st.session_state[key] = value


def columns(view: View, told: "TableProfile", key: str) -> None:
    """Show all columns in a line each; one that is clicked is chosen."""
    kinds = st.column_config
    rows: dict[str, list[Any]] = {
        "column": [each.name for each in told.columns],
        "kind": [WORDS[each.kind] for each in told.columns],
        "missing": [100 * each.missing_share for each in told.columns],
        "distinct": [distinct(each) for each in told.columns],
        "spread": [heights(each, N_BINS) for each in told.columns],
        "values": [values(each) for each in told.columns],
        "type": [each.type.lower() for each in told.columns],
        "meaning": [each.meaning for each in told.columns],
    }
    config = {
        "column": kinds.TextColumn("Column", pinned=True),
        "kind": kinds.TextColumn("Kind", width=90),
        "missing": kinds.ProgressColumn("Missing", format="%.1f %%", min_value=0, max_value=100, width=110),
        "distinct": kinds.TextColumn("Different values", width=120),
        "spread": kinds.BarChartColumn("Spread", help="Rows from the lowest to the highest value", width=150, y_min=0),
        "values": kinds.TextColumn(
            "Values", help="Lowest | quartiles | highest; or the most frequent; or from when to when", width=430
        ),
        "type": kinds.TextColumn("Type"),
        "meaning": kinds.TextColumn("Meaning", width="large"),
    }
    listed(
        view,
        explored.columns(told),
        rows,
        config,
        picks=lambda row: choose(key, told.columns[row].name),
        told="Choose a row to see that column below.",
        height=LISTED if len(told.columns) > 9 else "content",
    )


# -------------------------------------------------------------- one column


def column(view: View, told: "TableProfile", chosen: "Column") -> None:
    """Show how one column is spread, and its figures."""
    exhibit = explored.spread(told, chosen)
    with st.grid(2, min_column_width=430, gap="small", key="one column"):
        if exhibit is None or chosen.is_constant or _is_unique(chosen):
            _plain(chosen)
        else:
            shown = explored.counted(view.visit.edition, exhibit)
            chart(view, shown, lambda: _spread(view, chosen), key="spread", below=_below(chosen))
        _facts(chosen)


def _is_unique(chosen: "Column") -> bool:
    return chosen.texts is not None and bool(chosen.texts.top) and chosen.texts.top[0].n_rows == 1


def _plain(chosen: "Column") -> None:
    with st.container(border=True, height="stretch"):
        st.subheader(f"Spread of {chosen.name}", anchor=False)
        if chosen.n_missing == chosen.n_rows:
            empty("Nothing to show", "No row has a value.")
        elif chosen.is_hidden:
            empty("Values are hidden", f"{HIDDEN[:1].upper()}{HIDDEN[1:]}. A key with the scope customers shows them.")
        elif chosen.is_constant:
            empty("One value", f"All rows that have a value have the same: {values(chosen).removeprefix('always ')}.")
        elif _is_unique(chosen):
            empty("Every value stands once", "There is nothing to count: no value stands twice.")
        else:
            empty("Too many values", "There are too many different values to count each of them.")


def _spread(view: View, chosen: "Column") -> "Figure":
    if chosen.numbers is not None:
        return spreads.histogram(view.theme, chosen, chosen.numbers)
    if chosen.moments is not None:
        return spreads.timeline(view.theme, view.formats, chosen.moments)
    top, n = chosen.texts.top if chosen.texts else (), chosen.n_rows - chosen.n_missing
    return figures.ranking(
        view.theme,
        view.formats,
        [label(each.value) for each in top],
        [each.n_rows for each in top],
        unit="count",
        notes=[f"{share(each.n_rows, n)} of the known" for each in top],
    )


def _below(chosen: "Column") -> str:
    if chosen.numbers is not None:
        told = "Below it the box plot. Orange: outliers"
        return f"{told}; grey: all beyond the axis." if chosen.numbers.n_under or chosen.numbers.n_over else f"{told}."
    if chosen.moments is not None:
        return f"A bar is a {chosen.moments.unit}."
    n = chosen.n_rows - chosen.n_missing
    other = chosen.texts.n_other if chosen.texts else 0
    return f"Other values: {other:,} rows ({share(other, n)})." if other else "These are all values."


def _facts(chosen: "Column") -> None:
    said = [
        ("type", chosen.type.lower()),
        ("rows", f"{chosen.n_rows:,}"),
        ("missing", f"{chosen.n_missing:,} ({share(chosen.n_missing, chosen.n_rows)})" if chosen.n_missing else "none"),
        ("different", distinct(chosen)),
    ]
    if chosen.numbers is not None:
        said += number_facts(chosen, chosen.numbers)
    elif chosen.moments is not None:
        said += [("from", str(chosen.moments.first)), ("to", str(chosen.moments.last))]
    elif chosen.texts is not None:
        if chosen.kind == "text":
            said.append(("length", f"{chosen.texts.shortest:,} to {chosen.texts.longest:,} letters"))
        if chosen.texts.n_blank:
            said.append(("nothing but blanks", f"{chosen.texts.n_blank:,}"))
    with st.container(border=True, height="stretch", key="facts-column"):
        st.subheader(chosen.name, anchor=False)
        if chosen.meaning:
            st.caption(chosen.meaning)
        facts = "".join(f"<dt>{escape(name[:1].upper() + name[1:])}</dt><dd>{escape(text)}</dd>" for name, text in said)
        st.html(f'<dl class="shop-facts">{facts}</dl>')


# ------------------------------------------------------------- two columns


def correlated(view: View, told: "TableProfile", found: "Sequence[Correlation]") -> None:
    """Show the matrix of correlations."""
    left = len({name for each in found for name in (each.first, each.second)}) - spreads.MOST_IN_MATRIX
    chart(
        view,
        explored.correlations(told, found),
        lambda: spreads.correlated(view.theme, found),
        none="Fewer than two columns of numbers vary.",
        below="Above the diagonal Pearson, below it Spearman. Blue: both rise together; orange: one falls as the other rises."
        + (f" The first {spreads.MOST_IN_MATRIX}; {left} more are in the data." if left > 0 else ""),
    )


def closest(view: View, told: "TableProfile", found: "Sequence[Association]", pick: Callable[[str, str], None]) -> None:
    """Show the closest pairs; one that is clicked is chosen."""
    shown = explored.closest(told, found)
    if shown.is_empty:
        return
    most = found[:N_PAIRS]
    rows: dict[str, list[Any]] = {
        "first": [each.first for each in most],
        "second": [each.second for each in most],
        "strength": [each.strength for each in most],
        "kind": [each.kind for each in most],
    }
    kinds = st.column_config
    config = {
        "first": kinds.TextColumn("Column"),
        "second": kinds.TextColumn("goes with"),
        "strength": kinds.ProgressColumn("How closely", format="%.2f", min_value=0, max_value=1, width=110),
        "kind": kinds.TextColumn("How measured"),
    }
    listed(
        view,
        shown,
        rows,
        config,
        picks=lambda row: pick(most[row].first, most[row].second),
        told="Choose a row to see that pair below.",
        height=TALL,
    )


def pair(view: View, told: "TableProfile", first: "Column", second: "Column") -> None:
    """Show two columns: boxes, a cross table, or rows counted by both."""
    kind = explored.kind_of_pair(first, second)
    if kind == "number by text" and first.numbers is None:
        first, second = second, first
    for each in (first, second):
        if each.is_hidden or not (each.numbers or each.moments or (each.texts and each.texts.top)):
            why = HIDDEN if each.is_hidden else "no value, or too many different ones"
            empty("This pair cannot be shown", f"{each.name}: {why}.")
            return
    edition = view.visit.edition
    shown = explored.counted(edition, explored.pair(told, first.name, second.name, kind))
    if kind == "number by text":
        groups = counted(
            view,
            f"{first.name} by {second.name}",
            ("boxes", told.name, first.name, second.name),
            lambda connection, _: profiling.boxes(connection, told, first.name, second.name),
        )
        below = "A box holds the middle half of the rows; whiskers end within 1.5 quartile ranges. What lies far off is cut."
        none = f"No value of {second.name} has five rows."
        chart(view, shown, lambda: spreads.boxes(view.theme, groups, first.name), key="pair", below=below, none=none)
        return
    grid = counted(
        view,
        f"{first.name} and {second.name}",
        ("grid", told.name, first.name, second.name),
        lambda connection, _: profiling.grid(connection, told, first.name, second.name),
    )
    is_share = kind == "text by text"
    chart(
        view,
        shown,
        lambda: spreads.counts(view.theme, grid, first.name, second.name, is_share=is_share),
        key="pair",
        below=grid_note(grid, is_share=is_share),
    )


# ------------------------------------------------------------------- faults


def faults(view: View, found: "Sequence[Fault]", *, key: str, is_of_all: bool = False) -> None:
    """Show the faults by kind, and rows of the one that is chosen."""
    if not found:
        empty("No fault was found", "None of the kinds of faults that are looked for is in this table.")
        return
    shown = explored.faults(found, view.visit.edition.number)
    kinds = st.column_config
    rows: dict[str, list[Any]] = {
        "fault": [each.name for each in found],
        **({"table": [each.table for each in found]} if is_of_all else {}),
        "n_rows": [each.n_rows for each in found],
        "share": [share(each.share, 1) for each in found],
        "amount": [None if each.amount is None else float(each.amount) for each in found],
        "meaning": [each.meaning for each in found],
    }
    if all(each.amount is None for each in found):
        rows.pop("amount")
    config = {
        "fault": kinds.TextColumn("Fault", pinned=True),
        "table": kinds.TextColumn("Table"),
        "n_rows": kinds.NumberColumn("Rows", format="%,.0f", width=90),
        "share": kinds.TextColumn("Share"),
        "amount": kinds.NumberColumn("Money on them", format=f"{view.formats.symbol}%,.2f"),
        "meaning": kinds.TextColumn("What it means", width="large"),
    }
    names = [_name(each) for each in found]
    listed(
        view, shown, rows, config, picks=lambda row: choose(key, names[row]), height="content",
        told="Choose a row to see such rows below.",
    )  # fmt: skip
    if st.session_state.get(key) not in {None, *names}:
        del st.session_state[key]
    chosen = st.selectbox(
        "Show rows with", names, key=key, format_func=lambda name: name if is_of_all else name.partition(": ")[2]
    )
    fault = found[names.index(chosen)]
    st.caption(fault.meaning)
    examples = explored.counted(view.visit.edition, explored.examples(fault))
    n = examples.table.num_rows
    leads_to = next((name for name in ("product_id", "customer_id", "store_id") if name in fault.columns), "")
    table(
        view,
        examples,
        title=f"Rows with “{fault.name}”" + (f", the first {n:,} of {fault.n_rows:,}" if n < fault.n_rows else ""),
        leads_to=leads_to,
        key="examples",
    )


def _name(fault: "Fault") -> str:
    return f"{fault.table}: {fault.name}"

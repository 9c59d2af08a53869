"""Data: what was loaded, whether it balances, what waits, how fresh it is, and what each table and column means."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import streamlit as st

from shopkeeper import vocabulary as v
from shopkeeper.apps.charts.lineage import lineage
from shopkeeper.apps.dashboard.parts import Card, cards, chart, empty, header, note, table
from shopkeeper.apps.dashboard.parts.states import failed
from shopkeeper.apps.dashboard.view import Page, View
from shopkeeper.apps.dashboard.workbench import Workbench, workbench
from shopkeeper.errors import ShopkeeperError
from shopkeeper.serving import catalogue
from shopkeeper.serving.exhibits import Shown, data

if TYPE_CHECKING:
    from shopkeeper.apps.dashboard.workbench import Quarantine

PARTS = ("Loads", "Ledger", "Quarantine", "Versions", "Tables")
LOADED = (
    "finished_at",
    "source",
    "item",
    "entity",
    "kind",
    "rows_read",
    "rows_loaded",
    "rows_resent",
    "rows_quarantined",
    "notes",
)


def show(view: View) -> None:
    """Show the page."""
    bench, number = workbench(view.parts), view.visit.edition.number
    found, waiting, trouble = _lake(bench)
    balance = view.show(data.BALANCE)
    header(
        view,
        "Data",
        "Where the figures come from: what was loaded, that rows and money balance, what broke a rule, and what each "
        "column means.",
        told=_headline(view, balance, waiting),
    )
    if trouble:
        failed(trouble)
    newest = [view.show(exhibit) for exhibit in data.NEWEST]
    each = [
        Card(shown, "newest_on", note=_age(view, shown.first()["newest_at"])) for shown in newest if not shown.is_empty
    ]
    if found:
        sums = data.loaded(found, view.formats.timezone, number)
        each.append(Card(sums, "last_load_on", note=_age(view, sums.first()["last_load_at"])))
        each.append(
            Card(sums, "rows_read", note=f"{view.formats.count(len(found))} load{'s' if len(found) != 1 else ''}")
        )
    published = _published(view)
    each.append(Card(published, "published_on", note=_age(view, published.first()["published_at"])))
    cards(view, each, key="data")
    shows = (_loads, _ledger, _quarantine, _versions, _tables)
    for tab, part in zip(st.tabs(PARTS, key="part", bind="query-params"), shows, strict=True):
        if tab.open:
            with tab:
                part(view, bench)


def _published(view: View) -> Shown:
    """Return the versions, first the one that is looked at, then newest first."""
    number = view.visit.edition.number
    found = sorted(view.parts.published.versions(), key=lambda each: (each.number != number, -each.number))
    return data.publications(found, view.formats.timezone, number)


def _lake(bench: Workbench) -> tuple[list[object], "Quarantine | None", str]:
    """Return loads and quarantine, or why they cannot be read; the rest of the page does not need them."""
    try:
        return bench.loads(), bench.quarantine(), ""
    except ShopkeeperError as error:
        return [], None, str(error)


def _headline(view: View, balance: Shown, waiting: "Quarantine | None") -> str:
    row, count = balance.first(), view.formats.count
    said = []
    if row["n_identities"]:
        said.append(
            f"Rows and money balance: all {count(row['n_identities'])} identities hold."
            if not row["n_broken"]
            else f"{count(row['n_broken'])} of {count(row['n_identities'])} identities do not hold."
        )
    if waiting is not None:
        n = waiting.rejects.num_rows
        said.append(
            f"{count(n)} row{'s wait' if n != 1 else ' waits'} in quarantine." if n else "Nothing waits in quarantine."
        )
    return " ".join(said) or f"Version {view.visit.edition.number}"


def _age(view: View, at: datetime | None) -> str:
    if at is None:
        return ""
    return view.formats.age(at if at.tzinfo else at.replace(tzinfo=UTC), datetime.now(UTC))


def _without_lake(bench: Workbench) -> bool:
    if bench.has_lake:
        return False
    empty(
        "There is no lake here",
        "This project holds published versions only. Loads and quarantine stand where data are loaded.",
    )
    return True


def _loads(view: View, bench: Workbench) -> None:
    if _without_lake(bench):
        return
    found = _lake(bench)[0]
    table(view, data.loads(found, view.visit.edition.number), columns=LOADED, none="Nothing was loaded yet.")


def _ledger(view: View, bench: Workbench) -> None:  # noqa: ARG001 - all parts are called alike
    table(view, view.show(data.LEDGER))
    if view.has("metrics.daily_traffic"):
        table(view, view.show(data.BEHAVIOUR_LEDGER), height="content")


def _quarantine(view: View, bench: Workbench) -> None:
    if _without_lake(bench):
        return
    waiting, number, sees = _lake(bench)[1], view.visit.edition.number, view.visit.sees_customers
    if waiting is None or not waiting.rejects.num_rows:
        empty(
            "Nothing waits in quarantine", "Every row that was read fits its contract, or was mended and loaded since."
        )
        return
    table(view, data.reasons(waiting.reasons, number, sees_customers=sees))
    with st.container(horizontal=True, vertical_alignment="center", key="mend"):
        if sees:
            st.download_button(
                f"Download {waiting.rejects.num_rows:,} rows to mend",
                data=bench.rejects_csv,
                file_name="rejects.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
            )
        else:
            note(
                "What the rows hold, and their download, want a key with the scope <b>customers</b>: they may tell of people."
            )
    note("Mend the source's own columns in the file, leave <code>reject_id</code> as it is, and load it:")
    st.code("shopkeeper quarantine replay rejects.csv", language="sh")
    rows = waiting.rejects.slice(0, data.MOST_REJECTS).to_pylist()
    table(view, data.rejects(rows, number, sees_customers=sees))


def _versions(view: View, bench: Workbench) -> None:  # noqa: ARG001
    shown, number = _published(view), view.visit.edition.number
    table(view, shown, columns=[name for name in shown.exhibit.units if name != "published_on"], height="content")
    before = max((each for each in shown.column("number") if each < number), default=None)
    if before is None:
        note("There is no earlier version to go back to. So many are kept as <code>publishing.keep</code> says.")
    else:
        note("Going back takes a second and deletes nothing; tables and models go back together:")
        st.code(f"shopkeeper rollback {before}", language="sh")


def _tables(view: View, bench: Workbench) -> None:  # noqa: ARG001
    version = view.visit.edition.version
    known = catalogue.catalogue(view.parts.studio.subjects)
    names = list(version.tables)
    chosen = st.selectbox(
        "Table",
        names,
        index=None,
        key="table",
        bind="query-params",
        placeholder="Choose a table, or read the list",
        width=420,
    )
    if chosen is None:
        table(view, data.tables(version, known), height="content")
        return
    described = known.get(chosen)
    st.markdown(f"**{chosen}** · {version.tables[chosen]:,} rows")
    if described:
        note(described.about)
        _made(view, described, known)
    table(
        view,
        data.columns(view.show(data.TYPES, table=chosen), described),
        title=f"Columns of {chosen}",
        height="content",
    )
    st.code(f'shopkeeper query "select * from {chosen} limit 10"', language="sh")


def _made(view: View, described: catalogue.Described, known: dict[str, catalogue.Described]) -> None:
    pairs = catalogue.upstream(known, described.name)
    if described.made_by:
        note(f"Made by the model of <code>{described.made_by}</code>: see the page Models.")
    elif pairs:
        shown = data.lineage(described.name, pairs, view.visit.edition.number)
        chart(view, shown, lambda: lineage(view.theme, described.name, pairs))
    after = catalogue.readers(known, described.name)
    if after:
        note(f"From it are made: {', '.join(after)}.")


PAGE = Page(
    "data", "Data", show, icon="database", section="Running", place=3, scopes=(v.AGGREGATES, v.CUSTOMERS, v.ADMIN)
)

"""The data themselves: what was loaded, whether it balances, what waits, how fresh it is, which tables there are."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from shopkeeper.published import Version
from shopkeeper.serving.catalogue import Described
from shopkeeper.serving.exhibits.exhibit import Exhibit, Shown
from shopkeeper.serving.exhibits.told import told

MOST_REJECTS = 10_000
"""So many rejects are shown; the download has all."""

BALANCE = Exhibit(
    "balance",
    "Does it balance?",
    "Identities between loads, lines, orders, days and customers that must hold to the last row and penny, or nothing "
    "is published.",
    """
    select count(*) as n_identities, count(*) filter (difference = 0) as n_holding,
        count(*) filter (difference != 0) as n_broken
    from metrics.ledger
    """,
    "n_identities:count n_holding:count n_broken:count",
    ("metrics.ledger",),
    (),
    headings={"n_identities": "Identities", "n_holding": "That hold", "n_broken": "Broken"},
)
LEDGER = Exhibit(
    "ledger",
    "The ledger",
    "Each identity that must hold, of each load or sum: what is expected, what is there, and the difference, which is 0. A build "
    "with another difference fails, and is not published.",
    """
    select rule, scope, expected, actual, difference
    from metrics.ledger
    order by difference = 0, rule, scope
    """,
    "rule:text scope:text expected:number actual:number difference:number",
    ("metrics.ledger",),
    (),
    headings={"rule": "Identity", "scope": "Of"},
)
BEHAVIOUR_LEDGER = Exhibit(
    "behaviour_ledger",
    "The ledger of behaviour",
    "Each identity that must hold between events, visits, days and months.",
    """
    select rule, expected, actual, difference
    from metrics.behaviour_ledger
    order by difference = 0, rule
    """,
    "rule:text expected:number actual:number difference:number",
    ("metrics.behaviour_ledger",),
    (),
    headings={"rule": "Identity"},
)


def _newest(name: str, title: str, table: str, verb: str) -> Exhibit:
    return Exhibit(
        name,
        title,
        f"The latest day among {table}, on the shop's calendar, and the latest moment.",
        f"select max({verb}_on) as newest_on, max({verb}_at) as newest_at from {table}",
        "newest_on:date newest_at:moment",
        (table,),
        (),
        headings={"newest_on": title},
    )


NEWEST = (
    _newest("newest_order", "Newest order", "core.orders", "ordered"),
    _newest("newest_event", "Newest event", "core.events", "occurred"),
    _newest("newest_movement", "Newest stock movement", "core.inventory_movements", "moved"),
)
"""How fresh each kind of data is, of those that the shop brings."""

TYPES = Exhibit(
    "column_types",
    "Columns",
    "Columns of a table with their types.",
    """
    select column_name, data_type
    from duckdb_columns()
    where schema_name || '.' || table_name = {table} and not internal
    order by column_index
    """,
    "column_name:text data_type:text",
    (),
    (),
)
COLUMNS = Exhibit(
    "columns",
    "Columns",
    "Each column of the table: its type and what it means.",
    "",
    "column_name:text data_type:text meaning:text",
    obeys=(),
    headings={"column_name": "Column", "data_type": "Type"},
)
TABLES = Exhibit(
    "tables",
    "Tables of this version",
    "Every table that is published, with its rows and its grain: what one row is.",
    "",
    "table:text n_rows:count about:text",
    obeys=(),
    headings={"n_rows": "Rows", "about": "What it holds"},
)
LOADS = Exhibit(
    "loads",
    "Loads",
    "One row per load, newest first: one item of one source, taken whole. Rows read = loaded + resent (known already) "
    "+ quarantined.",
    "",
    "finished_at:moment source:text item:text entity:text kind:text rows_read:count rows_loaded:count rows_resent:count "
    "rows_quarantined:count first_at:moment last_at:moment notes:texts load_id:text",
    obeys=(),
    headings={
        "finished_at": "Loaded",
        "rows_read": "Read",
        "rows_loaded": "Taken",
        "rows_resent": "Known already",
        "rows_quarantined": "Quarantined",
        "first_at": "From",
        "last_at": "To",
    },
)
LOADED = Exhibit(
    "loaded",
    "Loaded in all",
    "All loads together: items taken and their rows.",
    "",
    "n_loads:count rows_read:count rows_loaded:count rows_resent:count rows_quarantined:count last_load_on:date "
    "last_load_at:moment",
    obeys=(),
    headings={"last_load_on": "Last load", "rows_read": "Rows read"},
)
REASONS = Exhibit(
    "quarantine_reasons",
    "Why rows wait",
    "Each rule that was broken, the most frequent first, with an example. Rows in quarantine count nowhere until they "
    "are mended.",
    "",
    "rule:text column_name:text n_rows:count source:text source_file:text source_row:count example:personal",
    obeys=(),
    headings={"column_name": "Column", "n_rows": "Rows", "source_file": "First seen in", "source_row": "At row"},
)
REJECTS = Exhibit(
    "rejects",
    "Rows in quarantine",
    f"Each row that waits, where it stood and which rule it broke; the first {MOST_REJECTS:,}. The download has all, "
    "with the source's "
    f"own columns to mend them in.",
    "",
    "source_file:text source_row:count column_name:text rule:text value:personal raw_text:personal reject_id:text",
    obeys=(),
    headings={"source_file": "File", "source_row": "Row", "column_name": "Column", "raw_text": "As it came"},
)
PUBLICATIONS = Exhibit(
    "published_versions",
    "Published versions",
    "Each version that is kept, newest first. A version is never changed; going back moves a pointer, and deletes nothing.",
    "",
    "number:count is_current:flag published_on:date published_at:moment n_tables:count n_rows:count models:texts",
    obeys=(),
    headings={
        "number": "Version",
        "is_current": "Current",
        "published_on": "Published",
        "published_at": "At",
        "n_tables": "Tables",
        "n_rows": "Rows",
    },
)
LINEAGE = Exhibit(
    "lineage",
    "Made from",
    "The tables that this one is made from, back to the lake, where rows stand as the sources said them.",
    "",
    "table:text is_made_from:text",
    obeys=(),
)


def loads(found: Iterable[Any], version: int) -> Shown:
    """Return the loads of the lake as rows."""
    rows = [{**vars(each), "notes": json.loads(each.notes or "[]") or None} for each in found]
    return told(LOADS, rows, version=version, command="shopkeeper loads")


def loaded(found: Iterable[Any], timezone: str, version: int) -> Shown:
    """Return the sums of all loads; days are those of a time zone."""
    each = list(found)
    row = {name: sum(getattr(load, name) for load in each) for name in LOADED.units if name.startswith("rows_")}
    last = max((load.finished_at for load in each), default=None)
    row |= {"n_loads": len(each), "last_load_at": last, "last_load_on": _day(last, timezone) if last else None}
    return told(LOADED, [row], version=version, command="shopkeeper loads")


def reasons(found: Iterable[Mapping[str, Any]], version: int, *, sees_customers: bool) -> Shown:
    """Return the broken rules; the example only for who may see customers."""
    return told(REASONS, found, version=version, command="shopkeeper quarantine explain", sees_customers=sees_customers)


def rejects(found: Iterable[Mapping[str, Any]], version: int, *, sees_customers: bool) -> Shown:
    """Return rows in quarantine; what they hold only for who may see customers."""
    return told(REJECTS, found, version=version, command="shopkeeper quarantine list", sees_customers=sees_customers)


def _day(at: datetime, timezone: str) -> date:
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(ZoneInfo(timezone)).date()


def publications(found: Iterable[Version], timezone: str, version: int) -> Shown:
    """Return the published versions that are kept; days are those of a time zone."""
    rows = [
        {
            "number": each.number,
            "is_current": each.is_current,
            "published_on": _day(datetime.fromisoformat(each.published_at), timezone),
            "published_at": each.published_at,
            "n_tables": len(each.tables),
            "n_rows": sum(each.tables.values()),
            "models": list(each.models.values()),
        }
        for each in found
    ]
    return told(PUBLICATIONS, rows, version=version, command="shopkeeper versions")


def tables(version: Version, known: Mapping[str, Described]) -> Shown:
    """Return the tables of a version."""
    rows = [
        {"table": name, "n_rows": n, "about": known[name].about if name in known else ""}
        for name, n in version.tables.items()
    ]
    return told(TABLES, rows, version=version.number, command="shopkeeper versions --json")


def columns(types: Shown, described: Described | None) -> Shown:
    """Return a table's columns with their types and meanings."""
    meanings = described.columns if described else {}
    rows = [{**row, "meaning": meanings.get(row["column_name"])} for row in types.rows]
    return replace(told(COLUMNS, rows, version=types.version, command=""), sql=types.sql, how="")


def lineage(name: str, pairs: Iterable[tuple[str, str]], version: int) -> Shown:
    """Return from which tables a table is made, step by step; ``pairs`` as ``catalogue.upstream`` gives them."""
    rows = [{"table": reader, "is_made_from": read} for read, reader in pairs]
    how = f"From the SQL of the warehouse's models: `dbt/models/{name.replace('.', '/')}.sql` and those it names."
    return replace(told(LINEAGE, rows, version=version, command=""), how=how)

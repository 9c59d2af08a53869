"""Tables of a published version: which there are, and what one of them holds."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shopkeeper import vocabulary as v
from shopkeeper.engine import quote
from shopkeeper.errors import UsageError
from shopkeeper.progress import Tell, silent
from shopkeeper.serving.profiling.columns import count_columns, describe
from shopkeeper.serving.profiling.shapes import Column

if TYPE_CHECKING:
    import duckdb

PERSONAL = frozenset((v.CUSTOMER_ID, "anonymous_id", "session_id", "city", "attributes", "inputs"))
"""Columns whose single values may tell of a person; a made session bears its customer's id."""
NOT_PERSONAL = frozenset((("core.stores", "city"), ("core.stores", "attributes")))


@dataclass(frozen=True)
class TableWords:
    """What the documentation says of a table: its grain, and its columns' meanings."""

    grain: str
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TableSummary:
    """One table in one line; ``missing_share``: missing cells over all cells, None in an empty table."""

    name: str
    n_rows: int
    n_columns: int
    missing_share: float | None
    grain: str


@dataclass(frozen=True)
class TableProfile:
    """A table of one version (``schema.table``) and its columns, in their order."""

    name: str
    version: int
    grain: str
    n_rows: int
    columns: tuple[Column, ...]

    def column(self, name: str) -> Column:
        """Return one column. Raises UsageError if it is not among those profiled, and names the nearest."""
        for column in self.columns:
            if column.name == name:
                return column
        raise UsageError(_unknown("a column", name, [column.name for column in self.columns], f"of {self.name}"))


def table_columns(connection: "duckdb.DuckDBPyConnection") -> dict[str, list[tuple[str, str]]]:
    """Return the published tables as ``schema.table``, in the order of the schemas, with columns and SQL types."""
    rows = connection.execute(
        "select schema_name || '.' || table_name, column_name, data_type from duckdb_columns() "
        "where database_name = current_database() and list_contains($schemas, schema_name) "
        "order by list_position($schemas, schema_name), table_name, column_index",
        {"schemas": list(v.PUBLISHED_SCHEMAS)},
    ).fetchall()
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, sql_type in rows:
        found.setdefault(table, []).append((column, sql_type))
    return found


def find_table(connection: "duckdb.DuckDBPyConnection", asked: str) -> str:
    """Return the table of that name as ``schema.table``; its schema may be left out.

    Raises UsageError if there is none, and names the nearest.
    """
    tables = list(table_columns(connection))
    for table in tables:
        if asked.lower() in {table, table.partition(".")[2]}:
            return table
    raise UsageError(_unknown("a table", asked, tables, "that is published"))


def _unknown(what: str, asked: str, known: Sequence[str], whose: str) -> str:
    by_short = {name.partition(".")[2] or name: name for name in known} | {name: name for name in known}
    near = list(dict.fromkeys(by_short[match] for match in difflib.get_close_matches(asked.lower(), by_short, 6, 0.5)))
    said = f"The nearest are {', '.join(near[:4])}." if near else f"There are {', '.join(known)}."
    return f"{what} must be one {whose}; got {asked!r}. {said}"


def summaries(
    connection: "duckdb.DuckDBPyConnection", words: Mapping[str, TableWords], *, tell: Tell = silent
) -> list[TableSummary]:
    """Return every published table in one line."""
    tables = table_columns(connection)
    found = []
    for done, (table, columns) in enumerate(tables.items()):
        tell("profile", table, done, len(tables))
        counts = ", ".join(f"count({quote(name)})" for name, _ in columns)
        row = connection.execute(f"select count(*), {counts} from {_quoted(table)}").fetchone() or (0,)
        cells = row[0] * len(columns)
        grain = words[table].grain if table in words else ""
        missing = 1 - sum(row[1:]) / cells if cells else None
        found.append(TableSummary(table, row[0], len(columns), missing, grain))
    return found


def profile(
    connection: "duckdb.DuckDBPyConnection",
    version: int,
    asked: str,
    *,
    columns: Sequence[str] = (),
    words: Mapping[str, TableWords],
    shows_customers: bool = False,
    tell: Tell = silent,
) -> TableProfile:
    """Return what a table holds; only the named ``columns``, if any are.

    ``shows_customers``: whether single values of columns that may tell of a person are shown. Raises UsageError for a table
    or column that there is not, and names the nearest.
    """
    table = find_table(connection, asked)
    types = dict(table_columns(connection)[table])
    for name in columns:
        if name not in types:
            raise UsageError(_unknown("a column", name, list(types), f"of {table}"))
    told = words.get(table, TableWords(""))
    tell("profile", "all columns", 0, None)
    counted = count_columns(
        connection,
        _quoted(table),
        [
            (name, types[name], told.columns.get(name, ""), not shows_customers and is_personal(table, name))
            for name in (columns or types)
        ],
    )
    described = []
    for done, column in enumerate(counted):
        tell("profile", column.name, done, len(counted))
        described.append(describe(connection, _quoted(table), column))
    return TableProfile(table, version, told.grain, counted[0].n_rows, tuple(described))


def is_personal(table: str, column: str) -> bool:
    """Tell whether single values of a column may tell of a person."""
    return column in PERSONAL and (table, column) not in NOT_PERSONAL


def _quoted(table: str) -> str:
    return ".".join(map(quote, table.split(".")))

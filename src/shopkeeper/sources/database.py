"""A Postgres table or query, by DuckDB's own reader for it.

With a cursor column, rows whose cursor is **at or after** the last one are read: rows that came late with an
equal cursor are not lost, and those read before are known to the lake by their content and add nothing. Rows
whose cursor is null are read only where there is no last cursor. Rows are counted in the snapshot they are
read from.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shopkeeper import engine
from shopkeeper.engine import literal, quote
from shopkeeper.errors import ContractError, OutsideError, TransientError
from shopkeeper.mappings import Mapping as TableMapping
from shopkeeper.sources.casting import Field
from shopkeeper.sources.conformity import Conformity, Refused, Scan, check_timezone, consecutive
from shopkeeper.sources.source import Batch, Item, Known, Reading
from shopkeeper.sources.transfer import Retries

if TYPE_CHECKING:
    import duckdb

CONNECTION_SIGNS = (
    "could not connect",
    "connection refused",
    "timeout",
    "could not translate",
    "starting up",
    "closed the connection",
)


@dataclass(frozen=True)
class Relation:
    """What is read: a table (``schema.table``) or a query, and its cursor column, if it has one."""

    name: str
    sql: str
    cursor: str | None = None

    @classmethod
    def table(cls, name: str, cursor: str | None = None) -> "Relation":
        """Name a table, with or without its schema."""
        return cls(name, f"select * from {'.'.join(quote(part) for part in name.split('.', 1))}", cursor)


@dataclass(frozen=True)
class Window:
    """What lies at or after a cursor in one snapshot: how many rows and the largest cursor."""

    since: str | None
    rows: int
    upto: str | None


class PostgresSource:
    """Rows of a Postgres server.

    ``relations``: table of the mapping → what is read for it. ``dsn`` is a secret and appears in no message.
    """

    def __init__(
        self,
        name: str,
        dsn: str,
        relations: Mapping[str, Relation],
        mappings: Mapping[str, TableMapping],
        *,
        timezone: str,
        scratch: Path,
        retries: Retries | None = None,
    ) -> None:
        self.name = name
        self.relations = dict(relations)
        self.mappings = dict(mappings)
        self.timezone = check_timezone(timezone)
        self.scratch = scratch
        self.retries = retries or Retries()
        self._dsn = dsn

    def items(self, known: Known) -> Iterator[Item]:
        """Yield one item for each relation: what lies at or after its last cursor.

        Raises OutsideError if the server or the relation cannot be read, TransientError if trying again did
        not help.
        """
        for table, relation in self.relations.items():
            since = known.cursors.get(table) if relation.cursor else None
            with self._connection() as connection:
                window = self._window(connection, relation, since)
            told = f"{relation.sql}\n{window.since}\n{window.upto}\n{window.rows}"
            # Without a cursor nothing short of reading tells whether a row changed.
            fingerprint = hashlib.sha256(told.encode()).hexdigest() if relation.cursor else ""
            yield Item(
                f"{self.name}/{relation.name}",
                table,
                self.mappings[table],
                fingerprint,
                window.rows,
                since or "",
                is_window=True,
            )

    def read(self, item: Item) -> AbstractContextManager[Reading]:
        """Open an item. Raises ContractError if its shape does not fit, OutsideError if it cannot be had."""
        return self._reading(item)

    @contextmanager
    def _reading(self, item: Item) -> Iterator[Reading]:
        relation = self.relations[item.table]
        with self._connection() as connection:
            window = self._window(connection, relation, item.locator or None)
            sql = _since(relation, window.since)
            found = self._ask(relation, connection, f"describe {_pushed(sql)}")
            fields = [Field(name, quote(name), kind) for name, kind, *_ in found]
            conformity = Conformity(fields, item.mapping, self.timezone, item.name)
            reading = Reading(iter(()), window.rows, list(conformity.notes), window.upto or window.since)
            reading.batches = self._batches(connection, conformity, relation, sql)
            yield reading

    def _batches(
        self, connection: "duckdb.DuckDBPyConnection", conformity: Conformity, relation: Relation, sql: str
    ) -> Iterator[Batch]:
        try:
            yield from conformity.batches(connection, Scan(f"({_pushed(sql)})"), consecutive(1))
        except Refused as refused:
            raise self._trouble(relation.name, str(refused)) from None

    @contextmanager
    def _connection(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        with closing(engine.connect(scratch=self.scratch, extensions=("postgres_scanner",))) as connection:
            self.retries.call(lambda: self._attach(connection))
            # One transaction is one snapshot: the rows counted are the rows read.
            connection.execute("begin transaction")
            yield connection

    def _attach(self, connection: "duckdb.DuckDBPyConnection") -> None:
        import duckdb

        try:
            connection.execute(f"attach {literal(self._dsn)} as remote (type postgres, read_only)")
        except duckdb.Error as error:
            raise self._trouble("the server", str(error)) from None

    def _window(self, connection: "duckdb.DuckDBPyConnection", relation: Relation, since: str | None) -> Window:
        largest = f"max({quote(relation.cursor)})::text" if relation.cursor else "null::text"
        sql = f"select count(*), {largest} from ({_since(relation, since)}) as counted"
        ((rows, upto),) = self._ask(relation, connection, _pushed(sql))
        return Window(since, int(rows), upto)

    def _ask(self, relation: Relation, connection: "duckdb.DuckDBPyConnection", sql: str) -> list[tuple[Any, ...]]:
        import duckdb

        try:
            return connection.execute(sql).fetchall()
        except duckdb.Error as error:
            raise self._trouble(relation.name, str(error)) from None

    def _trouble(self, what: str, said: str) -> OutsideError | ContractError:
        reason = self._without_secrets(said)
        if any(sign in said.lower() for sign in CONNECTION_SIGNS):
            return TransientError(
                f"the Postgres server of {self.name} must answer; got {reason!r}. Check that it runs and the "
                "dsn in "
                f"secrets.toml."
            )
        if what == "the server":
            return OutsideError(
                f"the Postgres server of {self.name} must let us in; got {reason!r}. Check the dsn in secrets.toml."
            )
        return OutsideError(
            f"{what} of {self.name} must be readable; got {reason!r}. Check the table or query, its cursor "
            "column "
            f"and the user's rights."
        )

    def _without_secrets(self, said: str) -> str:
        lines = [line for line in said.replace(self._dsn, "the server").splitlines() if line.strip()]
        password = urlsplit(self._dsn).password if "://" in self._dsn else None
        found = re.search(r"password\s*=\s*('[^']*'|\S+)", self._dsn)
        reason = next((line for line in lines if "ERROR:" in line or "FATAL:" in line), lines[0] if lines else "")
        for secret in (password, found.group(1).strip("'") if found else None):
            if secret:
                reason = reason.replace(secret, "…")
        return reason.strip()[:300]


def _since(relation: Relation, since: str | None) -> str:
    if since is None or relation.cursor is None:
        return relation.sql
    return f"select * from ({relation.sql}) as source where {quote(relation.cursor)} >= {literal(since)}"


def _pushed(sql: str) -> str:
    return f"select * from postgres_query('remote', {literal(sql)})"

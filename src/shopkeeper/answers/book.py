"""Answers written once, at publishing, and read by key: ``answers.sqlite`` beside a version's tables.

One table per kind: ``place`` (in the order of the keys), ``id``, ``answer`` (JSON, as it is sent). The engine writes the
JSON; rows pass through here in the order of their keys, so that a large shop's file is written from its first page to its
last and memory stays bounded.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shopkeeper.answers.questions import CUSTOMER, KEY, LISTED, PLACE, PRODUCT, RECOMMENDED, Question, tables_of
from shopkeeper.engine import literal, quote
from shopkeeper.errors import StorageError
from shopkeeper.vocabulary import CUSTOMER_ID, PRODUCT_ID

if TYPE_CHECKING:
    import duckdb

FILE = "answers.sqlite"
FORMAT = 1
CUSTOMERS, PRODUCTS, OF_CUSTOMERS, LISTS = "customers", "products", "customer_recommendations", "lists"
KINDS = (CUSTOMERS, PRODUCTS, OF_CUSTOMERS, LISTS)
PAGE = 16384
"""An answer of some kilobytes fits into one page, and few of them waste little of it."""
AT_ONCE, PER_BATCH = 5_000, 100_000
MAPPED = 128 * 2**20
"""Bytes of the file that a reader maps; the rest is read through the system's cache, so that memory stays bounded."""

KEYS = {
    CUSTOMERS: f"select {CUSTOMER_ID} as {KEY} from core.customers where {CUSTOMER_ID} is not null",
    PRODUCTS: f"select {PRODUCT_ID} as {KEY} from core.products where {PRODUCT_ID} is not null",
}


def write(connection: "duckdb.DuckDBPyConnection", folder: Path) -> dict[str, int]:
    """Write the answers of the tables that a connection reads into a folder; return how many of each kind.

    A section whose table is not there, or of an older Shopkeeper, is null, and ``Book.unanswered`` names it. What stood in the
    folder before is replaced: may be repeated. Raises StorageError if the disk refuses.
    """
    path = folder / FILE
    path.unlink(missing_ok=True)
    try:
        book = sqlite3.connect(path, isolation_level=None)
        try:
            return _written(connection, book)
        finally:
            book.close()
    except sqlite3.Error as error:
        raise StorageError(
            f"the disk must take the answers of a version; got: {error}. Free some space and publish again."
        ) from error


def _written(connection: "duckdb.DuckDBPyConnection", book: sqlite3.Connection) -> dict[str, int]:
    # Nobody reads the file before it is whole, and publishing syncs it.
    for pragma in (f"page_size = {PAGE}", "journal_mode = off", "synchronous = off", "cache_size = -65536"):
        book.execute(f"pragma {pragma}")
    book.execute("create table about (name text primary key, value text) without rowid")
    counts: dict[str, int] = {}
    gaps: list[str] = []
    tables = tables_of(connection)
    for kind in KINDS:
        book.execute(f"create table {kind} (place integer primary key, id text not null, answer text not null)")
        book.execute("begin")
        for rows in _answers(connection, kind, tables, gaps):
            book.executemany(f"insert into {kind} (id, answer) values (?, ?)", rows)
        book.execute("commit")
        book.execute(f"create unique index {kind}_by_id on {kind} (id)")
        (counts[kind],) = book.execute(f"select count(*) from {kind}").fetchone()
    book.executemany(
        "insert into about values (?, ?)", [("format", str(FORMAT)), ("unanswered", " ".join(sorted(set(gaps))))]
    )
    return counts


def _answers(
    connection: "duckdb.DuckDBPyConnection", kind: str, tables: set[str], gaps: list[str]
) -> Iterator[Sequence[tuple[str, str]]]:
    """Yield keys and answers of a kind, in the order of the keys."""
    if kind in KEYS:
        questions = CUSTOMER if kind == CUSTOMERS else PRODUCT
        asked = [each for each in questions if _is_answered(connection, each, tables)]
        gaps += [f"{kind}.{each.name}" for each in questions if each not in asked]
        name = "customer_id" if kind == CUSTOMERS else "product_id"
        description = "" if kind == CUSTOMERS else "description"
        for low, high in _ranges(connection, KEYS[kind]):
            yield from _read(connection, _whole_sql(connection, kind, name, description, questions, asked, low, high))
        return
    question = RECOMMENDED if kind == OF_CUSTOMERS else LISTED
    if not _is_answered(connection, question, tables):
        gaps.append(kind)
        return
    for low, high in _ranges(connection, f"select distinct {KEY} from ({question.sql})"):
        yield from _read(connection, f"{_json_sql(connection, question, low, high)} order by {KEY}")


def _is_answered(connection: "duckdb.DuckDBPyConnection", question: Question, tables: set[str]) -> bool:
    import duckdb

    if question.needs and question.needs not in tables:
        return False
    try:
        connection.execute(f"describe {question.sql}")
    except (duckdb.BinderException, duckdb.CatalogException):
        return False
    return True


def _ranges(connection: "duckdb.DuckDBPyConnection", keys: str) -> list[tuple[str | None, str | None]]:
    """Return first keys (included) and last (excluded) of batches; None: the end of all keys."""
    numbered = f"select {KEY}, row_number() over (order by {KEY}) as number from ({keys})"
    found = connection.execute(
        f"select {KEY} from ({numbered}) where number % {PER_BATCH} = 1 order by {KEY}"
    ).fetchall()
    starts = [row[0] for row in found]
    return list(zip([None, *starts[1:]], [*starts[1:], None], strict=True)) if starts else []


def _within(low: str | None, high: str | None) -> str:
    tests = [f"{KEY} is not null"]
    tests += [f"{KEY} >= {literal(low)}"] if low is not None else []
    tests += [f"{KEY} < {literal(high)}"] if high is not None else []
    return " and ".join(tests)


def _json_sql(connection: "duckdb.DuckDBPyConnection", question: Question, low: str | None, high: str | None) -> str:
    """Return the query for a section's JSON by key: an object for facts, else an array in order."""
    kinds = {row[0]: row[1] for row in connection.execute(f"describe {question.sql}").fetchall()}
    # JSON has no word for what is not a number.
    values = ", ".join(
        f"{quote(name)} := {f'if(isfinite({quote(name)}), {quote(name)}, null)' if kinds[name] == 'DOUBLE' else quote(name)}"
        for name in question.types
    )
    told = f"struct_pack({values})"
    rows = f"select * from ({question.sql}) as section where {_within(low, high)}"
    if question.form == "facts":
        return f"select {KEY}, any_value(cast(to_json({told}) as varchar)) as told from ({rows}) group by {KEY}"
    # Sorting each short list is four times as quick as an aggregate that keeps an order.
    ordered = f"list_sort(list(struct_pack(place := {PLACE}, told := {told})), 'asc', 'nulls last')"
    return (
        f"select {KEY}, cast(to_json(list_transform({ordered}, lambda each: each.told)) as varchar) as told "
        f"from ({rows}) group by {KEY}"
    )


def _whole_sql(
    connection: "duckdb.DuckDBPyConnection",
    kind: str,
    name: str,
    description: str,
    questions: Sequence[Question],
    asked: Sequence[Question],
    low: str | None,
    high: str | None,
) -> str:
    """Return the query for the answers of a range of keys: an object with a member for each section."""
    sections = [
        f"section_{place} as materialized ({_json_sql(connection, each, low, high)})"
        for place, each in enumerate(asked)
    ]
    place_of = {each: place for place, each in enumerate(asked)}
    parts = [f"'{{\"{name}\":' || cast(to_json(k.{KEY}) as varchar)"]
    if description:
        parts.append(f"',\"{description}\":' || coalesce(cast(to_json(k.{description}) as varchar), 'null')")
    for question in questions:
        nothing = "null" if question.form == "facts" else "[]"
        told = f"coalesce(s{place_of[question]}.told, '{nothing}')" if question in place_of else f"'{nothing}'"
        parts.append(f"',\"{question.name}\":' || {told}")
    joins = " ".join(
        f"left join section_{place} as s{place} on s{place}.{KEY} = k.{KEY}" for place in range(len(asked))
    )
    shown = ", description" if description else ""
    keys = f"select {name} as {KEY}{shown} from core.{kind}"
    return (
        f"{'with ' + ', '.join(sections) if sections else ''} select k.{KEY}, {' || '.join(parts)} || '}}' "
        f"from (select * from ({keys}) where {_within(low, high)}) as k {joins} order by k.{KEY}"
    )


def _read(connection: "duckdb.DuckDBPyConnection", sql: str) -> Iterator[Sequence[tuple[str, str]]]:
    found = connection.execute(sql)
    while rows := found.fetchmany(AT_ONCE):
        yield rows


class Book:
    """The answers of one version, for reading; a connection of its own, for one thread."""

    def __init__(self, folder: Path) -> None:
        """Open the answers in a version's folder. Raises StorageError if there are none that this version reads."""
        path = folder / FILE
        try:
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro&immutable=1",
                uri=True,
                check_same_thread=False,
                isolation_level=None,
            )
            self._connection.text_factory = bytes
            self._connection.execute(f"pragma mmap_size = {MAPPED}")
            self._connection.execute("pragma cache_size = -8192")
            told = {
                key.decode(): value.decode() for key, value in self._connection.execute("select name, value from about")
            }
        except sqlite3.Error as error:
            raise StorageError(
                f"a version's answers must be readable; got: {error} in {path}. Run `shopkeeper publish` after a build."
            ) from error
        if told.get("format") != str(FORMAT):
            self._connection.close()
            raise StorageError(
                f"a version's answers must have format {FORMAT}; got {told.get('format')} in {path}. Publish a new build."
            )
        self.unanswered = told["unanswered"].split()
        self._sql = {kind: f"select answer from {kind} where id = ?" for kind in KINDS}

    def answer(self, kind: str, key: str) -> bytes | None:
        """Return the JSON of a key; None if nothing is known of it. ``kind``: one of ``KINDS``."""
        try:
            row = self._connection.execute(self._sql[kind], (key,)).fetchone()
        except UnicodeEncodeError:
            return None
        return row[0] if row else None

    def count(self, kind: str) -> int:
        """Return how many answers of a kind there are."""
        row = self._connection.execute(f"select max(place) from {kind}").fetchone()
        return int(row[0] or 0)

    def first_keys(self, kind: str, n: int) -> list[str]:
        """Return the first keys of a kind."""
        return [row[0].decode() for row in self._connection.execute(f"select id from {kind} order by id limit ?", (n,))]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

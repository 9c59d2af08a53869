"""Answers written once, at publishing, and read by key: ``answers.records`` beside a version's tables.

One table per kind, key → JSON as it is sent. The engine writes the JSON; answers pass through here in the order of their
keys, as columns, so that a large shop's file is written from its beginning to its end and memory stays bounded.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from shopkeeper.answers.questions import (
    CUSTOMER,
    KEY,
    LISTED,
    PLACE,
    PRODUCT,
    RECOMMENDED,
    Question,
    Shared,
    tables_of,
)
from shopkeeper.answers.records import BrokenFileError, Records, RecordsWriter, UnfinishedFileError
from shopkeeper.engine import literal, quote
from shopkeeper.errors import StorageError
from shopkeeper.vocabulary import CORE, CUSTOMER_ID, PRODUCT_ID

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

FILE = "answers.records"
FORMAT = 4
CUSTOMERS, PRODUCTS, OF_CUSTOMERS, LISTS = "customers", "products", "customer_recommendations", "lists"
KINDS = (CUSTOMERS, PRODUCTS, OF_CUSTOMERS, LISTS)
WORDS = "words"
AT_ONCE, PER_BATCH = 5_000, 100_000
MARK = "\x01"
"""Stands in an answer before and after the number of words that are kept once. JSON holds no such letter but escaped."""
OPENS, CLOSES = ("@", "@@", "@@@"), ("#", "##", "###")
"""The members between which the engine writes a number. No text looks like one: a quote within a text is escaped."""
FIRST_NUMBER, MOST_WORDS = 1_000_000, 200_000
"""Of more different words, each answer keeps its own: all are held in memory."""
_MARK = MARK.encode()
AHEAD = 256 * 2**10
"""Bytes the system reads ahead at one call; of more it would take no notice."""

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
        with path.open("wb") as file:
            return _written(connection, RecordsWriter(file))
    except OSError as error:
        raise StorageError(
            f"the disk must take the answers of a version; got: {error}. Free some space and publish again."
        ) from error


def _written(connection: "duckdb.DuckDBPyConnection", book: RecordsWriter) -> dict[str, int]:
    import pyarrow as pa

    counts: dict[str, int] = {}
    gaps: list[str] = []
    tables = tables_of(connection)
    words = _Words(connection, tables)
    nothing = pa.array([], pa.string())
    for kind in KINDS:
        book.add(kind, nothing, nothing)
        counts[kind] = 0
        for keys, told in _answers(connection, kind, tables, words, gaps):
            book.add(kind, keys, told)
            counts[kind] += len(keys)
    book.add(
        WORDS,
        pa.array([str(number) for number, _ in words.told], pa.string()),
        pa.array([text for _, text in words.told], pa.string()),
    )
    book.close({"format": FORMAT, "unanswered": sorted(set(gaps))})
    return counts


def _answers(
    connection: "duckdb.DuckDBPyConnection", kind: str, tables: set[str], words: "_Words", gaps: list[str]
) -> "Iterator[tuple[pa.StringArray, pa.StringArray]]":
    """Yield keys and answers of a kind, in the order of the keys."""
    if kind in KEYS:
        questions = CUSTOMER if kind == CUSTOMERS else PRODUCT
        asked = [each for each in questions if _is_answered(connection, each, tables)]
        gaps += [f"{kind}.{each.name}" for each in questions if each not in asked]
        name = "customer_id" if kind == CUSTOMERS else "product_id"
        description = "" if kind == CUSTOMERS else "description"
        for low, high in _ranges(connection, KEYS[kind]):
            sql = _whole_sql(connection, words, kind, name, description, questions, asked, low, high)
            yield from _read(connection, sql)
        return
    question = RECOMMENDED if kind == OF_CUSTOMERS else LISTED
    if not _is_answered(connection, question, tables):
        gaps.append(kind)
        return
    for low, high in _ranges(connection, f"select distinct {KEY} from ({question.sql})"):
        yield from _read(connection, f"{_json_sql(connection, words, question, low, high)} order by {KEY}")


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


def _json_sql(
    connection: "duckdb.DuckDBPyConnection", words: "_Words", question: Question, low: str | None, high: str | None
) -> str:
    """Return the query for a section's JSON by key: an object for facts, else an array in order."""
    kinds = {row[0]: row[1] for row in connection.execute(f"describe {question.sql}").fetchall()}
    groups = {each.columns[0]: each for each in question.shared if words.has(each)}
    shared = {name for each in groups.values() for name in each.columns}
    members: list[str] = []
    joins: list[str] = []
    for name in question.types:
        if name in groups:
            # A struct has no member twice; all become the same mark once they are text.
            members.append(f"{quote(OPENS[len(joins)])} := w{len(joins)}.number, {quote(CLOSES[len(joins)])} := 0")
            same = " and ".join(
                f"w{len(joins)}.{quote(each)} is not distinct from s.{quote(each)}" for each in groups[name].columns
            )
            joins.append(f"left join {words.table(groups[name])} as w{len(joins)} on {same}")
        elif name not in shared:
            value = f"s.{quote(name)}"
            # JSON has no word for what is not a number.
            value = f"if(isfinite({value}), {value}, null)" if kinds[name] == "DOUBLE" else value
            members.append(f"{quote(name)} := {value}")
    told = f"struct_pack({', '.join(members)})"
    rows = f"(select * from ({question.sql}) as section where {_within(low, high)}) as s {' '.join(joins)}"
    if question.form == "facts":
        json = f"any_value(to_json({told}))"
    else:
        # Sorting each short list is four times as quick as an aggregate that keeps an order.
        ordered = f"list_sort(list(struct_pack(place := s.{PLACE}, told := {told})), 'asc', 'nulls last')"
        json = f"to_json(list_transform({ordered}, lambda each: each.told))"
    text = f"cast({json} as varchar)"
    for opens, closes in zip(OPENS[: len(joins)], CLOSES, strict=False):
        text = f"""replace(replace({text}, '"{opens}":', chr({ord(MARK)})), ',"{closes}":0', chr({ord(MARK)}))"""
    return f"select s.{KEY} as {KEY}, {text} as told from {rows} group by s.{KEY}"


class _Words:
    """What many answers say alike, each kept once under a number; ``told``: numbers and JSON members."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection", tables: set[str]) -> None:
        self._connection = connection
        self._tables = tables
        self._written: dict[Shared, str | None] = {}
        self.told: list[tuple[int, str]] = []

    def has(self, shared: Shared) -> bool:
        """Return whether something is kept once; writes its words at the first call."""
        if shared not in self._written:
            self._written[shared] = self._write(shared)
        return self._written[shared] is not None

    def table(self, shared: Shared) -> str:
        """Return the table of words: the columns, and ``number``."""
        return str(self._written[shared])

    def _write(self, shared: Shared) -> str | None:
        names, key = ", ".join(map(quote, shared.columns)), quote(shared.columns[0])
        nothing = ", ".join("null" for _ in shared.columns)
        known = [shared.sql, f"select {nothing}"]
        for place in shared.of:
            schema, _, table = place.partition(".")
            if schema == CORE or table in self._tables:
                rest = ", ".join("null" for _ in shared.columns[1:])
                known.append(
                    f"select {key}, {rest} from {place} anti join ({shared.sql}) using ({key}) where {key} is not null"
                )
        name = f"words_{len(self._written)}"
        start = FIRST_NUMBER + len(self.told)
        self._connection.execute(
            f"create or replace temp table {name} as "
            f"select {names}, row_number() over (order by {names}) + {start} as number "
            f"from ({' union '.join(known)}) limit {MOST_WORDS + 1}"
        )
        packed = ", ".join(f"{quote(each)} := {quote(each)}" for each in shared.columns)
        # Without its braces, an object is the members that stand in an answer.
        told = self._connection.execute(
            f"select number, cast(to_json(struct_pack({packed})) as varchar)[2:-2] from temp.main.{name}"
        ).fetchall()
        if len(told) + len(self.told) > MOST_WORDS:
            return None
        self.told += told
        return f"temp.main.{name}"


def _whole_sql(
    connection: "duckdb.DuckDBPyConnection",
    words: "_Words",
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
        f"section_{place} as materialized ({_json_sql(connection, words, each, low, high)})"
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


def _read(connection: "duckdb.DuckDBPyConnection", sql: str) -> "Iterator[tuple[pa.StringArray, pa.StringArray]]":
    for batch in connection.execute(sql).to_arrow_reader(AT_ONCE):
        yield batch.column(0), batch.column(1)


class Book:
    """The answers of one version, for reading; may be asked from any thread."""

    def __init__(self, folder: Path) -> None:
        """Open the answers in a folder. Raises StorageError if there are none that this Shopkeeper reads."""
        self._path = folder / FILE
        try:
            self._records = Records(self._path)
        except (OSError, BrokenFileError) as error:
            raise StorageError(
                f"a version's answers must be readable; got: {error} in {self._path}. Run `shopkeeper publish` after a build."
            ) from error
        about = self._records.about
        if about.get("format") != FORMAT:
            self.close()
            raise StorageError(
                f"a version's answers must have format {FORMAT}; got {about.get('format')} in {self._path}. Publish a new build."
            )
        self.unanswered: list[str] = about["unanswered"]
        self._words = dict(self._records.items(WORDS))

    def answer(self, kind: str, key: str) -> bytes | None:
        """Return the JSON of a key; None if nothing is known of it. ``kind``: one of ``KINDS``.

        Raises StorageError if the file breaks off.
        """
        try:
            found = self._records.value(kind, key.encode())
        except UnicodeEncodeError:
            return None
        except BrokenFileError as error:
            raise StorageError(
                f"a version's answers must be whole; got: {error} in {self._path}. Publish a new build."
            ) from error
        if found is None:
            return None
        parts = found.split(_MARK)
        parts[1::2] = map(self._words.__getitem__, parts[1::2])
        return b"".join(parts)

    def warm(self) -> None:
        """Have the system read the file ahead, beside what goes on, where it fits twice into free memory.

        A read from memory takes a few microseconds, one from the disk many times that.
        """
        if hasattr(os, "posix_fadvise") and 2 * self._records.size < os.sysconf("SC_AVPHYS_PAGES") * os.sysconf(
            "SC_PAGE_SIZE"
        ):
            Thread(target=_read_ahead, args=(self._path,), name="read answers ahead", daemon=True).start()

    def count(self, kind: str) -> int:
        """Return how many answers of a kind there are."""
        return self._records.count(kind)

    def first_keys(self, kind: str, n: int) -> list[str]:
        """Return the first keys of a kind."""
        return [key.decode() for key in self._records.keys(kind, n)]

    def close(self) -> None:
        """Let go of the file."""
        self._records.close()


def _read_ahead(path: Path) -> None:
    # The file may be gone by now, and then needs no reading.
    with suppress(OSError, BrokenFileError), closing(Records(path)) as records:
        records.read_ahead(AHEAD)


def stands(folder: Path) -> bool:
    """Return whether a folder holds whole answers in today's format. Raises StorageError if the file cannot be read."""
    path = folder / FILE
    try:
        with closing(Records(path)) as records:
            return records.about.get("format") == FORMAT
    except (FileNotFoundError, UnfinishedFileError):
        return False
    except (OSError, BrokenFileError) as error:
        raise StorageError(
            f"a version's answers must be readable; got: {error} in {path}. Run `shopkeeper publish` after a build."
        ) from error

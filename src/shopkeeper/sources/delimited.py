"""Delimited text: DuckDB reads it as fast as it can; what is damaged goes through the sieve first.

A file is read twice: once by the census, which counts its records and tells whether it is plain, and once by
DuckDB. Where the file is not plain, or DuckDB refuses it on the way, the sieve takes over from the record
that was reached.
"""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from shopkeeper import engine
from shopkeeper.engine import literal
from shopkeeper.errors import ContractError, SettingsError
from shopkeeper.mappings import Mapping
from shopkeeper.sources.casting import Field
from shopkeeper.sources.conformity import Conformity, Refused, Scan, consecutive, rejects_only
from shopkeeper.sources.encoding import find_encoding, transcode
from shopkeeper.sources.outside import disk_trouble, scratch_folder
from shopkeeper.sources.records import LONGEST_RECORD, Dialect, take_census
from shopkeeper.sources.sieve import sift
from shopkeeper.sources.source import Batch, Reading

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

DELIMITERS = (",", ";", "\t", "|")
HEAD = 1024 * 1024
# No text holds this sequence, so a whole line is read as one column.
NO_DELIMITER = "\x01\x02\x03\x04"


@dataclass(frozen=True)
class Header:
    """The names a file's first record gives, where the data begins, and whether it is simply the first
    line.
    """

    names: list[str]
    delimiter: str
    start: int
    is_first_line: bool


@dataclass(frozen=True)
class TextFile:
    """A UTF-8 file of records below a header: how it is divided and what makes rows of it."""

    path: Path
    dialect: Dialect
    conformity: Conformity
    start: int
    is_simple: bool
    first: int
    records: int
    view: str = "from {scan}"
    scan: Scan = field(default_factory=lambda: Scan(""))

    def batches(self, scratch: Path) -> Iterator[Batch]:
        """Yield the file's rows in order; ``scratch`` takes what the sieve writes."""
        connection = engine.connect(scratch=scratch)
        delivered = 0
        try:
            batches = self._strictly(connection, scratch) if self.is_simple else self._careful(connection, scratch, 0)
            for batch in batches:
                delivered += batch.rows.num_rows + batch.rejects.num_rows
                yield batch
            self._check(delivered)
        finally:
            connection.close()

    def write(self, scratch: Path, target: Path, constants: dict[str, str]) -> "pa.RecordBatch | None":
        """Write the rows to one Parquet file by the engine alone; return the rejects, or None if it must be sifted.

        On one thread, because only so does the engine number rows in the order of the file.
        """
        path = without_wildcards(self.path, scratch)
        scan = self._scan(path, 0 if self.start == 0 else 1)
        with engine.connect(scratch=scratch, threads=1) as connection:
            try:
                n_rows, rejects = self.conformity.write(connection, scan, (self.first, self.records), target, constants)
            except Refused:
                target.unlink(missing_ok=True)
                return None
        self._check(n_rows + rejects.num_rows)
        return rejects

    def _strictly(self, connection: "duckdb.DuckDBPyConnection", scratch: Path) -> Iterator[Batch]:
        delivered = 0
        try:
            for batch in self._fast(connection, scratch):
                delivered += batch.rows.num_rows + batch.rejects.num_rows
                yield batch
        except Refused:
            # A line is not as strict as it should be; what was delivered so far is good.
            yield from self._careful(connection, scratch, delivered)

    def _check(self, delivered: int) -> None:
        # The engine has been seen to drop lines without a word, given the wrong options.
        if delivered != self.records:
            raise ContractError(
                f"every record must become a row or a reject; got {delivered} of {self.records} from "
                f"{self.conformity.where}. Nothing was loaded: save the file as plain UTF-8 CSV and report "
                "this."
            )

    def _fast(self, connection: "duckdb.DuckDBPyConnection", scratch: Path) -> Iterator[Batch]:
        path = without_wildcards(self.path, scratch)
        skip = 0 if self.start == 0 else 1
        yield from self.conformity.batches(connection, self._scan(path, skip), consecutive(self.first))

    def _careful(self, connection: "duckdb.DuckDBPyConnection", scratch: Path, delivered: int) -> Iterator[Batch]:
        clean = scratch / "clean.csv"
        reached = self.first + delivered
        for sifted in sift(self.path, self.dialect, start=self.start, first=self.first):
            rejects = [reject for reject in sifted.rejects if reject.source_row >= reached]
            if rejects:
                yield rejects_only(self.conformity.contract, rejects)
            if not len(sifted.numbers) or sifted.numbers[-1] < reached:
                continue
            with disk_trouble(scratch):
                clean.write_bytes(sifted.clean)
            numbers = sifted.numbers
            batches = self.conformity.batches(
                connection,
                self._scan(clean, 0, "new_line = '\\n', "),
                lambda before, count, numbers=numbers: numbers[before : before + count],  # type: ignore[misc]
            )
            try:
                for batch in batches:
                    yield _from(batch, reached)
            except Refused as refused:
                raise ContractError(
                    f"sifted text must be readable; got {str(refused).splitlines()[0]!r} in "
                    f"{self.conformity.where}. "
                    f"Nothing was loaded: save the file as plain UTF-8 CSV and report this."
                ) from refused

    def _scan(self, path: Path, skip: int, options: str = "") -> Scan:
        names = [f"c{index}" for index in range(self.dialect.fields)]
        columns = ", ".join(f"{name}: 'VARCHAR'" for name in names)
        quote = "'\"'" if self.dialect.delimiter else "''"
        delimiter = literal(self.dialect.delimiter or NO_DELIMITER)
        # Twice the longest record, because what the census lets pass must not be refused here.
        table = (
            f"read_csv({literal(str(path))}, auto_detect = false, header = false, skip = {skip}, "
            f"columns = {{{columns}}}, delim = {delimiter}, quote = {quote}, escape = {quote}, "
            f"strict_mode = true, nullstr = '', compression = 'none', {options}max_line_size = "
            f"{2 * LONGEST_RECORD})"
        )
        return Scan(
            f"({self.view.format(scan=table)})",
            self.scan.row,
            self.scan.broken,
            self.scan.broken_rule,
        )


@contextmanager
def read_delimited(path: Path, where: str, mapping: Mapping, timezone: str, scratch: Path) -> Iterator[Reading]:
    """Open a delimited text file.

    Raises ContractError if it is empty or lacks a mapped column, SettingsError for an unknown encoding or a
    delimiter of several characters, StorageError if ``scratch`` is full.
    """
    with scratch_folder(scratch) as folder:
        text, notes = as_utf8(path, where, mapping, folder)
        header = read_header(text, where, mapping)
        fields = [Field(name, f"c{index}", "VARCHAR", has_empty=False) for index, name in enumerate(header.names)]
        conformity = Conformity(fields, mapping, timezone, where)
        dialect = Dialect(header.delimiter, len(fields))
        census = take_census(text, dialect, header.start)
        simple = census.is_plain and header.is_first_line and not (len(fields) == 1 and census.has_blank_lines)
        notes += conformity.notes
        if not census.records:
            notes.append(f"{where} has a header and no rows")
        file = TextFile(text, dialect, conformity, header.start, simple, 2, census.records)
        reading = Reading(file.batches(folder), census.records, notes)
        if simple:
            reading.write = lambda target, constants: file.write(folder, target, constants)
        yield reading


def as_utf8(path: Path, where: str, mapping: Mapping, folder: Path) -> tuple[Path, list[str]]:
    """Return the file, or a copy of it in UTF-8, and what to tell about that.

    Raises ContractError if it is empty.
    """
    if path.stat().st_size == 0:
        raise ContractError(
            f"a file must have a header; got 0 bytes in {where}. Export it again, or remove it from the folder."
        )
    encoding = find_encoding(path, mapping.encoding, where)
    notes = [encoding.note] if encoding.note else []
    if encoding.is_utf8:
        return path, notes
    with disk_trouble(folder):
        target = folder / "utf8.txt"
        transcode(path, encoding, target)
    return target, notes


def read_header(path: Path, where: str, mapping: Mapping) -> Header:
    """Find the header of a UTF-8 file and the delimiter that divides it.

    Raises ContractError if there is none, or another delimiter than the declared one gives the mapped
    columns; SettingsError if the declared one is no single character.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    mark = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    line, start, is_first = _first_record(head, mark)
    if not line.strip():
        raise ContractError(f"a file must have a header; got only blank lines in {where}. Export it again.")
    text = line.decode("utf-8", "replace")
    wanted = {name for names in mapping.columns.values() for name in names}
    best = max(DELIMITERS, key=lambda mark: _score(text, mark, wanted))
    declared = mapping.delimiter
    if declared is None:
        return Header(_names(text, best), best, start, is_first)
    if len(declared.encode()) != 1 or declared in '"\r\n':
        raise SettingsError(
            f"delimiter must be one ASCII character; got {declared!r} in the mapping for {where}. "
            f"Remove it to let the reader find out."
        )
    if _score(text, declared, wanted)[0] < _score(text, best, wanted)[0]:
        raise ContractError(
            f"the delimiter must divide the header into the mapped columns; got {declared!r} for {where}, "
            "whose "
            f"header is {text[:200]!r}. Set delimiter = {best!r}."
        )
    return Header(_names(text, declared), declared, start, is_first)


def without_wildcards(path: Path, scratch: Path) -> Path:
    """Return a path that DuckDB cannot take for a pattern: the same file by another name, if need be."""
    if not set("*?[") & set(str(path)):
        return path
    link = scratch / "linked"
    link.unlink(missing_ok=True)
    link.symlink_to(path.resolve())
    return link


def _first_record(head: bytes, at: int) -> tuple[bytes, int, bool]:
    """Return the first record that is not blank, where the next begins, and whether it is the first line."""
    record, start = b"", at
    for number, line in enumerate(head[at:].splitlines(keepends=True)):
        start += len(line)
        record += line
        if not record.strip(b"\r\n"):
            record = b""
        elif not record.count(b'"') & 1:
            return record.strip(b"\r\n"), start, number == 0
    return record, start, False


def _names(text: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([text], delimiter=delimiter))]


def _score(text: str, delimiter: str, wanted: set[str]) -> tuple[int, int]:
    names = _names(text, delimiter)
    return len(wanted & set(names)), len(names)


def _from(batch: Batch, reached: int) -> Batch:
    import pyarrow.compute as pc

    rows, rejects = batch.rows, batch.rejects
    if rows.num_rows and rows.column("source_row")[0].as_py() < reached:
        rows = rows.filter(pc.greater_equal(rows.column("source_row"), reached))
    if rejects.num_rows and rejects.column("source_row")[0].as_py() < reached:
        rejects = rejects.filter(pc.greater_equal(rejects.column("source_row"), reached))
    return Batch(rows, rejects)

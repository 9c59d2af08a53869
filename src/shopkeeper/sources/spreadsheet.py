"""Excel workbooks: one sheet, its first row with a value as header."""

import html
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shopkeeper import engine
from shopkeeper.engine import quote
from shopkeeper.errors import ContractError
from shopkeeper.mappings import Mapping
from shopkeeper.sources.archive import Limits, bounded_chunks
from shopkeeper.sources.casting import Field
from shopkeeper.sources.conformity import Conformity, Refused, Scan, consecutive
from shopkeeper.sources.source import Batch, Reading

if TYPE_CHECKING:
    import pyarrow as pa

ROW = re.compile(rb"<(?:\w+:)?row(?=[\s/>])")
VALUE = re.compile(rb"<(?:\w+:)?(?:v|t)(?:\s[^>]*)?>[^<]")
ERROR_CELL = re.compile(rb"<(?:\w+:)?c\s[^>]*\bt=\"e\"[^>]*>.*?</(?:\w+:)?c>", re.DOTALL)
NOTHING = re.compile(
    rb"<(?:\w+:)?t(?:\s[^>]*)?>\s*(?:#?N/?A|#N/A N/A|n/a|NULL|null|None|-?NaN|-?nan|&lt;NA&gt;|-?1\.#(?:IND|QNAN))\s*</"
)
"""Texts that the reader takes for an empty cell among numbers."""
NUMBER = re.compile(rb"\sr=\"(\d+)\"")
OLE_MARK = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True)
class SheetCensus:
    """How many rows of a sheet have a value, and the number of the first of them."""

    rows: int
    first: int


@contextmanager
def read_spreadsheet(path: Path, where: str, mapping: Mapping, timezone: str) -> Iterator[Reading]:
    """Open a workbook's sheet.

    Raises ContractError if it is damaged, locked by a password, empty, has no sheet of the declared name, or
    lacks a mapped column.
    """
    workbook = _open(path, where)
    name = _sheet_name(workbook.sheet_names, mapping, where)
    sheet = _load(workbook, name, where)
    table = sheet.to_arrow()
    if swallowed := _swallowed(path, table):
        table = _load(workbook, name, where, swallowed).to_arrow()
    _refuse_doubles(workbook, name, table.schema.names, where)
    census = _census(path, name, workbook, where)
    fields = [_field(column, index) for index, column in enumerate(table.schema)]
    conformity = Conformity(fields, mapping, timezone, f"sheet {name!r} of {where}")
    notes = list(conformity.notes)
    if len(workbook.sheet_names) > 1 and mapping.sheet is None:
        others = ", ".join(repr(other) for other in workbook.sheet_names if other != name)
        notes.append(f"{where} was read from sheet {name!r}; not read: {others}")
    if census.rows <= 1:
        notes.append(f"{where} has a header and no rows")
    yield Reading(_batches(table, conformity, census.first + 1, where), census.rows - 1, notes)


def count_sheet_rows(path: Path, sheet: str, where: str) -> SheetCensus:
    """Count the rows with a value in the XML of an .xlsx sheet, which no reader of cells takes part in.

    Raises ContractError if the file is no .xlsx or the sheet is not in it.
    """
    rows, first = 0, 1
    with zipfile.ZipFile(path) as archive:
        member = _sheet_member(archive, sheet, where)
        with archive.open(member) as source:
            for row in _rows(bounded_chunks(source, member.compress_size, where, Limits())):
                if VALUE.search(ERROR_CELL.sub(b"", row) if b't="e"' in row else row):
                    number = NUMBER.search(row[: row.find(b">") + 1])
                    first = int(number.group(1)) if number and not rows else first
                    rows += 1
    return SheetCensus(rows, first)


def _rows(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = ROW.split(rest + chunk)
        # What stands before the first <row> is no row, and what a chunk's end cuts is finished by the next.
        yield from whole
        rest = (b"<row" if whole else b"") + rest
    yield rest


def _census(path: Path, sheet: str, workbook: Any, where: str) -> SheetCensus:
    if zipfile.is_zipfile(path) and path.suffix.lower() in {".xlsx", ".xlsm"}:
        return count_sheet_rows(path, sheet, where)
    # Binary workbooks: a second reading, of text alone, that shares no type inference with the first.
    table = workbook.load_sheet(sheet, header_row=None, dtypes="string").to_arrow()
    filled = sum(any(value is not None for value in row) for row in zip(*table.to_pydict().values(), strict=True))
    return SheetCensus(filled, 1)


def _sheet_member(archive: zipfile.ZipFile, sheet: str, where: str) -> zipfile.ZipInfo:
    workbook = archive.read("xl/workbook.xml").decode("utf-8", "replace")
    relations = archive.read("xl/_rels/workbook.xml.rels").decode("utf-8", "replace")
    for tag in re.findall(r"<(?:\w+:)?sheet\s[^>]*>", workbook):
        if html.unescape(_attribute(tag, "name")) == sheet:
            identity = _attribute(tag, r"\w+:id")
            for relation in re.findall(r"<(?:\w+:)?Relationship\s[^>]*>", relations):
                if _attribute(relation, "Id") == identity:
                    target = _attribute(relation, "Target").lstrip("/")
                    return archive.getinfo(target if target.startswith("xl/") else f"xl/{target}")
    raise ContractError(f"a workbook must list its sheets; got none named {sheet!r} in {where}. Save it again.")


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'\s{name}="([^"]*)"', tag)
    return found.group(1) if found else ""


def _batches(table: "pa.RecordBatch", conformity: Conformity, first: int, where: str) -> Iterator[Batch]:
    import pyarrow as pa

    numbered = _numbered(table, first)
    with engine.connect() as connection:
        connection.register("sheet", pa.Table.from_batches([numbered]))
        filled = " or ".join(f"cast(c{index} as VARCHAR) <> ''" for index in range(table.num_columns))
        scan = Scan(f"(from sheet where {filled})", row="row_number")
        try:
            yield from conformity.batches(connection, scan, consecutive(first))
        except Refused as refused:
            raise ContractError(
                f"a sheet must hold plain values; got {str(refused).splitlines()[0]!r} in {where}. Save it again."
            ) from None


def _numbered(table: "pa.RecordBatch", first: int) -> "pa.RecordBatch":
    import numpy as np
    import pyarrow as pa

    names = [f"c{index}" for index in range(table.num_columns)]
    rows = pa.array(np.arange(first, first + table.num_rows, dtype=np.int64))
    return pa.record_batch([*table.columns, rows], names=[*names, "row_number"])


def _field(column: "pa.Field", index: int) -> Field:
    import pyarrow as pa

    if pa.types.is_floating(column.type):
        kind = "DOUBLE"
    elif pa.types.is_timestamp(column.type):
        kind = "TIMESTAMP"
    elif pa.types.is_date(column.type):
        kind = "DATE"
    elif pa.types.is_integer(column.type):
        kind = "BIGINT"
    elif pa.types.is_boolean(column.type):
        kind = "BOOLEAN"
    else:
        kind = "VARCHAR" if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) else "OTHER"
    name = "" if column.name.startswith("__UNNAMED__") else column.name.strip()
    return Field(name, quote(f"c{index}"), kind, exact=False)


def _open(path: Path, where: str) -> Any:
    import fastexcel

    try:
        return fastexcel.read_excel(path)
    except fastexcel.FastExcelError as error:
        with path.open("rb") as file:
            is_ole = file.read(4) == OLE_MARK
        if "password" in str(error).lower() or (is_ole and path.suffix.lower() != ".xls"):
            raise ContractError(
                f"a workbook must open without a password; got a protected one in {where}. Save it without."
            ) from None
        raise ContractError(
            f"a workbook must be a whole Excel file; got {str(error).splitlines()[0]!r} in {where}. Save it "
            "again "
            f"in Excel, or export the sheet as CSV."
        ) from None


def _sheet_name(names: list[str], mapping: Mapping, where: str) -> str:
    wanted = mapping.sheet or (names[0] if names else "")
    if wanted not in names:
        raise ContractError(
            f"sheet must be one of {', '.join(map(repr, names)) or 'none'}; got {wanted!r} in the mapping "
            f"for {where}. "
            f"Name one of them."
        )
    return wanted


def _swallowed(path: Path, table: "pa.RecordBatch") -> list[str]:
    """Return the columns of numbers or dates in which the reader may have taken words such as N/A for nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    gaps = [
        column.name
        for column, values in zip(table.schema, table.columns, strict=True)
        if not pa.types.is_string(column.type)
        and not pa.types.is_large_string(column.type)
        and (values.null_count or (pa.types.is_floating(column.type) and pc.any(pc.is_nan(values)).as_py()))
    ]
    return gaps if gaps and _has_words_for_nothing(path) else []


def _has_words_for_nothing(path: Path) -> bool:
    if not zipfile.is_zipfile(path) or path.suffix.lower() not in {".xlsx", ".xlsm"}:
        return True
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename == "xl/sharedStrings.xml" or member.filename.startswith("xl/worksheets/sheet"):
                with archive.open(member) as source:
                    rest = b""
                    for chunk in bounded_chunks(source, member.compress_size, member.filename, Limits()):
                        if NOTHING.search(rest + chunk):
                            return True
                        rest = chunk[-100:]
    return False


def _load(workbook: Any, name: str, where: str, as_text: Sequence[str] = ()) -> Any:
    import fastexcel

    try:
        sheet = workbook.load_sheet(name, schema_sample_rows=None, dtypes=dict.fromkeys(as_text, "string") or None)
    except (fastexcel.FastExcelError, zlib.error) as error:
        raise ContractError(
            f"a sheet must be whole and have a header; got {str(error).splitlines()[0]!r} in sheet {name!r} "
            "of "
            f"{where}. Save it again."
        ) from None
    if not sheet.width:
        raise ContractError(f"a sheet must have a header; got nothing in sheet {name!r} of {where}. Choose another.")
    return sheet


def _refuse_doubles(workbook: Any, name: str, names: list[str], where: str) -> None:
    # The reader renames a second 'Price' to 'Price_1': look at the header itself if one may be renamed.
    if not any(re.fullmatch(rf"{re.escape(other)}_\d+", found) for found in names for other in names):
        return
    header = workbook.load_sheet(name, header_row=None, n_rows=1, dtypes="string").to_arrow().to_pylist()[0]
    values = [value for value in header.values() if value]
    for value in values:
        if values.count(value) > 1:
            raise ContractError(
                f"column names must differ from one another; got {value!r} {values.count(value)} times in "
                f"{where}. "
                f"Rename one of them in the sheet."
            )

"""Raw columns become the columns of a contract, or rejects with the reason: the one place where that happens.

``Conformity`` is drawn up once for an item from the columns that were found (a missing or doubled column is
refused here), and then turns any scan of those columns into batches by a single vectorised query. Only rows
that break a rule are looked at one by one.
"""

import difflib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shopkeeper.contracts import RULES, Column, Contract, Kind
from shopkeeper.engine import literal, quote
from shopkeeper.errors import ContractError, SettingsError, StorageError
from shopkeeper.mappings import Mapping
from shopkeeper.sources import casting
from shopkeeper.sources.casting import Cast, Field
from shopkeeper.sources.source import REJECT_FIELDS, Batch

if TYPE_CHECKING:
    import duckdb
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

BATCH_ROWS = 122_880
RAW_LIMIT = 10_000
COMMON_FORMATS = tuple(
    f"{day}{clock}"
    for day in (
        "%Y-%m-%d",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d.%m.%Y",
        "%d-%m-%Y",
        "%Y/%m/%d",
        "%Y%m%d",
        "%d %b %Y",
        "%b %d, %Y",
    )
    for clock in ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", "T%H:%M:%S%z", " %I:%M %p")
)
"""What a date may look like that the declared formats do not read; the first that fits is offered."""
MACHINE_SIGNS = (
    "No space left",
    "Out of Memory",
    "could not allocate",
    "failed to offload",
    "Could not write",
)

RowNumbers = Callable[[int, int], "NDArray[np.int64]"]
"""Given how many rows came before and how many come now, the row numbers of the latter."""


@dataclass(frozen=True)
class Scan:
    """Raw rows as SQL.

    ``sql``: a table expression that yields the columns the fields read. ``row``: SQL of the row's number,
    where the scan knows it. ``broken``: SQL that is the raw line where it could not be split into columns,
    else null;
    ``broken_rule`` says what such a line should have been.
    """

    sql: str
    row: str | None = None
    broken: str | None = None
    broken_rule: str = ""


class Refused(Exception):  # noqa: N818 - it is control flow between a scan and its reader, not an error told
    """DuckDB refused the raw data of a scan; only the reader that wrote the scan knows what that means."""


@dataclass(frozen=True)
class Reject:
    """One source row that did not enter, as REJECT_FIELDS lists it."""

    source_row: int
    raw_text: str
    column_name: str
    rule: str
    value: str


def consecutive(first: int) -> RowNumbers:
    """Return row numbers that start at ``first`` and leave none out."""
    import numpy as np

    return lambda before, count: np.arange(first + before, first + before + count, dtype=np.int64)


def check_timezone(name: str) -> str:
    """Return the name of a time zone if there is one of that name.

    Raises SettingsError otherwise.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(
            f"timezone must be a name such as Europe/London or UTC; got {name!r}. See the list of tz database names."
        ) from None
    return "UTC" if name in {"UTC", "Etc/UTC"} else name


def rows_schema(contract: Contract) -> "pa.Schema":
    """Return the Arrow schema of a batch's rows: the contract's columns in order, then ``source_row``."""
    import pyarrow as pa

    types = {
        Kind.TEXT: pa.string(),
        Kind.JSON: pa.string(),
        Kind.QUANTITY: pa.decimal128(18, 3),
        Kind.MONEY: pa.decimal128(18, 4),
        Kind.INTEGER: pa.int64(),
        Kind.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    }
    columns = [pa.field(column.name, types[column.kind]) for column in contract.columns]
    return pa.schema([*columns, pa.field("source_row", pa.int64())])


def reject_batch(rejects: Sequence[Reject]) -> "pa.RecordBatch":
    """Return rejects as an Arrow batch of REJECT_FIELDS."""
    import pyarrow as pa

    schema = pa.schema([(name, pa.int64() if name == "source_row" else pa.string()) for name in REJECT_FIELDS])
    columns = [[getattr(reject, name) for reject in rejects] for name in REJECT_FIELDS]
    return pa.record_batch(columns, schema=schema)


def rejects_only(contract: Contract, rejects: Sequence[Reject]) -> Batch:
    """Return a batch without rows."""
    import pyarrow as pa

    return Batch(pa.RecordBatch.from_pylist([], schema=rows_schema(contract)), reject_batch(rejects))


def shorten(text: str) -> str:
    """Return a raw line no longer than RAW_LIMIT characters, with a remark if it was cut.

    The remark tells texts apart that begin alike: a reject that was sent before is known by its raw text.
    """
    if len(text) <= RAW_LIMIT:
        return text
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{text[:RAW_LIMIT]}… [cut after {RAW_LIMIT} characters; {mark}]"


@contextmanager
def scan_trouble(where: str) -> Iterator[None]:
    """Turn DuckDB's errors during a scan into Refused (the data) or StorageError (the machine)."""
    import duckdb
    import pyarrow as pa

    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError, MemoryError) as error:
        # A streamed result tells DuckDB's errors as OSError, so that only the text says which one it is.
        said = str(error)
        if any(sign in said for sign in MACHINE_SIGNS) or isinstance(error, MemoryError):
            raise StorageError(
                f"disk and memory must suffice to read {where}; got {said.splitlines()[0]!r}. Free some."
            ) from error
        raise Refused(said) from error


@dataclass(frozen=True)
class Conformity:
    """How the columns found in one item become those of its contract.

    ``fields``: the columns found. ``timezone``: the shop's; the mapping's own goes first. ``where``: the
    item's name, for messages. Making one raises ContractError for a missing or doubled column, SettingsError
    for an unknown time zone.
    """

    fields: Sequence[Field]
    mapping: Mapping
    timezone: str
    where: str
    sources: dict[str, list[Field]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Find each mapped column."""
        self._refuse_doubles()
        for column in self.contract.columns:
            self.sources[column.name] = self._find(column)

    @property
    def contract(self) -> Contract:
        """The contract that is filled."""
        return self.mapping.contract

    @cached_property
    def notes(self) -> list[str]:
        """Sentences about columns that exist and are not mapped."""
        used = {found.name for group in self.sources.values() for found in group}
        used |= {name for names in self.mapping.columns.values() for name in names}
        return [
            f"column {found.name!r} of {self.where} is not mapped and was not loaded"
            for found in self.fields
            if found.name and found.name not in used
        ]

    def batches(self, connection: "duckdb.DuckDBPyConnection", scan: Scan, numbers: RowNumbers) -> Iterator[Batch]:
        """Yield the scan's rows in order, cast or rejected.

        Raises SettingsError for a date format DuckDB does not know, Refused where DuckDB cannot read the raw
        data, StorageError where disk or memory do not suffice.
        """
        self._check_formats(connection)
        before = 0
        with scan_trouble(self.where):
            for raw in connection.execute(self.query(scan)).to_arrow_reader(BATCH_ROWS):
                yield self._batch(raw, scan, numbers(before, raw.num_rows))
                before += raw.num_rows

    def write(
        self,
        connection: "duckdb.DuckDBPyConnection",
        scan: Scan,
        numbers: tuple[int, int],
        target: Path,
        constants: dict[str, str],
    ) -> tuple[int, "pa.RecordBatch"]:
        """Write the scan's good rows to a Parquet file; return how many, and the rejects.

        ``numbers``: the first row's number, and how many there are; they are numbered in the order of the scan, for which
        the connection must have one thread. ``constants``: further columns of text. Raises as ``batches``.
        """
        self._check_formats(connection)
        first, n_records = numbers
        numbered = f"(select *, row_number() over () + {first - 1} as source_row from ({self.query(scan)}))"
        chosen = [
            f"make_timestamptz(epoch_us({name})) as {name}" if column.kind is Kind.TIMESTAMP else name
            for column, name in ((column, quote(column.name)) for column in self.contract.columns)
        ]
        chosen += [f"{literal(value)} as {quote(name)}" for name, value in constants.items()]
        with scan_trouble(self.where):
            row = connection.execute(
                f"copy (select {', '.join(chosen)}, source_row from {numbered} where bad is null) "
                f"to {literal(str(target))} (format parquet)"
            ).fetchone()
            n_rows = int(row[0]) if row else 0
            found = []
            if n_rows < n_records:
                # Reading once more costs less than carrying the raw text of every good row along.
                sql = f"select source_row, bad, raw from {numbered} where bad is not null order by source_row"
                found = connection.execute(sql).fetchall()
        return n_rows, reject_batch([self._reject(number, names, raw, scan) for number, names, raw in found])

    def _check_formats(self, connection: "duckdb.DuckDBPyConnection") -> None:
        import duckdb

        formats = ", ".join(literal(form) for form in self.mapping.datetime_formats)
        try:
            connection.execute(f"select try_strptime('', [{formats}])")
        except duckdb.Error as error:
            raise SettingsError(
                f"datetime_formats must be formats such as '%Y-%m-%d %H:%M'; got {formats} for {self.where}. "
                f"{str(error).splitlines()[0]}."
            ) from None

    def query(self, scan: Scan) -> str:
        """Return the SQL that casts a scan: the contract's columns, then source_row, bad and raw."""
        casts = self._casts()
        values = ", ".join(f"{made.value} as {casting.alias(name)}" for name, made in casts.items())
        chosen = ", ".join(f"{casting.alias(name)} as {quote(name)}" for name in casts)
        faults = {name: made.fault for name, made in casts.items() if made.fault != "false"}
        any_fault = " or ".join(faults.values()) or "false"
        listed = ", ".join(f"case when {fault} then {literal(name)} end" for name, fault in faults.items())
        bad = f"when {any_fault} then concat_ws(',', {listed or 'null'})"
        raw = casting.as_raw_json(list(self.fields))
        if scan.broken:
            bad = f"when ({scan.broken}) is not null then '' {bad}"
            raw = f"coalesce({scan.broken}, {raw})"
        row = f", cast({scan.row} as BIGINT) as source_row" if scan.row else ""
        # Three steps, so that each expression is computed once for all rows, and raw for the bad ones only.
        return (
            f"select {chosen}{row}, bad, case when bad is not null then {raw} end as raw "
            f"from (select *, case {bad} end as bad from (select *, {values} from {scan.sql}))"
        )

    def _casts(self) -> dict[str, Cast]:
        zone = check_timezone(self.mapping.timezone or self.timezone)
        casts = {}
        for column in self.contract.columns:
            found = self.sources[column.name]
            if not found:
                constant = self.mapping.constants.get(column.name)
                raw = "cast(null as VARCHAR)" if constant is None else literal(constant)
                found = [Field(f"the constant {column.name}", raw, "VARCHAR")]
                missing = column.name not in self.mapping.constants
                casts[column.name] = (
                    self._absent(column) if missing else casting.cast(column, found[0], self.mapping, zone)
                )
            elif column.kind is Kind.JSON:
                casts[column.name] = casting.gather(found)
            else:
                casts[column.name] = casting.cast(column, found[0], self.mapping, zone)
        return casts

    def _absent(self, column: Column) -> Cast:
        kind = "TIMESTAMP" if column.kind is Kind.TIMESTAMP else column.duckdb_type
        return Cast(f"cast(null as {kind})", "true" if column.required else "false")

    def _refuse_doubles(self) -> None:
        counts = Counter(found.name for found in self.fields if found.name)
        doubled = [name for name, count in counts.items() if count > 1]
        if doubled:
            raise ContractError(
                f"column names must differ from one another; got {doubled[0]!r} {counts[doubled[0]]} times "
                "in "
                f"{self.where}. Rename one of them in the file's header."
            )

    def _find(self, column: Column) -> list[Field]:
        wanted = self.mapping.columns.get(column.name, ())
        by_name = {found.name: found for found in self.fields}
        if column.kind is Kind.JSON:
            for name in wanted:
                if name not in by_name and name not in self.mapping.optional:
                    raise self._missing(column, (name,))
            return [by_name[name] for name in wanted if name in by_name]
        found = [by_name[name] for name in wanted if name in by_name][:1]
        if wanted and not found and not set(wanted) & set(self.mapping.optional):
            raise self._missing(column, wanted)
        return found

    def _missing(self, column: Column, wanted: tuple[str, ...]) -> ContractError:
        names = [found.name for found in self.fields]
        by_lower = {name.lower(): name for name in names}
        near = [
            match
            for sought in (*wanted, column.name)
            for match in difflib.get_close_matches(sought.lower(), by_lower, n=1, cutoff=0.6)
        ]
        hint = f"Map {column.name} to one of these"
        if near:
            guess = by_lower[near[0]]
            hint = f"Is it {guess!r} now? Then write {column.name} = {json.dumps(guess)}"
        return ContractError(
            f"{self.where} must have the column {' or '.join(map(repr, wanted))} (for {column.name}); "
            f"got {', '.join(map(repr, names))}. {hint} under columns, or list it under optional."
        )

    def _batch(self, raw: "pa.RecordBatch", scan: Scan, numbers: "NDArray[np.int64]") -> Batch:
        import pyarrow as pa
        import pyarrow.compute as pc

        schema = rows_schema(self.contract)
        rows = raw.column("source_row") if scan.row else pa.array(numbers)
        columns = [raw.column(name).cast(schema.field(name).type) for name in self.contract.column_names]
        table = pa.record_batch([*columns, rows], schema=schema)
        bad = raw.column("bad")
        if bad.null_count == raw.num_rows:
            return Batch(table, reject_batch([]))
        at_fault = pc.is_valid(bad)
        faults = zip(
            pc.filter(rows, at_fault).to_pylist(),
            pc.filter(bad, at_fault).to_pylist(),
            pc.filter(raw.column("raw"), at_fault).to_pylist(),
            strict=True,
        )
        rejects = [self._reject(number, names, text, scan) for number, names, text in faults]
        return Batch(table.filter(pc.invert(at_fault)), reject_batch(rejects))

    def _reject(self, number: int, names: str, raw: str, scan: Scan) -> Reject:
        if not names:
            return Reject(number, shorten(raw), "", scan.broken_rule, "")
        row: dict[str, Any] = json.loads(raw)
        columns = [self.contract.column(name) for name in names.split(",")]
        found = [self._source(column) for column in columns]
        values = ["" if row.get(name) is None else str(row[name]) for name in found]
        rules = [broken_rule(column, value, self.mapping) for column, value in zip(columns, values, strict=True)]
        return Reject(number, shorten(raw), ", ".join(found), "; ".join(rules), shorten(", ".join(values)))

    def _source(self, column: Column) -> str:
        found = self.sources[column.name]
        return found[0].name if found else column.name


def broken_rule(column: Column, value: str, mapping: Mapping) -> str:
    """Return the sentence that ``value`` breaks, and the setting that would accept it, if there is one."""
    if not value.strip():
        return f"{column.name} must not be empty"
    if column.minimum is not None and _is_number(value, column.kind, mapping):
        return f"{column.name} must be at least {column.minimum}"
    hint = _hint(column, value, mapping)
    return f"{column.name} must be {RULES[column.kind]}" + (f"; {hint} would accept it" if hint else "")


def _is_number(value: str, kind: Kind, mapping: Mapping) -> bool:
    plain = re.sub(f"[\\s{re.escape(mapping.currency_symbols + mapping.thousands_mark)}]", "", value)
    try:
        number = Decimal(plain.replace(mapping.decimal_mark, "."))
    except InvalidOperation:
        return False
    return (
        number.is_finite()
        and abs(number) < 10**14
        and (re.fullmatch(casting.number_pattern(kind, mapping), value) is not None)
    )


def _fits(value: str, form: str) -> bool:
    try:
        datetime.strptime(value.strip(), form)  # noqa: DTZ007 - only whether it fits is asked
    except ValueError:
        return False
    return True


def _hint(column: Column, value: str, mapping: Mapping) -> str:
    if column.kind is Kind.TIMESTAMP:
        fitting = next((form for form in COMMON_FORMATS if _fits(value, form)), None)
        return f"{json.dumps(fitting)} under datetime_formats" if fitting else ""
    if column.kind not in casting.DECIMALS:
        return ""
    settings = []
    symbols = "".join(dict.fromkeys(re.findall(r"[^\d\s.,+-]", value)))
    bare = re.sub(r"[^\d.,]", "", value)
    if symbols and len(symbols) <= 3 and re.fullmatch(r"[\s+-]*[^\d]*[\d.,\s]+[^\d]*", value):
        settings.append(f"currency_symbols = {json.dumps(mapping.currency_symbols + symbols, ensure_ascii=False)}")
    elif symbols:
        return ""
    if re.fullmatch(r"\d{1,3}(\.\d{3})+,\d+", bare):
        settings.append('decimal_mark = "," and thousands_mark = "."')
    elif re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", bare):
        settings.append('thousands_mark = ","')
    elif re.fullmatch(r"\d*,\d+", bare):
        settings.append('decimal_mark = ","')
    return " and ".join(settings)

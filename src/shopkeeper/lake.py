"""The door to Delta: loads that are whole or absent, rejects that keep their raw text, versions to go back to.

Delta commits one table at a time and a load writes several, so rows and rejects are written first, under a load id,
and one commit to ``loads`` makes them all visible. Every reader joins ``loads``; what no load names is swept later.

Tables: one per entity (its contract, then load_id, source_file, source_row and, where the contract has a moment,
moment_month, by which it is partitioned), ``loads`` (one row per load), ``rejects`` (one row per rejected source row),
``resolutions`` (one row per reject that a replay closed).
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from shopkeeper import vocabulary as v
from shopkeeper.contracts import CONTRACTS, Contract, Kind, contract
from shopkeeper.engine import connect, literal, quote
from shopkeeper.errors import LedgerError, NewerFormatError, StorageError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

FORMAT = 1
_FORMAT_TEXT = "shopkeeper lake format "
MONTH = "moment_month"
SMALL = 1_000_000
"""Up to so many rows a load is held in memory, compared, and written once; beyond, it is streamed."""
COMPARE_GB = 2.0
STAGED = "_staged"
ADOPTED = re.compile(r"\d{8}T\d{12}-[0-9a-f]{8}")
COMPARE_ROWS = 100_000
FILES_TO_COMPACT = 60
COMMITS_TO_SWEEP = 1000
FULL = ("No space left", "os error 28", "os error 27", "File too large", "Disk quota exceeded")


@dataclass(frozen=True)
class Load:
    """One load: one item of one source, taken whole.

    Counts are rows of the item: ``rows_read`` was counted by the source's own pass over the raw item and equals
    ``rows_loaded + rows_resent + rows_quarantined``. ``first_at`` and ``last_at`` span the loaded moments.
    """

    load_id: str
    source: str
    item: str
    table_name: str
    entity: str
    fingerprint: str
    size: int
    kind: str
    rows_read: int
    rows_loaded: int
    rows_resent: int
    rows_quarantined: int
    first_at: datetime | None
    last_at: datetime | None
    cursor: str | None
    notes: str
    started_at: datetime
    finished_at: datetime


@dataclass
class Incoming:
    """What a load brings: facts about the item, and its rows and rejects, in order, as pairs of record batches.

    ``rows_read`` is asked for after the last pair. ``resolves``: ids of rejects that this load closes.
    ``staged``: rows written to a file already; ``pairs`` is not looked at then.
    ``is_new``: the caller knows, by its cursor, that nothing of it was loaded before, so that it is not compared with what is.
    ``n_resent``: rows that the caller left out because they stand twice in what was sent.
    ``beside``: ids of loads whose rows stood in the same file as these, so that equal ones are further copies.
    """

    source: str
    item: str
    table_name: str
    entity: str
    fingerprint: str
    size: int
    pairs: Iterable[tuple["pa.RecordBatch", "pa.RecordBatch"]]
    rows_read: "Any"
    notes: list[str] = field(default_factory=list)
    cursor: "Any" = None
    kind: str = "ingest"
    resolves: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    staged: "Staged | None" = None
    is_new: bool = False
    n_resent: int = 0


@dataclass
class Staged:
    """A Parquet file that a source's engine wrote under a load id, not yet part of a table.

    It holds the contract's columns, load_id, source_file and source_row. ``rejects``: what the source rejected.
    """

    load_id: str
    path: Path
    rejects: "pa.RecordBatch | None" = None


def _arrow_type(kind: Kind) -> "pa.DataType":
    import pyarrow as pa

    return {
        Kind.TEXT: pa.string(),
        Kind.JSON: pa.string(),
        Kind.QUANTITY: pa.decimal128(18, 3),
        Kind.MONEY: pa.decimal128(18, 4),
        Kind.INTEGER: pa.int64(),
        Kind.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    }[kind]


def entity_schema(of: Contract) -> "pa.Schema":
    """Return the Arrow schema of an entity's lake table: its contract, then the lineage."""
    import pyarrow as pa

    fields = [pa.field(column.name, _arrow_type(column.kind)) for column in of.columns]
    fields += [pa.field(v.LOAD_ID, pa.string()), pa.field(v.SOURCE_FILE, pa.string())]
    fields += [pa.field(v.SOURCE_ROW, pa.int64())]
    if of.moment:
        fields.append(pa.field(MONTH, pa.int32()))
    return pa.schema(fields)


def _ledger_schemas() -> dict[str, "pa.Schema"]:
    import pyarrow as pa

    text, number, moment = pa.string(), pa.int64(), pa.timestamp("us", tz="UTC")
    kinds = {str: text, int: number}
    loads = [
        pa.field(name, kinds.get(kind, moment if "datetime" in str(kind) else text))
        for name, kind in Load.__annotations__.items()
    ]
    rejects = pa.schema(
        [
            ("reject_id", text),
            (v.LOAD_ID, text),
            (v.SOURCE, text),
            ("table_name", text),
            ("entity", text),
            (v.SOURCE_FILE, text),
            (v.SOURCE_ROW, number),
            ("raw_text", text),
            ("column_name", text),
            ("rule", text),
            ("value", text),
        ]
    )
    resolutions = pa.schema([("reject_id", text), (v.LOAD_ID, text)])
    return {v.LOADS: pa.schema(loads), v.REJECTS: rejects, v.RESOLUTIONS: resolutions}


@contextmanager
def _door(what: str) -> Iterator[None]:
    """Turn the errors of delta-rs, Arrow, the engine and the disk into ours."""
    import duckdb
    import pyarrow as pa
    from deltalake.exceptions import DeltaError, DeltaProtocolError

    try:
        yield
    except (DeltaError, pa.ArrowException, duckdb.Error, OSError) as error:
        text = str(error)
        # Below the first line stand backtraces of other languages.
        told = text.strip().partition("\n")[0].rstrip(".")
        if (
            isinstance(error, DeltaProtocolError)
            or "Unsupported minimum" in text
            or "Unsupported table feature" in text
        ):
            raise NewerFormatError(
                f"the lake must be readable by this Shopkeeper; {what}: {told}. Upgrade Shopkeeper."
            ) from error
        if any(sign in text for sign in FULL):
            raise StorageError(
                f"the disk must have room for {what}; it is full. Nothing was loaded by halves: free some space and "
                f"run the same command again."
            ) from error
        raise StorageError(
            f"the lake must be readable and writable for {what}; got: {told}. Run `shopkeeper doctor`."
        ) from error


class Lake:
    """The lake in one folder. Opening makes what is missing; every operation may be repeated."""

    def __init__(self, root: Path, scratch: Path, *, small: int = SMALL) -> None:
        """Open or create the lake at ``root``; ``scratch`` is for spilling; ``small`` as SMALL.

        Raises NewerFormatError if a newer Shopkeeper wrote it.
        """
        self.root = root
        self.scratch = scratch
        self.small = small
        self._schemas: dict[str, pa.Schema] = {
            **{entity: entity_schema(of) for entity, of in CONTRACTS.items()},
            **_ledger_schemas(),
        }
        self._opened: dict[str, DeltaTable] = {}
        self._loads: tuple[int, list[Load]] = (-1, [])
        self._create()

    # ------------------------------------------------------------------ tables

    def _create(self) -> None:
        from deltalake import DeltaTable

        # `loads` last: where it stands, all the others do too, and it carries the format.
        order = [name for name in self._schemas if name != v.LOADS]
        with _door("opening the lake"):
            if (self.root / v.LOADS / "_delta_log").is_dir():
                self._refuse_newer()
                order = [name for name in order if not (self.root / name / "_delta_log").is_dir()]
                self._refuse_lost(order)
            else:
                order.append(v.LOADS)
            for name in self._schemas.keys() - set(order):
                self._add_columns(name)
            for name in order:
                of = CONTRACTS.get(name)
                DeltaTable.create(
                    self.root / name,
                    self._schemas[name],
                    mode="ignore",
                    partition_by=[MONTH] if of and of.moment else None,
                    description=f"{_FORMAT_TEXT}{FORMAT}",
                )

    def _add_columns(self, name: str) -> None:
        """Give a table that an older Shopkeeper made the columns that its contract has won since; older rows hold nulls."""
        import pyarrow as pa
        from deltalake import Schema

        present = {field.name for field in self._table(name).schema().fields}
        if missing := [field for field in self._schemas[name] if field.name not in present]:
            self._table(name).alter.add_columns(list(Schema.from_arrow(pa.schema(missing)).fields))

    def _refuse_newer(self) -> None:
        written = (self._table(v.LOADS).metadata().description or "").removeprefix(_FORMAT_TEXT)
        if written.isdigit() and int(written) > FORMAT:
            raise NewerFormatError(
                f"the lake's format must be at most {FORMAT} for this Shopkeeper; got {written} in {self.root}. "
                f"Upgrade Shopkeeper; nothing was changed."
            )

    def _refuse_lost(self, missing: list[str]) -> None:
        """Raise StorageError if a table is gone that holds rows: making it anew would hide the loss."""
        for load in self.loads() if missing else []:
            lost = {load.entity: load.rows_loaded, v.REJECTS: load.rows_quarantined}
            if any(lost.get(name) for name in missing):
                raise StorageError(
                    f"every table of the lake must be there; {' and '.join(missing)} in {self.root} lost its _delta_log. "
                    f"Restore the folder from a backup; nothing was changed."
                )

    def _table(self, name: str, version: int | None = None) -> "DeltaTable":
        """Return a table as of a version, or as it is now; opened once, then only brought up to date."""
        from deltalake import DeltaTable

        if version is not None:
            return DeltaTable(self.root / name, version=version)
        if name in self._opened:
            self._opened[name].update_incremental()
        else:
            self._opened[name] = DeltaTable(self.root / name)
        return self._opened[name]

    def snapshot(self) -> dict[str, int]:
        """Return each table's newest version; equal snapshots mean equal contents."""
        with _door("reading versions"):
            return {name: self._table(name).version() for name in self._schemas}

    def versions(self, table: str) -> list[dict[str, Any]]:
        """Return the versions of one table, newest first: version, timestamp, operation.

        Raises UsageError if there is no such table.
        """
        self._known(table)
        with _door(f"reading the history of {table}"):
            return [
                {
                    "version": entry["version"],
                    "committed_at": datetime.fromtimestamp(entry["timestamp"] / 1000, UTC),
                    "operation": entry.get("operation"),
                }
                for entry in self._table(table).history()
            ]

    def read(self, table: str, version: int | None = None, *, all_rows: bool = False) -> "pa.Table":
        """Return a table of the lake, as of a version if one is given: only rows whose load is committed.

        ``all_rows`` shows those of unfinished loads, too. Raises UsageError for an unknown table or version.
        """
        self._known(table)
        with _door(f"reading {table}"):
            newest = self._table(table).version()
            if version is not None and not 0 <= version <= newest:
                raise UsageError(
                    f"version must lie between 0 and {newest}; got {version} of {table}. "
                    f"List them with `shopkeeper versions {table}`."
                )
            rows: pa.Table = self._table(table, version).to_pyarrow_table()
        if all_rows or table == v.LOADS:
            return rows
        import pyarrow.compute as pc

        committed = self._table(v.LOADS).to_pyarrow_table(columns=[v.LOAD_ID])[v.LOAD_ID]
        return rows.filter(pc.is_in(rows[v.LOAD_ID], value_set=committed.combine_chunks()))

    def write_csv(self, table: str, version: int, target: BinaryIO) -> None:
        """Write a table as of a version as CSV. Raises UsageError for an unknown table or version."""
        from pyarrow import csv

        csv.write_csv(self.read(table, version), target)

    def _known(self, table: str) -> None:
        if table not in self._schemas:
            raise UsageError(f"table must be one of {', '.join(self._schemas)}; got {table!r}. Choose one.")

    # ------------------------------------------------------------------- loads

    def loads(self) -> list[Load]:
        """Return every load, oldest first."""
        with _door("reading loads"):
            table = self._table(v.LOADS)
            version, loads = self._loads
            if table.version() != version:
                rows = table.to_pyarrow_table().to_pylist()
                loads = [Load(**row) for row in sorted(rows, key=lambda row: (row["finished_at"], row["load_id"]))]
                self._loads = (table.version(), loads)
        return list(loads)

    def stage(self, entity: str) -> Staged:
        """Return a place for the rows of one load to come, which its source may write by itself.

        What is not loaded from there is swept. Raises UsageError for an entity without a moment or with a key: those
        are never so many.
        """
        of = contract(entity)
        if of.key or not of.moment:
            raise UsageError(f"only entities with a moment and no key are staged; got {entity}. Load it as it comes.")
        folder = self.root / entity / STAGED
        folder.mkdir(exist_ok=True)
        load_id = _new_load_id(datetime.now(UTC))
        return Staged(load_id, folder / f"{load_id}.parquet")

    def _note(self, load: Load) -> None:
        """Remember a load just committed, if nobody else committed one meanwhile, so that it need not be read back."""
        version, loads = self._loads
        if self._table(v.LOADS).version() == version + 1:
            self._loads = (version + 1, [*loads, load])

    def load(self, incoming: Incoming) -> Load:
        """Take one item whole: all of it becomes visible in one commit, or nothing does.

        A row that stands in the lake already (same source, equal in every column of the contract, counted by how
        often it stands) is resent and adds nothing. May be repeated: a second time, all rows are resent.
        Raises LedgerError if rows read ≠ loaded + resent + quarantined; StorageError if the disk refuses; what the
        source raises on the way.
        """
        loading = _Loading(self, incoming)
        with _door(f"loading {incoming.item}"):
            try:
                return loading.run()
            except BaseException as error:
                if loading.has_written:
                    with suppress(Exception):
                        self._sweep_rows()
                # A source's error that went through delta-rs came back as text; the error itself says it better.
                if loading.source_error is not None and error is not loading.source_error:
                    raise loading.source_error from None
                raise

    def sweep(self) -> int:
        """Delete what no load names, left by loads that were killed; return how many rows. May be repeated.

        Only while nothing is staged for a load to come.
        """
        with _door("sweeping unfinished loads"):
            for entity in CONTRACTS:
                shutil.rmtree(self.root / entity / STAGED, ignore_errors=True)
        return self._sweep_rows()

    def _sweep_rows(self) -> int:
        with _door("sweeping unfinished loads"):
            committed = {load.load_id for load in self.loads()}
            swept = 0
            for name in (*CONTRACTS, v.REJECTS, v.RESOLUTIONS):
                table = self._table(name)
                recent = {str(entry.get(v.LOAD_ID)) for entry in table.history(COMMITS_TO_SWEEP) if v.LOAD_ID in entry}
                for file in (self.root / name).glob(f"{MONTH}=*/*.parquet"):
                    # An adopted file is called by its load; delta-rs calls its own otherwise.
                    if ADOPTED.fullmatch(file.stem) and file.stem not in recent | committed:
                        file.unlink()
                for load_id in sorted(recent - committed):
                    swept += int(table.delete(f"{v.LOAD_ID} = {literal(load_id)}").get("num_deleted_rows") or 0)
            return swept

    def compact(self, least_files: int = FILES_TO_COMPACT) -> list[str]:
        """Merge small files of tables that have at least ``least_files``; return the tables. May be repeated."""
        compacted = []
        with _door("compacting"):
            for name in self._schemas:
                table = self._table(name)
                if len(table.file_uris()) >= least_files:
                    table.optimize.compact()
                    compacted.append(name)
                if table.version() >= least_files:
                    table.create_checkpoint()
        return compacted

    # -------------------------------------------------------------- quarantine

    def rejects(self, *, include_closed: bool = False) -> "pa.Table":
        """Return the reject table, one row per rejected source row, with ``is_open``; open ones only by default."""
        import pyarrow.compute as pc

        rows = self.read(v.REJECTS)
        closed = self.read(v.RESOLUTIONS)["reject_id"].combine_chunks()
        rows = rows.append_column("is_open", pc.invert(pc.is_in(rows["reject_id"], value_set=closed)))
        rows = rows.sort_by([("source_file", "ascending"), ("source_row", "ascending")])
        return rows if include_closed else rows.filter(rows["is_open"])


class _Loading:
    """One load under way: rows first, then rejects, then the commit to ``loads``."""

    def __init__(self, lake: Lake, incoming: Incoming) -> None:
        self.lake = lake
        self.incoming = incoming
        self.contract = contract(incoming.entity)
        self.started_at = datetime.now(UTC)
        self.load_id = _new_load_id(self.started_at)
        self.first_at: datetime | None = None
        self.last_at: datetime | None = None
        self.n_good = 0
        self.has_written = False
        self.source_error: BaseException | None = None
        self._rejects: list[pa.RecordBatch] = []

    def run(self) -> Load:
        import pyarrow as pa

        if self.incoming.staged:
            loaded = self._adopt(self.incoming.staged)
            quarantined, resent = self._append_rejects()
            return self._commit(loaded, resent + self.n_good - loaded, quarantined)
        good = self._good_rows()
        held: list[pa.RecordBatch] = []
        for batch in good:
            held.append(batch)
            if self.n_good > self.lake.small:
                loaded = self._stream(held, good)
                break
        else:
            rows = self._with_lineage(self._unseen(pa.Table.from_batches(held, self._plain_schema())))
            loaded = rows.num_rows
            if loaded:
                self._append(self.incoming.entity, rows)
        quarantined, resent = self._append_rejects()
        resent += self.n_good - loaded
        return self._commit(loaded, resent, quarantined)

    def _plain_schema(self) -> "pa.Schema":
        import pyarrow as pa

        full = self.lake._schemas[self.incoming.entity]  # noqa: SLF001 - one class in two halves
        return pa.schema([full.field(name) for name in (*self.contract.column_names, v.SOURCE_ROW)])

    def _good_rows(self) -> Iterator["pa.RecordBatch"]:
        import pyarrow.compute as pc

        moment = self.contract.moment
        for rows, rejects in self._pairs():
            if rejects.num_rows:
                self._rejects.append(rejects)
            if not rows.num_rows:
                continue
            self.n_good += rows.num_rows
            if moment:
                span = pc.min_max(rows.column(moment)).as_py()
                self.first_at = min(filter(None, (self.first_at, span["min"])))
                self.last_at = max(filter(None, (self.last_at, span["max"])))
            yield rows

    def _pairs(self) -> Iterator[tuple["pa.RecordBatch", "pa.RecordBatch"]]:
        try:
            yield from self.incoming.pairs
        except GeneratorExit:
            raise
        except BaseException as error:
            self.source_error = error
            raise

    def _with_lineage(self, rows: Any) -> Any:
        """Append load id, file and month to a table or batch whose last column is the source row."""
        import pyarrow as pa

        n = rows.num_rows
        columns = [rows.column(name) for name in self.contract.column_names]
        columns += [pa.repeat(self.load_id, n), pa.repeat(self.incoming.item, n), rows.column(v.SOURCE_ROW)]
        if self.contract.moment:
            columns.append(_months(rows.column(self.contract.moment)))
        schema = self.lake._schemas[self.incoming.entity]  # noqa: SLF001
        build = pa.RecordBatch if isinstance(rows, pa.RecordBatch) else pa.Table
        return build.from_arrays(columns, schema=schema)

    def _stream(self, held: list["pa.RecordBatch"], rest: Iterator["pa.RecordBatch"]) -> int:
        """Write a large load as it comes; where it overlaps earlier loads, write the unseen rows anew and drop it."""
        import itertools

        self._append_batches(itertools.chain(_drain(held), rest))
        return self._without_resent()

    def _adopt(self, staged: Staged) -> int:
        """Make a staged file part of the table as it is, if it lies within one month; else append its rows."""
        from pyarrow import parquet

        self.load_id = staged.load_id
        if staged.rejects is not None and staged.rejects.num_rows:
            self._rejects.append(staged.rejects)
        with parquet.ParquetFile(staged.path) as file:
            self.n_good = file.metadata.num_rows
            self.first_at, self.last_at = _span(file.metadata, self.contract.moment or "")
            if self.n_good and self.first_at and self.last_at and _month(self.first_at) == _month(self.last_at):
                self._add_file(staged.path, _month(self.first_at))
            else:
                batches = file.iter_batches(COMPARE_ROWS, columns=self._plain_schema().names)
                self._append_batches(batch.cast(self._plain_schema()) for batch in batches)
        return self._without_resent()

    def _add_file(self, staged: Path, month: int) -> None:
        """Move a file into its partition and commit it, with the statistics that let readers pass it over."""
        from deltalake import CommitProperties
        from deltalake.transaction import AddAction

        table = self.lake._table(self.incoming.entity)  # noqa: SLF001
        path = f"{MONTH}={month}/{self.load_id}.parquet"
        target = self.lake.root / self.incoming.entity / path
        target.parent.mkdir(exist_ok=True)
        staged.replace(target)
        moment = self.contract.moment or ""
        first, last = self.first_at or datetime.now(UTC), self.last_at or datetime.now(UTC)
        # Statistics carry milliseconds: the last moment is rounded up, so that nothing is passed over.
        ends = {"minValues": first, "maxValues": last + timedelta(milliseconds=1)}
        statistics = {
            "numRecords": self.n_good,
            **{
                name: {moment: f"{end:%Y-%m-%dT%H:%M:%S}.{end.microsecond // 1000:03d}Z", v.LOAD_ID: self.load_id}
                for name, end in ends.items()
            },
            "nullCount": {moment: 0, v.LOAD_ID: 0},
        }
        action = AddAction(
            path=path,
            size=target.stat().st_size,
            partition_values={MONTH: str(month)},
            modification_time=int(target.stat().st_mtime * 1000),
            data_change=True,
            stats=json.dumps(statistics),
        )
        self.has_written = True
        table.create_write_transaction(
            [action],
            "append",
            table.schema(),
            [MONTH],
            commit_properties=CommitProperties(custom_metadata={v.LOAD_ID: self.load_id}),
        )

    def _without_resent(self) -> int:
        """Return how many of the rows written stand in the lake once those that overlap earlier loads are gone."""
        import pyarrow.dataset as ds

        earlier = self._earlier()
        if not earlier:
            return self.n_good
        # Neither side is held in memory: a large file that is sent again may be larger than it.
        first, self.load_id = self.load_id, f"{self.load_id}x"
        names = self._plain_schema().names
        mine = self._scan(ds.field(v.LOAD_ID) == first, names)
        with connect(scratch=self.lake.scratch, memory_gb=COMPARE_GB) as connection:
            connection.register("incoming", mine.to_table() if self.contract.key else mine)
            connection.register("present", self._present(earlier))
            found = connection.execute(_unseen_sql(self.contract)).to_arrow_reader(COMPARE_ROWS)
            n_unseen = self._append_batches(batch.cast(self._plain_schema()) for batch in found)
        self.lake._table(self.incoming.entity).delete(f"{v.LOAD_ID} = {literal(first)}")  # noqa: SLF001
        return n_unseen

    def _append_batches(self, batches: Iterator["pa.RecordBatch"]) -> int:
        """Append plain rows with their lineage as they come; return how many."""
        import pyarrow as pa

        n_rows = 0

        def counted() -> Iterator[pa.RecordBatch]:
            nonlocal n_rows
            for batch in batches:
                n_rows += batch.num_rows
                yield self._with_lineage(batch)

        schema = self.lake._schemas[self.incoming.entity]  # noqa: SLF001
        self._append(self.incoming.entity, pa.RecordBatchReader.from_batches(schema, counted()))
        return n_rows

    def _scan(self, condition: "ds.Expression", names: list[str]) -> "ds.Scanner":
        dataset = self.lake._table(self.incoming.entity).to_pyarrow_dataset()  # noqa: SLF001
        # Damage is told here, file by file: met inside two scans at once, its error would wait for Python's lock while it
        # holds Arrow's, and the other scan the other way round, for ever.
        for fragment in dataset.get_fragments(condition):
            fragment.ensure_complete_metadata()
        return dataset.scanner(columns=names, filter=condition)

    def _present(self, earlier: list[str]) -> "ds.Scanner":
        """Return the rows of earlier loads that may equal some of these."""
        import pyarrow.dataset as ds

        there = ds.field(v.LOAD_ID).isin(earlier)
        if self.contract.moment and self.first_at and self.last_at:
            moment = ds.field(self.contract.moment)
            there = there & (moment >= self.first_at) & (moment <= self.last_at)
            there = there & (ds.field(MONTH) >= _month(self.first_at)) & (ds.field(MONTH) <= _month(self.last_at))
        return self._scan(there, [*self.contract.column_names, v.LOAD_ID, v.SOURCE_ROW])

    def _earlier(self) -> list[str]:
        """Return the committed loads of this source and entity whose span of moments meets this one's."""
        if self.incoming.is_new:
            return []
        loads = [
            load
            for load in self.lake.loads()
            if load.source == self.incoming.source and load.entity == self.incoming.entity and load.rows_loaded
        ]
        if not self.contract.key:
            loads = [load for load in loads if load.load_id not in self.incoming.beside]
        if self.contract.moment and self.first_at is not None and self.last_at is not None:
            loads = [
                load
                for load in loads
                if load.first_at and load.last_at and load.first_at <= self.last_at and self.first_at <= load.last_at
            ]
        return [load.load_id for load in loads]

    def _unseen(self, rows: "pa.Table") -> "pa.Table":
        """Return the rows that the lake does not hold yet, each counted by how often it stands."""
        earlier = self._earlier() if rows.num_rows else []
        if not earlier:
            return rows
        with connect(scratch=self.lake.scratch) as connection:
            connection.register("incoming", rows)
            connection.register("present", self._present(earlier))
            found = connection.execute(_unseen_sql(self.contract)).to_arrow_table()
        return found.cast(self._plain_schema())

    def _append_rejects(self) -> tuple[int, int]:
        """Write the rejects that did not stand in quarantine before; return (quarantined, resent)."""
        import pyarrow as pa

        if not self._rejects:
            return 0, 0
        rejects = pa.Table.from_batches(self._rejects)
        schema = self.lake._schemas[v.REJECTS]  # noqa: SLF001
        before = schema.empty_table() if self.incoming.is_new else self.lake.read(v.REJECTS)
        with connect(scratch=self.lake.scratch) as connection:
            connection.register("incoming", rejects)
            connection.register("before", before)
            new = connection.execute(
                f"""
                with i as (
                    select *, row_number() over (partition by raw_text order by source_row) as nth from incoming
                ),
                p as (
                    select raw_text, count(*) as n from before
                    where source = {literal(self.incoming.source)}
                        and table_name = {literal(self.incoming.table_name)}
                    group by raw_text
                )
                select {literal(self.load_id)} || '-' || i.source_row as reject_id,
                    {literal(self.load_id)} as load_id, {literal(self.incoming.source)} as source,
                    {literal(self.incoming.table_name)} as table_name, {literal(self.incoming.entity)} as entity,
                    {literal(self.incoming.item)} as source_file, i.source_row, i.raw_text, i.column_name, i.rule,
                    i.value
                from i left join p using (raw_text) where i.nth > coalesce(p.n, 0) order by i.source_row
                """
            ).to_arrow_table()
        if new.num_rows:
            self._append(v.REJECTS, new.cast(schema))
        return new.num_rows, rejects.num_rows - new.num_rows

    def _append(self, table: str, data: Any) -> None:
        from deltalake import CommitProperties, write_deltalake

        self.has_written = True
        write_deltalake(
            self.lake._table(table),  # noqa: SLF001
            data,
            mode="append",
            commit_properties=CommitProperties(custom_metadata={v.LOAD_ID: self.load_id}),
        )

    def _commit(self, loaded: int, resent: int, quarantined: int) -> Load:
        import pyarrow as pa

        incoming = self.incoming
        resent += incoming.n_resent
        rows_read = int(incoming.rows_read() if callable(incoming.rows_read) else incoming.rows_read)
        if rows_read != loaded + resent + quarantined:
            raise LedgerError(
                f"rows read must equal loaded + resent + quarantined; {incoming.item} has {rows_read} rows by an "
                f"independent count, but {loaded} + {resent} + {quarantined} were accounted for. Nothing of it was "
                f"loaded; please report this file's shape."
            )
        if incoming.resolves:
            closed = {"reject_id": list(incoming.resolves), v.LOAD_ID: [self.load_id] * len(incoming.resolves)}
            self._append(v.RESOLUTIONS, pa.table(closed))
        load = Load(
            load_id=self.load_id,
            source=incoming.source,
            item=incoming.item,
            table_name=incoming.table_name,
            entity=incoming.entity,
            fingerprint=incoming.fingerprint,
            size=incoming.size,
            kind=incoming.kind,
            rows_read=rows_read,
            rows_loaded=loaded,
            rows_resent=resent,
            rows_quarantined=quarantined,
            first_at=self.first_at,
            last_at=self.last_at,
            cursor=incoming.cursor() if callable(incoming.cursor) else incoming.cursor,
            notes=json.dumps(incoming.notes),
            started_at=self.started_at,
            finished_at=datetime.now(UTC),
        )
        schema = self.lake._schemas[v.LOADS]  # noqa: SLF001
        self.lake.loads()
        self._append(v.LOADS, pa.Table.from_pylist([asdict(load)], schema=schema))
        self.lake._note(load)  # noqa: SLF001
        return load


def _unseen_sql(of: Contract) -> str:
    """Return the query that picks, from ``incoming``, what ``present`` does not hold.

    Without a key: rows beyond as many equal ones as are present. With a key: all rows of a thing whose last row differs
    from what is known of it now, so that a value that changes and changes back is seen both times.
    """
    names = [quote(name) for name in of.column_names]
    columns = ", ".join(names)
    equal = " and ".join(f"i.{name} is not distinct from p.{name}" for name in names)
    if not of.key:
        return f"""
            with i as (
                select *, row_number() over (partition by {columns} order by {v.SOURCE_ROW}) as nth from incoming
            ),
            p as (select {columns}, count(*) as n_present from present group by {columns})
            select i.* exclude (nth) from i left join p on {equal}
            where i.nth > coalesce(p.n_present, 0) order by i.{v.SOURCE_ROW}
        """
    key = ", ".join(quote(name) for name in of.key)
    same = " and ".join(f"incoming.{quote(name)} is not distinct from changed.{quote(name)}" for name in of.key)
    return f"""
        with i as (
            select * from incoming
            qualify row_number() over (partition by {key} order by {v.SOURCE_ROW} desc) = 1
        ),
        p as (
            select * from present
            qualify row_number() over (partition by {key} order by {v.LOAD_ID} desc, {v.SOURCE_ROW} desc) = 1
        ),
        changed as (select {", ".join(f"i.{quote(name)}" for name in of.key)} from i anti join p on {equal})
        select incoming.* from incoming semi join changed on {same} order by {v.SOURCE_ROW}
    """


def _drain(held: list["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    """Yield and forget, so that memory is given back while a large load streams."""
    held.reverse()
    while held:
        yield held.pop()


def _months(moments: Any) -> "pa.Array":
    """Return the month of each moment as a number such as 201910."""
    import pyarrow as pa
    import pyarrow.compute as pc

    span = pc.min_max(moments).as_py()
    if span["min"] and _month(span["min"]) == _month(span["max"]) and not moments.null_count:
        return pa.repeat(pa.scalar(_month(span["min"]), pa.int32()), len(moments))
    return pc.cast(pc.add(pc.multiply(pc.year(moments), 100), pc.month(moments)), pa.int32())


def _span(metadata: Any, column: str) -> tuple[datetime | None, datetime | None]:
    """Return the first and last moment of a Parquet file, by its statistics."""
    place = metadata.schema.to_arrow_schema().get_field_index(column)
    ends = [metadata.row_group(group).column(place).statistics for group in range(metadata.num_row_groups)]
    if not ends or any(each is None or not each.has_min_max for each in ends):
        return None, None
    return min(each.min for each in ends), max(each.max for each in ends)


def _month(moment: datetime) -> int:
    return moment.year * 100 + moment.month


def _new_load_id(now: datetime) -> str:
    """Return an id that sorts by time and never repeats."""
    import secrets

    return f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"


def empty(folder: Path) -> None:
    """Remove everything inside a scratch folder and make it anew. May be repeated.

    Raises StorageError if the disk refuses.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with _door("making the scratch folder"):
        folder.mkdir(parents=True, exist_ok=True)

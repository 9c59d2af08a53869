"""The log → the lake: rows and rejects first, then one commit to ``loads`` that carries the log's number; then the trim.

Each kind of thing has its own loads and its own number. Killed anywhere, the next round begins after the last number that a
load names, so that every batch is loaded once. Waits for other runs of the profile; what is sent meanwhile stays in the log.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from shopkeeper import vocabulary as v
from shopkeeper.contracts import Column, Contract, Kind, contract
from shopkeeper.engine import connect, quote
from shopkeeper.errors import LedgerError, LockedError, ShopkeeperError
from shopkeeper.events import Batch, Log
from shopkeeper.lake import Incoming, Lake, Load
from shopkeeper.progress import Tell, silent
from shopkeeper.workflow import exclusive, log_numbers

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES = 8_000_000
"""So much of the log is loaded at once."""
WAIT_SECONDS = 0.2
MINUTE = 60 * 1_000_000


@dataclass
class Loaded:
    """What one round did: its loads, and how many batches were trimmed from the log."""

    loads: list[Load] = field(default_factory=list)
    n_trimmed: int = 0

    @property
    def n_rows(self) -> int:
        """How many rows were loaded."""
        return sum(load.rows_loaded for load in self.loads)


def load_events(
    log: Log,
    lake: Lake,
    *,
    contained: Sequence[Mapping[str, str]] = (),
    keep_minutes: float = 60,
    tell: Tell = silent,
) -> Loaded:
    """Load what the log holds beyond the lake, and trim what the lake holds and nobody asks the log for any more.

    ``contained``: what each published version says of the log (see Version); inventory movements stay in the log until all
    of these hold them, since live stock counts from there. ``keep_minutes``: younger batches stay, for live numbers.
    May be repeated, or killed and repeated. Raises LedgerError if the log's numbers lie below those that the lake names,
    StorageError if log or lake refuse.
    """
    done = Loaded()
    identity = log.identity()
    if identity is None:
        return done
    numbers = log_numbers(lake.loads(), identity)
    last = log.last()
    if any(number > last for number in numbers.values()):
        raise LedgerError(
            f"the log must reach as far as the lake says; the lake names batch {max(numbers.values())} of it, the log ends "
            f"at {last}: an older copy was put back. Move {log.path.name} away, and the collector begins a new one."
        )
    for kind in v.LOGGED:
        # What comes meanwhile is for the next round: under load, this one would never end.
        while batches := _upto(last, log.batches(numbers.get(kind, 0), kind=kind, most_bytes=MOST_BYTES)):
            tell("load", f"{kind}: log {batches[0].number} to {batches[-1].number}", len(done.loads), None)
            done.loads.append(lake.load(incoming(kind, identity, batches)))
            numbers[kind] = batches[-1].number
    if done.loads:
        lake.compact()
    done.n_trimmed = _trim(log, identity, numbers, contained, keep_minutes)
    return done


def _upto(last: int, batches: Sequence[Batch]) -> list[Batch]:
    return [batch for batch in batches if batch.number <= last]


def _trim(
    log: Log, identity: str, numbers: Mapping[str, int], contained: Sequence[Mapping[str, str]], keep_minutes: float
) -> int:
    upto = dict(numbers)
    published = [_number(each.get(v.INVENTORY_MOVEMENTS, ""), identity) for each in contained]
    if v.INVENTORY_MOVEMENTS in upto:
        upto[v.INVENTORY_MOVEMENTS] = min([upto[v.INVENTORY_MOVEMENTS], *published]) if published else 0
    return log.trim(upto, received_before=round(time.time() * 1e6 - keep_minutes * MINUTE))


def _number(cursor: str, identity: str) -> int:
    name, _, number = cursor.rpartition(":")
    return int(number) if name == identity else 0


def incoming(kind: str, identity: str, batches: Sequence[Batch]) -> Incoming:
    """Return batches of one kind as what the lake loads.

    Events and movements carry ids, by which the warehouse counts each once. Order lines carry none: equal lines of
    different requests are one line that was sent again, equal lines of one request are as many as they are.
    """
    of = contract(kind)
    rows, rejects = _table(of, batches), _rejects(batches)
    n_sent = sum(batch.n_rows for batch in batches)
    has_ids = kind != v.ORDER_LINES
    kept = rows.drop_columns("batch") if has_ids else _once(of, rows)
    return Incoming(
        source=v.COLLECTOR,
        item=f"log {identity[:8]} {batches[0].number}-{batches[-1].number}",
        table_name=kind,
        entity=kind,
        fingerprint="",
        size=sum(batch.size for batch in batches),
        pairs=_pairs(kept, rejects),
        rows_read=n_sent + sum(batch.n_rejects for batch in batches),
        cursor=f"{identity}:{batches[-1].number}",
        is_new=has_ids,
        n_resent=n_sent - kept.num_rows,
    )


def _pairs(rows: "pa.Table", rejects: "pa.RecordBatch") -> Iterator[tuple["pa.RecordBatch", "pa.RecordBatch"]]:
    import pyarrow as pa

    nothing = rejects.slice(0, 0)
    for batch in rows.combine_chunks().to_batches():
        yield batch, nothing
    if rejects.num_rows:
        yield pa.RecordBatch.from_pylist([], schema=rows.schema), rejects


def _table(of: Contract, batches: Sequence[Batch]) -> "pa.Table":
    """Return the rows of batches: the contract's columns, the row's place in the load, and the batch it came with.

    Made in small parts: a long conversion would keep all other threads of a server from Python.
    """
    import pyarrow as pa

    parts, place = [], 1
    for batch in batches:
        if batch.n_rows:
            parts.append(_part(of, batch, place))
        place += batch.n_rows + batch.n_rejects
    if not parts:
        parts = [_part(of, Batch(of.entity, 0, 0, 0, b"{}"), place)]
    return pa.Table.from_batches(parts)


def _part(of: Contract, batch: Batch, place: int) -> "pa.RecordBatch":
    import numpy as np
    import pyarrow as pa

    told = orjson.loads(batch.rows)
    nothing = [None] * batch.n_rows
    told["received_at"] = [batch.received_at] * batch.n_rows
    columns = {column.name: _array(column, told.get(column.name) or nothing) for column in of.columns}
    columns[v.SOURCE_ROW] = pa.array(np.arange(place, place + batch.n_rows))
    columns["batch"] = pa.array(np.full(batch.n_rows, batch.number))
    return pa.record_batch(columns)


def _array(column: Column, values: list[Any]) -> "pa.Array":
    import numpy as np
    import pyarrow as pa

    if column.kind is Kind.TIMESTAMP:
        return pa.array(values, pa.timestamp("us", tz="UTC"))
    if column.kind in {Kind.MONEY, Kind.QUANTITY}:
        # Whole units of the last place, as 128-bit numbers: the low half, and the sign spread over the high half.
        units = pa.array(values, pa.int64())
        low = np.asarray(units.fill_null(0))
        wide = np.column_stack((low, low >> 63))
        kind = pa.decimal128(18, 4 if column.kind is Kind.MONEY else 3)
        return pa.Array.from_buffers(kind, len(units), [units.buffers()[0], pa.py_buffer(np.ascontiguousarray(wide))])
    return pa.array(values, pa.int64() if column.kind is Kind.INTEGER else pa.string())


def _rejects(batches: Sequence[Batch]) -> "pa.RecordBatch":
    import pyarrow as pa

    rows: list[tuple[Any, ...]] = []
    place = 1
    for batch in batches:
        place += batch.n_rows
        for nth, (column, rule, value, raw) in enumerate(orjson.loads(batch.rejects)):
            rows.append((place + nth, raw, column, rule, value))
        place += batch.n_rejects
    names = (v.SOURCE_ROW, "raw_text", "column_name", "rule", "value")
    schema = pa.schema([(name, pa.int64() if name == v.SOURCE_ROW else pa.string()) for name in names])
    return pa.record_batch(list(map(list, zip(*rows, strict=True))) or [[]] * len(names), schema=schema)


def _once(of: Contract, rows: "pa.Table") -> "pa.Table":
    """Return rows without those that another request of the same load brought, too."""
    columns = ", ".join(quote(name) for name in of.column_names)
    with connect() as connection:
        connection.register("sent", rows)
        found = connection.execute(
            f"""
            with numbered as (
                select *, row_number() over (partition by {columns}, batch order by {v.SOURCE_ROW}) as nth from sent
            )
            select * exclude (batch, nth) from numbered
            qualify row_number() over (partition by {columns}, nth order by {v.SOURCE_ROW}) = 1
            order by {v.SOURCE_ROW}
            """
        ).to_arrow_table()
    return found.cast(rows.drop_columns("batch").schema)


class Loader:
    """A thread that loads the log again and again, while others serve or collect. Stopping ends it after its round."""

    def __init__(
        self,
        home: Path,
        load: Callable[[], Loaded],
        *,
        every_seconds: float,
        on_round: Callable[[Loaded | ShopkeeperError], None] = lambda _done: None,
    ) -> None:
        """Call ``load`` every so many seconds, holding the profile at ``home``; ``on_round`` hears of each that did
        something or failed.
        """
        self.home = home
        self.load = load
        self.every_seconds = every_seconds
        self.on_round = on_round
        self.error: ShopkeeperError | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin. May be called once."""
        self._thread = threading.Thread(target=self.follow, name="loader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the round under way, with a last round for what is in the log if the profile is free. May be repeated."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            with suppress(ShopkeeperError):
                self.once(waits=False)

    def follow(self) -> None:
        """Load until stopped, in the caller's thread. A round that fails is told and tried again."""
        while not self._stop.is_set():
            started = time.monotonic()
            self._round()
            self._stop.wait(max(0.0, self.every_seconds - (time.monotonic() - started)))

    def once(self, *, waits: bool = True) -> Loaded | None:
        """Do one round; None if stopped while it waited for another run. Raises LockedError with ``waits=False``."""
        while True:
            try:
                with exclusive(self.home, is_brief=True):
                    return self.load()
            except LockedError:
                if not waits:
                    raise
                if self._stop.wait(WAIT_SECONDS):
                    return None

    def _round(self) -> None:
        try:
            done = self.once()
            self.error = None
        except ShopkeeperError as error:
            self.error = error
            self.on_round(error)
            return
        if done is not None and (done.loads or done.n_trimmed):
            self.on_round(done)

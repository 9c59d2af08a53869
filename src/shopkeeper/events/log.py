"""The durable log: batches of rows in one SQLite file; what it acknowledged survives a crash of process or machine.

One writer thread takes what has gathered and commits it as one transaction (WAL, ``synchronous = full``), then answers all
who wait: group commit. Numbers only grow. A batch is deleted only by ``trim``, which the loader calls for what a load of the
lake names. A log that was deleted under its writer is written anew from what the writer still holds.
"""

import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from shopkeeper.errors import StorageError, TransientError

BUSY_SECONDS = 2.0
CHECKPOINT_PAGES = 4000
TRIM_BATCHES = 200
VACUUM_PAGES = 1000
"""So many batches are deleted, and pages given back to the disk, in one transaction, so that no writer waits long."""
KEPT_PAGES = 2000
"""So many free pages stay in the file for what comes next."""

_SCHEMA = """
create table if not exists log (name text primary key, value text not null) strict;
create table if not exists batches (
    number integer primary key autoincrement,
    kind text not null,
    received_at integer not null,
    n_rows integer not null,
    n_rejects integer not null,
    rows blob not null,
    rejects blob not null
) strict;
create index if not exists batches_by_kind on batches (kind, number);
"""


@dataclass(frozen=True)
class Batch:
    """What one request brought of one kind. ``received_at``: microseconds since 1970; ``number``: its place in the log.

    ``rows`` and ``rejects`` are JSON, as ``intake`` packs them.
    """

    kind: str
    received_at: int
    n_rows: int
    n_rejects: int
    rows: bytes
    rejects: bytes = b"[]"
    number: int = 0

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self.rows) + len(self.rejects)


@dataclass
class _Waiting:
    batch: Batch
    answer: "Future[int]" = field(default_factory=Future)


class Log:
    """A log in one file, made when first written. Threads and processes may share it; one process should write."""

    def __init__(self, path: Path, *, waiting_mb: float = 64, waiting_requests: int = 10_000) -> None:
        """Use the file ``path``. Beyond so many megabytes or requests that wait, ``append`` refuses."""
        self.path = path
        self.waiting_bytes = int(waiting_mb * 1e6)
        self.waiting_requests = waiting_requests
        self._turn = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._n_waiting = 0
        self._n_bytes = 0
        self._writer: threading.Thread | None = None
        self._is_closed = False
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    # ----------------------------------------------------------------- writing

    def append(self, batch: Batch) -> "Future[int]":
        """Write a batch; the future gives its number once it is on disk, or StorageError if it is not.

        Raises TransientError at once if too much waits already: nothing of it is kept then.
        """
        with self._turn:
            if self._is_closed:
                raise TransientError("the log must be open to take events; it is being closed. Send the same again.")
            if self._n_waiting >= self.waiting_requests or self._n_bytes + batch.size > self.waiting_bytes:
                raise TransientError(
                    f"the log must keep up with what is sent; {self._n_waiting} requests of {self._n_bytes} bytes wait. "
                    f"Send the same again later."
                )
            waiting = _Waiting(batch)
            # Whoever stops waiting cannot take back what may be on disk already.
            waiting.answer.set_running_or_notify_cancel()
            self._waiting.append(waiting)
            self._n_waiting += 1
            self._n_bytes += batch.size
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="log", daemon=True)
                self._writer.start()
            self._turn.notify()
        return waiting.answer

    def close(self) -> None:
        """Write what waits, then close. May be repeated."""
        with self._turn:
            self._is_closed = True
            self._turn.notify()
        if self._writer is not None:
            self._writer.join()

    def _write(self) -> None:
        while True:
            with self._turn:
                while not self._waiting and not self._is_closed:
                    self._turn.wait()
                group, self._waiting = self._waiting, []
            if not group:
                self._disconnect()
                return
            try:
                numbers: list[int] | BaseException = self._commit([each.batch for each in group])
            except BaseException as error:  # noqa: BLE001 - whatever it is, those who wait are told and the writer lives
                numbers = error
            with self._turn:
                self._n_waiting -= len(group)
                self._n_bytes -= sum(each.batch.size for each in group)
            for place, each in enumerate(group):
                if isinstance(numbers, BaseException):
                    each.answer.set_exception(numbers)
                else:
                    each.answer.set_result(numbers[place])

    def _commit(self, batches: list[Batch]) -> list[int]:
        """Write batches in one transaction; all of them are on disk when it returns, or none is kept."""
        try:
            with _door(self.path):
                connection = self._connected()
                connection.execute("begin immediate")
                numbers = [_insert(connection, batch) for batch in batches]
                connection.execute("commit")
                return numbers
        except BaseException:
            # Nothing half done, and the next group begins with a fresh look at the file.
            self._disconnect()
            raise

    def _connected(self) -> sqlite3.Connection:
        """Return the writer's connection to the file that stands at the path now."""
        if self._connection is not None and self._identity() != self._file:
            self._recover(self._connection)
        if self._connection is None:
            self._connection = _open(self.path)
            self._file = self._identity()
        return self._connection

    def _identity(self) -> tuple[int, int] | None:
        """Return what tells the files of the log from others of their names; None if one is gone."""
        try:
            return (self.path.stat().st_ino, self.path.with_name(f"{self.path.name}-wal").stat().st_ino)
        except FileNotFoundError:
            return None

    def _recover(self, held: sqlite3.Connection) -> None:
        """Write a deleted log anew: the connection still reads what no name leads to. A file put in its place is taken."""
        draft = self.path.with_name(f"{self.path.name}.draft")
        if self._identity() is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            with closing(sqlite3.connect(draft)) as target:
                held.backup(target)
            for ending in ("-wal", "-shm"):
                self.path.with_name(f"{self.path.name}{ending}").unlink(missing_ok=True)
            _sync(draft)
            draft.replace(self.path)
            _sync(self.path.parent)
        self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    # ----------------------------------------------------------------- reading

    def identity(self) -> str | None:
        """Return the id of the log, made with it; None if there is none yet. Numbers of different logs say nothing."""
        with self._reading() as connection:
            row = connection.execute("select value from log where name = 'id'").fetchone() if connection else None
        return str(row[0]) if row else None

    def last(self) -> int:
        """Return the number of the last batch ever written; 0 before the first."""
        with self._reading() as connection:
            found = connection.execute("select seq from sqlite_sequence where name = 'batches'") if connection else None
            row = found.fetchone() if found else None
        return int(row[0]) if row else 0

    def batches(self, after: int, *, kind: str | None = None, most_bytes: int = 64_000_000) -> list[Batch]:
        """Return the batches (of one kind) after a number, in order, until they hold about so many bytes."""
        chosen: list[Batch] = []
        n_bytes = 0
        with self._reading() as connection:
            if connection is None:
                return []
            found = connection.execute(
                "select kind, received_at, n_rows, n_rejects, rows, rejects, number from batches "
                f"where number > ? {'and kind = ?' if kind else ''} order by number",
                (after, kind) if kind else (after,),
            )
            for row in found:
                chosen.append(Batch(*row))
                n_bytes += chosen[-1].size
                if n_bytes >= most_bytes:
                    break
        return chosen

    def trim(self, upto: Mapping[str, int], *, received_before: int) -> int:
        """Delete batches: of each kind those up to a number, if received before a moment; return how many.

        May be repeated; killed in between, the rest is deleted the next time.
        """
        deleted = 0
        if not self.path.exists():
            return 0
        with _door(self.path), closing(_open(self.path)) as connection:
            for kind, number in upto.items():
                while True:
                    n_rows = connection.execute(
                        "delete from batches where number in (select number from batches where kind = ? and number <= ? "
                        f"and received_at < ? order by number limit {TRIM_BATCHES})",
                        (kind, number, received_before),
                    ).rowcount
                    deleted += n_rows
                    if n_rows < TRIM_BATCHES:
                        break
            while deleted and connection.execute("pragma freelist_count").fetchone()[0] > KEPT_PAGES:
                connection.execute(f"pragma incremental_vacuum({VACUUM_PAGES})").fetchall()
        return deleted

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """Open the log to read; None if there is none."""
        if not self.path.exists():
            yield None
            return
        # Not `mode=ro`: a log whose writer was killed must be recovered by whoever opens it first.
        address = f"{self.path.resolve().as_uri()}?mode=rw"
        with _door(self.path), closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)) as connection:
            tables = connection.execute("select count(*) from sqlite_schema where name in ('log', 'batches')")
            yield connection if tables.fetchone()[0] == 2 else None


def _open(path: Path) -> sqlite3.Connection:
    """Open the log to write, and make what is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("pragma auto_vacuum = incremental")
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute(f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.executescript(f"begin immediate; {_SCHEMA} commit;")
        connection.execute("insert or ignore into log values ('id', ?)", (uuid.uuid4().hex,))
        if is_new:
            _sync(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def _insert(connection: sqlite3.Connection, batch: Batch) -> int:
    row = connection.execute(
        "insert into batches (kind, received_at, n_rows, n_rejects, rows, rejects) values (?, ?, ?, ?, ?, ?)",
        (batch.kind, batch.received_at, batch.n_rows, batch.n_rejects, batch.rows, batch.rejects),
    )
    return int(row.lastrowid or 0)


@contextmanager
def _door(path: Path) -> Iterator[None]:
    """Turn the errors of SQLite and the disk into ours."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageError(
            f"the event log must be readable and writable; {path.name}: {error}. Nothing was taken: free the disk or "
            f"restore the file's rights, then send the same again."
        ) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

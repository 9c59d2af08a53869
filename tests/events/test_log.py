"""What the log acknowledged is on disk; what it refused is nowhere; it recovers as soon as the disk does."""

import asyncio
import os
import shutil
import sqlite3
import threading
from contextlib import closing

import pytest

from shopkeeper.errors import StorageError, TransientError
from shopkeeper.events import Batch, Log


def batch(text="[]", kind="events", received_at=1):
    """A batch of one row."""
    return Batch(kind, received_at, 1, 0, text.encode())


@pytest.fixture(name="log")
def _log(tmp_path):
    log = Log(tmp_path / "collector" / "log.sqlite")
    yield log
    log.close()


def texts(log, after=0, **more):
    """The rows of all batches."""
    return [each.rows.decode() for each in log.batches(after, **more)]


def test_batches_come_back_in_order(log):
    """Numbers grow; batches are read after a number, by kind."""
    numbers = [log.append(batch(f"{n}", kind="events" if n % 2 else "order_lines")).result() for n in range(6)]
    assert numbers == [1, 2, 3, 4, 5, 6]
    assert texts(log) == ["0", "1", "2", "3", "4", "5"]
    assert texts(log, 3, kind="events") == ["3", "5"]
    assert texts(log, 0, most_bytes=1) == ["0"]
    assert log.last() == 6


def test_an_acknowledged_batch_is_in_the_file(log):
    """Another connection sees it at once, and the database is whole, in WAL, synchronous full."""
    log.append(batch("x")).result()
    with closing(sqlite3.connect(log.path)) as other:
        assert other.execute("select rows from batches").fetchall() == [(b"x",)]
        assert other.execute("pragma journal_mode").fetchone() == ("wal",)
        assert other.execute("pragma integrity_check").fetchone() == ("ok",)
    assert log._connection.execute("pragma synchronous").fetchone() == (2,)


def test_many_at_once_share_a_commit(log):
    """Requests that wait together are written together, and each gets a number of its own."""
    found = []
    threads = [
        threading.Thread(target=lambda: found.extend(log.append(batch()).result() for _ in range(50))) for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(found) == list(range(1, 401))


def test_who_stops_waiting_harms_nobody(log):
    """A request that is given up while it waits leaves the writer alive; its batch is on disk all the same."""

    async def give_up():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.wrap_future(log.append(batch("given up")))

    log.append(batch("first")).result()
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        other.execute("begin immediate")
        asyncio.run(give_up())
        other.execute("rollback")
    assert log.append(batch("next")).result(timeout=10) == 3
    assert texts(log) == ["first", "given up", "next"]


def test_room_is_given_back(log):
    """Once what it holds is trimmed, the file is small again."""
    for _ in range(40):
        log.append(batch("x" * 500_000)).result()
    log.trim({"events": 40}, received_before=100)
    with closing(sqlite3.connect(log.path)) as other:
        assert other.execute("pragma page_count").fetchone()[0] < 2100


def test_back_pressure_comes_before_memory_grows(tmp_path):
    """While the disk stands still, only so many requests and bytes wait; the rest is refused at once."""
    log = Log(tmp_path / "log.sqlite", waiting_mb=0.001, waiting_requests=5)
    log.append(batch()).result()
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        other.execute("begin immediate")
        waiting = [log.append(batch("x" * 10)) for _ in range(5)]
        with pytest.raises(TransientError, match="requests of"):
            log.append(batch())
        other.execute("commit")
    assert [each.result() for each in waiting] == [2, 3, 4, 5, 6]
    with pytest.raises(TransientError):
        log.append(batch("x" * 2000))
    assert log.append(batch()).result() == 7
    log.close()


def test_a_locked_log_says_so_and_recovers(log, monkeypatch):
    """Somebody else writes for too long: nothing is taken; afterwards, it goes on without a restart."""
    monkeypatch.setattr("shopkeeper.events.log.BUSY_SECONDS", 0.1)
    log.append(batch("a")).result()
    log._commit([])
    log._disconnect()
    with closing(sqlite3.connect(log.path, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(StorageError, match="locked"):
            log.append(batch("b")).result()
        other.execute("rollback")
    assert log.append(batch("c")).result() == 2
    assert texts(log) == ["a", "c"]


def test_a_full_disk_says_so_and_recovers(log):
    """The database may not grow: nothing of the group is kept; once it may, it goes on."""
    log.append(batch("a")).result()
    pages = log._connection.execute("pragma page_count").fetchone()[0]
    log._connection.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(StorageError, match="full"):
        log.append(batch("b" * 100_000)).result()
    assert texts(log) == ["a"]
    assert log.append(batch("c" * 100_000)).result() == 2


def test_a_file_that_may_not_grow_says_so_and_recovers(tmp_path):
    """The same with the operating system's own limit, which is met in the middle of a write."""
    script = (
        "import resource, signal, sys; from pathlib import Path; from shopkeeper.events import Batch, Log\n"
        "from shopkeeper.errors import StorageError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "log = Log(Path(sys.argv[1])); b = lambda size: Batch('events', 1, 1, 0, b'x' * size)\n"
        "log.append(b(10)).result()\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE); resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))\n"
        "try: log.append(b(900_000)).result(); print('taken')\n"
        "except StorageError as error: print('refused')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)); print(log.append(b(900_000)).result(), len(log.batches(0)))\n"
        "log.close()\n"
    )
    import subprocess
    import sys

    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "log.sqlite")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert told.stdout.split() == ["refused", "2", "2"]


@pytest.mark.parametrize("what", ["file", "folder", "wal"])
def test_a_deleted_log_is_written_anew_from_what_is_held(log, what):
    """Nothing acknowledged is lost, numbers go on, and the log is the same one."""
    log.append(batch("a")).result()
    identity = log.identity()
    if what == "folder":
        shutil.rmtree(log.path.parent)
    else:
        log.path.with_name("log.sqlite-wal" if what == "wal" else "log.sqlite").unlink()
    assert log.append(batch("b")).result() == 2
    assert texts(log) == ["a", "b"]
    assert log.identity() == identity


def test_a_folder_that_may_not_be_written_says_so(tmp_path):
    """Where the log cannot be, nothing is taken; once it can, it is."""
    (tmp_path / "collector").write_text("in the way")
    log = Log(tmp_path / "collector" / "log.sqlite")
    with pytest.raises(StorageError, match="event log"):
        log.append(batch()).result()
    (tmp_path / "collector").unlink()
    assert log.append(batch()).result() == 1
    log.close()


def test_garbage_in_place_of_the_log_says_so(tmp_path):
    """A file that is no database is told and left alone."""
    log = Log(tmp_path / "log.sqlite")
    log.path.write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match="not a database"):
        log.append(batch()).result()
    assert log.path.read_bytes() == b"no database" * 1000
    log.close()


def test_trim_takes_what_it_is_told_and_numbers_go_on(log):
    """Of each kind up to its number, and only if older than a moment."""
    for n in range(1, 7):
        log.append(batch(f"{n}", kind="events" if n % 2 else "order_lines", received_at=n)).result()
    assert log.trim({"events": 5, "order_lines": 2}, received_before=5) == 3
    assert texts(log) == ["4", "5", "6"]
    assert log.trim({"events": 5, "order_lines": 6}, received_before=100) == 3
    assert log.append(batch("7")).result() == 7


def test_reading_makes_nothing(tmp_path):
    """A log that nobody wrote is empty, and stays absent."""
    log = Log(tmp_path / "log.sqlite")
    assert (log.identity(), log.last(), log.batches(0), log.trim({"events": 1}, received_before=1)) == (None, 0, [], 0)
    assert not log.path.exists()
    log.close()

"""The loader: from the log to the lake, each batch once, wherever it is killed; and when it gives the log its room back."""

import asyncio
import json
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shopkeeper import workflow
from shopkeeper.assembly import assemble
from shopkeeper.errors import LedgerError, LockedError, StorageError
from shopkeeper.lake import Lake
from shopkeeper.quarantine import replay

NOW = datetime.now(UTC)
VIEW = {
    "event_type": "view",
    "occurred_at": NOW.isoformat(),
    "product_id": "P1",
    "unit_price": "-12.3456",
    "quantity": 1.5,
}
LINE = {"order_id": "o1", "product_id": "P1", "quantity": 2, "unit_price": 3.5, "ordered_at": NOW.isoformat()}
MOVED = {"product_id": "P1", "store_id": "S1", "quantity": 5, "moved_at": NOW.isoformat()}


@pytest.fixture(name="parts")
def _parts(tmp_path):
    settings = '[shop]\nname = "loaded"\ncurrency = "EUR"\n[collector]\nkeep_minutes = 1\nlive_minutes = 1\n'
    (tmp_path / "shopkeeper.toml").write_text(settings, "utf-8")
    parts = assemble(tmp_path)
    yield parts
    parts.collector.close()


def send(parts, kind, *things):
    """Send things as one request; return its receipt."""
    take = {"events": parts.collector.events, "order_lines": parts.collector.order_lines}
    body = json.dumps(list(things)).encode()
    return asyncio.run(take.get(kind, parts.collector.inventory_movements)(body))


def test_rows_arrive_as_they_were_said(parts):
    """Every column, exact decimals, microseconds; what was made by the collector is there; lineage says where."""
    send(
        parts,
        "events",
        {**VIEW, "event_id": "e1", "customer_id": "é", "currency": "usd", "order_id": "o", "brand": "b"},
    )
    (load,) = parts.loader().once().loads
    (row,) = parts.lake.read("events").to_pylist()
    assert (row["event_id"], row["price"], row["quantity"]) == ("e1", Decimal("-12.3456"), Decimal("1.500"))
    assert (row["occurred_at"], row["customer_id"], row["currency"]) == (NOW, "é", "USD")
    assert abs(row["received_at"] - datetime.now(UTC)) < timedelta(minutes=5)
    assert (row["source_row"], row["load_id"]) == (1, load.load_id)
    assert (load.source, load.entity, load.cursor) == ("collector", "events", f"{parts.log.identity()}:1")


def test_each_batch_is_loaded_once(parts):
    """A second round has nothing to do; new batches come on top; numbers add up."""
    send(parts, "events", VIEW, {"event_type": 3}, VIEW)
    send(parts, "events", VIEW)
    (load,) = parts.loader().once().loads
    assert (load.rows_read, load.rows_loaded, load.rows_quarantined) == (4, 3, 1)
    assert parts.loader().once().loads == []
    send(parts, "events", VIEW)
    assert [each.rows_loaded for each in parts.loader().once().loads] == [1]
    assert parts.lake.read("events").num_rows == 4
    (reject,) = parts.lake.rejects().to_pylist()
    assert (reject["source"], reject["column_name"], reject["rule"], reject["value"]) == (
        "collector",
        "event_type",
        "text",
        "3",
    )


@pytest.mark.parametrize("nth", range(1, 5))
def test_killed_between_any_two_writes(parts, monkeypatch, nth):
    """After the nth write to the lake, the process is gone: what a load did not name is not there; the next round loads it."""
    send(parts, "events", VIEW, {"event_type": 3})
    send(parts, "inventory_movements", MOVED)
    writes, append = [], Lake._table

    class Killed(BaseException):
        pass

    from shopkeeper.lake import _Loading

    write = _Loading._append

    def dying(loading, table, data):
        if len(writes) == nth:
            raise Killed
        writes.append(table)
        write(loading, table, data)

    monkeypatch.setattr(_Loading, "_append", dying)
    monkeypatch.setattr(Lake, "_sweep_rows", lambda _lake: 0)  # a killed process sweeps nothing
    with pytest.raises(Killed):
        parts.loader().once()
    monkeypatch.undo()
    assert append is Lake._table
    again = assemble(parts.settings.project)
    again.loader().once()
    assert again.lake.read("events").num_rows == 1
    assert again.lake.rejects().num_rows == 1
    assert again.lake.read("inventory_movements").num_rows == 1


def test_an_order_sent_again_is_the_same_order(parts):
    """Equal lines of one request are as many as they are; of other requests, in one load or another, they are the same."""
    send(parts, "order_lines", LINE, LINE, {**LINE, "product_id": "P2"})
    send(parts, "order_lines", LINE, LINE, {**LINE, "product_id": "P2"})
    (load,) = parts.loader().once().loads
    assert (load.rows_read, load.rows_loaded, load.rows_resent) == (6, 3, 3)
    send(parts, "order_lines", LINE, LINE, LINE)
    (load,) = parts.loader().once().loads
    assert (load.rows_loaded, load.rows_resent) == (1, 2)


def test_the_log_is_trimmed_only_of_what_nobody_needs(parts, run_shop, monkeypatch):
    """What is young stays; of what is old, events go once they are loaded, movements once every version holds them."""
    send(parts, "events", VIEW)
    send(parts, "inventory_movements", MOVED)
    assert parts.loader().once().n_trimmed == 0
    later = time.time() + 120
    monkeypatch.setattr("shopkeeper.loader.time.time", lambda: later)
    assert parts.loader().once().n_trimmed == 1
    assert [each.kind for each in parts.log.batches(0)] == ["inventory_movements"]
    version = run_shop(parts).version
    assert version.log_cursors == {
        kind: f"{parts.log.identity()}:{n}" for n, kind in ((1, "events"), (2, "inventory_movements"))
    }
    assert parts.loader().once().n_trimmed == 1
    assert send(parts, "events", VIEW).number == 3


def test_another_log_begins_anew(parts):
    """A log that was lost while nobody held it: the new one begins at one again, and nothing of it is passed over."""
    send(parts, "events", VIEW)
    parts.loader().once()
    parts.collector.close()
    for file in parts.settings.log.parent.iterdir():
        file.unlink()
    again = assemble(parts.settings.project)
    assert send(again, "events", VIEW).number == 1
    assert [each.rows_loaded for each in again.loader().once().loads] == [1]
    again.collector.close()


def test_an_older_copy_of_the_log_is_refused(parts):
    """Its numbers would name other events than the lake's."""
    send(parts, "events", VIEW)
    parts.log._commit([])  # every connection is closed by now or sees the same file
    parts.collector.close()
    older = parts.settings.log.read_bytes()
    again = assemble(parts.settings.project)
    send(again, "events", VIEW)
    again.loader().once()
    again.collector.close()
    parts.settings.log.write_bytes(older)
    with pytest.raises(LedgerError, match="older copy"):
        assemble(parts.settings.project).loader().once()


def test_loader_and_runs_wait_for_each_other(parts):
    """A run waits for the loader, which holds the profile for seconds; the loader waits for a run; other runs refuse."""
    home = parts.settings.home
    send(parts, "events", VIEW)
    loader = parts.loader(0.05)
    with workflow.exclusive(home):
        loader.start()
        time.sleep(0.3)
        assert parts.lake.loads() == []
        with pytest.raises(LockedError), workflow.exclusive(home):
            pass
    loader.stop()
    assert len(parts.lake.loads()) == 1
    held = threading.Event()

    def hold():
        with workflow.exclusive(home, is_brief=True):
            held.set()
            time.sleep(0.3)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with workflow.exclusive(home):
        assert not thread.is_alive() or thread.join(1) is None
    thread.join()


def test_a_round_that_fails_is_told_and_tried_again(parts):
    """The lake refuses once: the loader says so, and loads the next time."""
    send(parts, "events", VIEW)
    told, load = [], parts.load_events
    calls = iter((True,))

    def refusing():
        if next(calls, False):
            raise StorageError("the disk must have room. Free some.")
        return load()

    from shopkeeper.loader import Loader

    loader = Loader(parts.settings.home, refusing, every_seconds=0.05, on_round=told.append)
    loader.start()
    while len(told) < 2:
        time.sleep(0.02)
    loader.stop()
    assert isinstance(told[0], StorageError)
    assert told[1].n_rows == 1
    assert loader.error is None


def test_one_id_with_two_bodies_is_reported(parts, run_shop):
    """The earliest stands, whichever came first and in whichever build; both ways are flagged. The same body twice is not,
    even where the collector gave the moment.
    """
    earlier = (NOW - timedelta(minutes=5)).isoformat()
    send(parts, "events", {**VIEW, "event_id": "a"}, {**VIEW, "event_id": "b", "occurred_at": earlier})
    send(parts, "events", {"event_id": "c", "event_type": "view"}, {**VIEW, "event_id": "d"})
    parts.loader().once()
    run_shop(parts)
    send(parts, "events", {**VIEW, "event_id": "a", "occurred_at": earlier}, {**VIEW, "event_id": "b"})
    send(parts, "events", {"event_id": "c", "event_type": "view"}, {**VIEW, "event_id": "d"})
    parts.loader().once()
    run_shop(parts)
    sql = "select event_id, has_conflict, occurred_at from events order by event_id"
    rows = parts.serving.query(sql).rows
    assert [(event_id, has) for event_id, has, _ in rows] == [("a", True), ("b", True), ("c", False), ("d", False)]
    assert {f"{at.isoformat()}+00:00" for _, has, at in rows if has} == {earlier}
    with workflow.exclusive(parts.settings.home):
        workflow.build(parts.lake, parts.warehouse, full_refresh=True)
        workflow.publish(parts.warehouse, parts.published)
    assert parts.serving.query(sql).rows == rows


def test_anonymous_visitors_are_visitors(parts, run_shop):
    """Who has no account counts by the cookie, and has sessions."""
    send(parts, "events", {**VIEW, "anonymous_id": "cookie"}, {**VIEW, "anonymous_id": "cookie", "customer_id": "c1"})
    parts.loader().once()
    run_shop(parts)
    rows = parts.serving.query("select customer_id, anonymous_id from events order by 1").rows
    assert rows == [("c1", "cookie"), ("cookie", "cookie")]
    assert parts.serving.query("select count(*) from sessions").rows == [(2,)]


def test_replay_leaves_the_collectors_rejects_to_their_sender(parts):
    """A replay of all open rejects passes over them, and says why."""
    send(parts, "events", {"event_type": 3})
    parts.loader().once()
    done = replay(parts.lake, parts.settings)
    assert (done.n_closed, done.n_open) == (0, 1)
    assert "sender" in done.reasons[0]


def test_an_older_lake_gets_the_new_columns(tmp_path):
    """A table of events without them is widened on opening; its rows hold nulls, new rows their values."""
    from deltalake import DeltaTable, write_deltalake

    from shopkeeper.contracts import CONTRACTS
    from shopkeeper.lake import entity_schema

    schema = entity_schema(CONTRACTS["events"])
    for name in ("anonymous_id", "order_id", "received_at"):
        schema = schema.remove(schema.get_field_index(name))
    folder = tmp_path / "lake" / "events"
    Lake(tmp_path / "lake", tmp_path / "scratch")
    shutil.rmtree(folder)
    DeltaTable.create(folder, schema, partition_by=["moment_month"])
    import pyarrow as pa

    old = {
        "event_type": "view",
        "occurred_at": NOW,
        "load_id": "x",
        "source_row": 1,
        "moment_month": NOW.year * 100 + NOW.month,
    }
    write_deltalake(folder, pa.Table.from_pylist([old], schema=schema), mode="append")
    lake = Lake(tmp_path / "lake", tmp_path / "scratch")
    assert set(lake.read("events", all_rows=True).column_names) == set(entity_schema(CONTRACTS["events"]).names)
    assert Lake(tmp_path / "lake", tmp_path / "scratch").versions("events")[0]["version"] == 2

"""Large text files are written by the engine and adopted by the lake as they are: the rows are those of the usual way."""

import os
import signal
import time

import pytest

from shopkeeper import workflow
from shopkeeper.assembly import assemble

HEADER = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"


def line(day: int, number: int, price: str = "1.50") -> str:
    return f"2019-{10 + day // 31:02d}-{1 + day % 31:02d} 10:{number:02d}:00 UTC,view,p{number},c,,,{price},u,s{day}\n"


OCTOBER = HEADER + "".join(line(day, number) for day in range(3) for number in range(5)) + line(0, 0)
OVERLAPPING = HEADER + "".join(line(day, number) for day in range(2, 4) for number in range(5))
TWO_MONTHS = HEADER + "".join(line(day, 0) for day in range(28, 34))
FAULTY = HEADER + line(4, 1) + line(4, 2, "1.234,56") + line(4, 3).replace("2019-10-05", "2019-10-55") + line(4, 4)
BROKEN = HEADER + line(5, 1) + "2019-10-06 10:00:00 UTC,view\n" + line(5, 2)
EMPTY = HEADER
ONLY_FAULTS = HEADER + line(6, 1, "x")


@pytest.fixture
def shop(tmp_path, make_shop):
    """A shop of clicks with files of every sort."""
    (tmp_path / "sent").mkdir()
    for name in ("OCTOBER", "OVERLAPPING", "TWO_MONTHS", "FAULTY", "BROKEN", "EMPTY", "ONLY_FAULTS"):
        (tmp_path / "sent" / f"{name.lower()}.csv").write_text(globals()[name])
    return lambda name: make_shop(tmp_path / name, "rees46_events", tmp_path / "sent")


def contents(parts) -> dict[str, list]:
    """Rows and rejects with their place, and what each load counted."""
    events = parts.lake.read("events").drop_columns(["load_id"]).to_pylist()
    return {
        "events": sorted(events, key=lambda row: (row["source_file"], row["source_row"])),
        "rejects": [
            {name: row[name] for name in ("source_file", "source_row", "raw_text", "column_name", "rule", "value")}
            for row in parts.lake.rejects().to_pylist()
        ],
        "loads": [
            (
                load.item,
                load.rows_read,
                load.rows_loaded,
                load.rows_resent,
                load.rows_quarantined,
                load.first_at,
                load.last_at,
            )
            for load in parts.lake.loads()
        ],
    }


def test_both_ways_give_the_same(shop):
    """Rows, their numbers and months, rejects and counts, with overlap, several months, faults and broken lines."""
    usual, large = shop("usual"), shop("large")
    assert workflow.ingest(usual.lake, usual.sources).failures == []
    assert workflow.ingest(large.lake, large.sources, large=0).failures == []
    expected = contents(usual)
    assert contents(large) == expected
    assert len(expected["events"]) == 16 + 5 + 6 + 2 + 2
    assert [load[4] for load in expected["loads"]] == [1, 0, 2, 0, 1, 0, 0]
    assert workflow.ingest(large.lake, large.sources, large=0).loads == []


def test_what_readers_see(shop):
    """The engine's own reader of Delta finds the adopted rows, by load, by month and by moment."""
    from shopkeeper.engine import connect

    parts = shop("large")
    workflow.ingest(parts.lake, parts.sources, large=0)
    table = str(parts.settings.lake / "events")
    with connect(extensions=("delta",)) as connection:
        rows = connection.execute(
            f"select moment_month, count(*), min(occurred_at)::varchar, max(occurred_at)::varchar "
            f"from delta_scan('{table}') where occurred_at >= '2019-10-03 10:04:00+00' group by 1 order by 1"
        ).fetchall()
    assert rows == [
        (201910, 13, "2019-10-03 10:04:00+00", "2019-10-31 10:00:00+00"),
        (201911, 3, "2019-11-01 10:00:00+00", "2019-11-03 10:00:00+00"),
    ]


def ingest_large(folder):
    parts = assemble(folder)
    with workflow.exclusive(parts.settings.home):
        workflow.ingest(parts.lake, parts.sources, large=0)


def test_killed_while_staging(shop, tmp_path):
    """After SIGKILL at some moments of it, the next ingest ends with the same rows and sweeps what was staged."""
    import multiprocessing

    usual = shop("usual")
    workflow.ingest(usual.lake, usual.sources)
    expected = contents(usual)["events"]
    context = multiprocessing.get_context("forkserver")
    for number, moment in enumerate((0.9, 1.1, 1.3, 1.6, 2.0)):
        parts = shop(f"killed{number}")
        victim = context.Process(target=ingest_large, args=(parts.settings.project,))
        victim.start()
        time.sleep(moment)
        if victim.is_alive():
            os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        again = assemble(parts.settings.project)
        assert workflow.ingest(again.lake, again.sources, large=0).failures == []
        assert contents(again)["events"] == expected
        workflow.ingest(again.lake, again.sources)
        assert not (again.settings.lake / "events" / "_staged").exists()

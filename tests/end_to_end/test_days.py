"""A shop that sends a file a day ends in the same tables as one that sends everything at once, whatever the order."""

import os
import random

import duckdb
import pytest

pytestmark = [pytest.mark.real_data, pytest.mark.slow]
DAYS = int(os.environ.get("SHOPKEEPER_DAYS", "40"))
"""The first forty trading days by default; all 305 in `.ci/run`."""
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


@pytest.fixture(scope="module")
def lines(tmp_path_factory, real_data):
    """The real lines as text, as a table `lines` with the day and the row of each."""
    folder = tmp_path_factory.mktemp("whole")
    import zipfile

    with zipfile.ZipFile(real_data("online_retail/kaggle_ecommerce_data.zip")) as archive:
        text = archive.read("data.csv").decode("latin-1")
    (folder / "data.csv").write_text(text, "utf-8")
    connection = duckdb.connect()
    connection.execute(
        f"create table lines as select *, row_number() over () as row, "
        f"strptime(InvoiceDate, '%m/%d/%Y %H:%M')::date as day "
        f"from read_csv('{folder / 'data.csv'}', all_varchar = true, header = true)"
    )
    return connection


def write_days(connection, folder, first, last, name):
    """Write the lines of some days to one file, in the order of the source."""
    connection.execute(
        f"copy (select {HEADER} from lines where day between '{first}' and '{last}' order by row) "
        f"to '{folder / name}' (header, delimiter ',')"
    )


def test_days_in_any_order(lines, tmp_path, make_shop, run_shop, tables_of):
    """A file a day in random order, some sent twice, some overlapping, a few builds between: the same tables."""
    days = [str(day) for (day,) in lines.execute("select distinct day from lines order by day").fetchall()]
    assert len(days) == 305
    days = days[:DAYS]
    (tmp_path / "whole").mkdir()
    write_days(lines, tmp_path / "whole", days[0], days[-1], "data.csv")
    once = make_shop(tmp_path / "once", "uci_online_retail", tmp_path / "whole")
    run_shop(once)

    chance = random.Random(7)
    sent = tmp_path / "sent"
    sent.mkdir()
    daily = make_shop(tmp_path / "daily", "uci_online_retail", sent)
    order = chance.sample(range(DAYS), DAYS)
    for number, place in enumerate(order):
        write_days(lines, sent, days[place], days[place], f"{days[place]}.csv")
        if number % 25 == 0:  # a week that overlaps days sent before and days to come
            write_days(lines, sent, days[place], days[min(place + 5, DAYS - 1)], f"week-of-{days[place]}.csv")
        if number % 40 == 0:  # the same day again under another name
            write_days(lines, sent, days[place], days[place], f"again-{days[place]}.csv")
        if number in (DAYS // 5, DAYS * 3 // 5):
            run_shop(daily)
    done = run_shop(daily)
    assert done.ingest.failures == []
    mine, theirs = tables_of(daily), tables_of(once)
    assert [name for name in theirs if mine[name] != theirs[name]] == []
    loads = daily.lake.loads()
    ((n_lines,),) = lines.execute("select count(*) from lines where day <= ?", [days[-1]]).fetchall()
    assert n_lines == 541909 or DAYS < 305
    assert sum(load.rows_loaded for load in loads) == n_lines
    assert sum(load.rows_resent for load in loads) > n_lines / 50

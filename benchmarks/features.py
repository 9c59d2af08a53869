"""Features of many order lines, against a loop that cuts the lines at each moment and groups them anew.

The lines stand in the engine's memory, the definitions come from a warehouse; only the asking is measured. The peer is
what one writes with pandas: it makes 15 of the 57 features, and those are held against ours, to 1e-9.
"""

import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from shopkeeper.assembly import variables
from shopkeeper.features import CUSTOMER_FEATURES, NOTHING, compute, definitions
from shopkeeper.settings import load, write_project

AS_OF = date(2026, 1, 1)
PEER = "pandas data frames, moment by moment, 15 of 57 features"
KEY = "customer_id"


def definition(folder: Path) -> str:
    """Return the SQL of customer_features, as a warehouse of the Online Retail preset writes it."""
    from shopkeeper.engine import connect
    from shopkeeper.lake import Lake
    from shopkeeper.warehouse import Warehouse

    settings = load(write_project(folder / "shop", preset="uci_online_retail", path="none").parent)
    settings.warehouse.parent.mkdir(parents=True)
    Lake(settings.lake, settings.scratch)
    warehouse = Warehouse(
        settings.warehouse,
        lake=settings.lake,
        scratch=settings.scratch,
        work=settings.home / "dbt",
        variables=variables(settings),
    )
    warehouse.build({}, select="feature_definitions")
    with connect(settings.warehouse, read_only=True) as connection:
        return definitions(connection)[CUSTOMER_FEATURES]


def with_lines(n_lines: int) -> duckdb.DuckDBPyConnection:
    """Return a connection with that many order lines: 20 an order, 5 orders a customer over two years, 2 % cancelled."""
    connection = duckdb.connect()
    connection.execute("set threads = 2")
    connection.execute("select setseed(.5)")
    connection.execute(f"""
        create table order_lines as
        with orders as (
            select i, floor(random() * {n_lines // 100}) as c, date '2024-01-01' + cast(random() * 730 as int) as d,
                cast(random() * 86399 as int) as s, random() < .02 as is_cancelled
            from range({n_lines // 20}) as t(i)
        ),
        lines as (
            select *, 1 + floor(random() * 10) as quantity, floor(pow(random(), 3) * 4000) as p from orders, range(20)
        )
        select 'C' || c as customer_id, 'O' || (1000000 + i) as order_id, 'P' || p as product_id,
            cast(null as varchar) as category, 'Country ' || c % 30 as country, d as ordered_on,
            d + to_seconds(s) as ordered_at_local, case when is_cancelled then 'cancellation' else 'sale' end as line_kind,
            cast(quantity as decimal(18, 3)) as quantity,
            cast(case when is_cancelled then -1 else 1 end * quantity * (1 + p % 7) * 1.25 as decimal(38, 4)) as gross_amount,
            cast(0 as decimal(18, 4)) as discount_amount, gross_amount as net_amount, false as is_duplicate
        from lines
    """)
    return connection


def ours(connection: duckdb.DuckDBPyConnection, sql: str, moments: list[date]) -> pa.Table:
    empty = {name: schema.empty_table() for name, schema in NOTHING.items()}
    return compute(connection, sql, {**empty, "order_lines": "main.order_lines"}, moments)


def by_pandas(lines: pa.Table, moments: list[date]) -> pa.Table:
    """Return 15 of the features as of each moment, as one writes them with pandas."""
    import pandas as pd

    # Dates as moments, money as doubles: pandas would group Python's own dates and decimals one by one.
    kinds = {name: pa.float64() for name in ("quantity", "gross_amount", "net_amount")} | {
        "ordered_on": pa.timestamp("ns")
    }
    schema = pa.schema([(field.name, kinds.get(field.name, field.type)) for field in lines.schema])
    frame = lines.cast(schema).to_pandas(strings_to_categorical=False)
    found = pd.concat([_pandas_frame(frame, pd.Timestamp(moment)) for moment in moments], ignore_index=True)
    table = pa.Table.from_pandas(found, preserve_index=False)
    return table.set_column(table.column_names.index("as_of"), "as_of", table["as_of"].cast(pa.date32()))


def _pandas_frame(lines: Any, moment: Any) -> Any:
    import pandas as pd

    lines = lines[lines["ordered_on"] < moment]
    sales = lines[lines["line_kind"] == "sale"]
    found = sales.groupby(KEY).agg(
        n_orders=("order_id", "nunique"),
        n_order_days=("ordered_on", "nunique"),
        n_products=("product_id", "nunique"),
        first=("ordered_on", "min"),
        last=("ordered_on", "max"),
        gross_sales=("gross_amount", "sum"),
        n_units=("quantity", "sum"),
        country=("country", "min"),
    )
    found = lines.groupby(KEY).agg(net_sales=("net_amount", "sum")).join(found)
    for days in (30, 90, 365):
        since = moment - pd.Timedelta(days=days)
        found[f"net_sales_{days}d"] = lines[lines["ordered_on"] >= since].groupby(KEY)["net_amount"].sum()
        found[f"n_orders_{days}d"] = sales[sales["ordered_on"] >= since].groupby(KEY)["order_id"].nunique()
    found["days_since_last_order"] = (moment - found.pop("last")).dt.days
    found["days_since_first_order"] = (moment - found.pop("first")).dt.days
    return found.reset_index().assign(as_of=moment)


def differing(mine: pa.Table, theirs: pa.Table) -> list[str]:
    """Return the columns that differ by more than 1e-9 in any row; the rows are the same."""
    order = [(KEY, "ascending"), ("as_of", "ascending")]
    mine, theirs = mine.sort_by(order), theirs.sort_by(order)
    assert mine.select([KEY, "as_of"]).equals(theirs.select([KEY, "as_of"]))
    wrong = []
    for name in set(mine.column_names) & set(theirs.column_names) - {KEY, "as_of"}:
        mine_, theirs_ = mine[name], theirs[name]
        if pa.types.is_string(mine_.type):
            # Ours knows the country of cancellations, too.
            same = pc.equal(mine_, theirs_)
        else:
            mine_, theirs_ = (column.cast(pa.float64()).fill_null(0.0) for column in (mine_, theirs_))
            same = pc.less_equal(pc.abs(pc.subtract(mine_, theirs_)), 1e-9)
        if not pc.all(same).as_py():
            wrong.append(name)
    return wrong


def measured(folder: Path) -> Iterator[tuple[str, float, str, float, str]]:
    """Yield what was measured, our seconds, the peer, its seconds, and the target."""
    sql = definition(folder)
    for n_lines, n_moments, target in ((400_000, 12, "≤ 3 s"), (10_000_000, 1, "≤ 15 s")):
        connection = with_lines(n_lines)
        moments = [AS_OF - timedelta(days=30 * back) for back in range(n_moments)]
        started = time.perf_counter()
        mine = ours(connection, sql, moments)
        seconds = time.perf_counter() - started
        lines = connection.execute(
            "select customer_id, order_id, product_id, country, ordered_on, line_kind, quantity, gross_amount, net_amount "
            "from order_lines"
        ).to_arrow_table()
        started = time.perf_counter()
        theirs = by_pandas(lines, moments)
        peer_seconds = time.perf_counter() - started
        assert differing(mine, theirs) == []
        what = f"features of {n_lines:,} lines as of {n_moments} moment{'s' if n_moments > 1 else ''} (in process)"
        yield what, seconds, PEER, peer_seconds, target

"""A history in memory, from rows of orders: what models ask of a shop, without a warehouse."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pytest

START = date(2024, 1, 1)

FEATURES = """
with known as (select m.as_of, o.* from orders o join moments m on o.ordered_on < m.as_of),
days as (
    select as_of, customer_id, ordered_on, count(*) as n_orders, sum(gross) as gross, sum(back) as back, sum(units) as units
    from known group by all
),
gaps as (
    select *, date_diff('day', lag(ordered_on) over (partition by as_of, customer_id order by ordered_on), ordered_on) as gap
    from days
)
select customer_id, as_of,
    sum(n_orders)::bigint as n_orders, count(*)::bigint as n_order_days,
    date_diff('day', max(ordered_on), as_of) as days_since_last_order,
    date_diff('day', min(ordered_on), as_of) as days_since_first_order,
    coalesce(sum(n_orders) filter (where ordered_on >= as_of - 30), 0)::bigint as n_orders_30d,
    coalesce(sum(n_orders) filter (where ordered_on >= as_of - 90), 0)::bigint as n_orders_90d,
    coalesce(sum(n_orders) filter (where ordered_on >= as_of - 365), 0)::bigint as n_orders_365d,
    sum(gross) as gross_sales, sum(gross + back) as net_sales,
    coalesce(sum(gross + back) filter (where ordered_on >= as_of - 30), 0) as net_sales_30d,
    coalesce(sum(gross + back) filter (where ordered_on >= as_of - 90), 0) as net_sales_90d,
    coalesce(sum(gross + back) filter (where ordered_on >= as_of - 365), 0) as net_sales_365d,
    sum(gross) / sum(n_orders) as sales_per_order, sum(gross) / count(*) as sales_per_order_day,
    sum(units) / sum(n_orders) as units_per_order, 1.0 as lines_per_order, 1::bigint as n_products, 0::bigint as n_categories,
    1.0 as products_per_order, avg(gap) as mean_days_between_orders, stddev_samp(gap) as sd_days_between_orders,
    -sum(back) / sum(gross) as return_share, 0.0 as discount_share, 0.0 as cancellation_rate,
    sum(gross + back) / ceil(date_diff('day', min(ordered_on), as_of) / 30.0) as month_sales_mean,
    null::double as month_sales_sd, null::double as month_sales_trend,
    0::bigint as n_sessions, 0::bigint as n_sessions_30d, 0::bigint as n_sessions_90d,
    null::bigint as days_since_last_session, null::double as session_conversion, null::double as cart_rate
from gaps group by customer_id, as_of order by customer_id, as_of
"""
OUTCOMES = """
with known as (select distinct m.as_of, o.customer_id from orders o join moments m on o.ordered_on < m.as_of)
select k.customer_id, k.as_of, count(o.ordered_on)::bigint as n_orders_ahead,
    count(distinct o.ordered_on)::bigint as n_order_days_ahead, coalesce(sum(gross), 0.0) as gross_sales_ahead,
    coalesce(sum(gross + back), 0.0) as net_sales_ahead, date_diff('day', k.as_of, min(o.ordered_on)) as days_to_next_order
from known k
left join orders o on o.customer_id = k.customer_id and o.ordered_on >= k.as_of and o.ordered_on < k.as_of + {days}
group by k.customer_id, k.as_of order by k.customer_id, k.as_of
"""


class OrdersInMemory:
    """A ``History`` over a table of orders: ``customer_id, ordered_on, gross, back`` (returns, 0 or less)``, units``."""

    def __init__(self, orders: pa.Table) -> None:
        self.orders = orders

    @property
    def first_day(self):
        return min(self.orders["ordered_on"].to_pylist(), default=None)

    @property
    def last_day(self):
        return max(self.orders["ordered_on"].to_pylist(), default=None)

    def features(self, moments: Sequence[date]) -> pa.Table:
        return self._ask(FEATURES, moments)

    def outcomes(self, moments: Sequence[date], days: int) -> pa.Table:
        return self._ask(OUTCOMES.format(days=days), moments)

    def order_days(self) -> pa.Table:
        sql = (
            "select customer_id, ordered_on, count(*) as n_orders, sum(gross) as gross_sales, sum(gross + back) as net_sales "
            "from orders group by all order by all"
        )
        return self._ask(sql, [])

    def labels(self) -> pa.Table:
        raise NotImplementedError

    def attributes(self, moments: Sequence[date]) -> pa.Table:
        raise NotImplementedError

    def _ask(self, sql: str, moments: Sequence[date]) -> pa.Table:
        with duckdb.connect() as connection:
            connection.register("orders", self.orders)
            connection.register("moments", pa.table({"as_of": pa.array(sorted(set(moments)), pa.date32())}))
            return connection.execute(sql).to_arrow_table()


@pytest.fixture(scope="session")
def history_of() -> Callable[..., OrdersInMemory]:
    """Make a history from (customer, day number, value[, returned]) rows; day 0 is 1 January 2024 unless said."""

    def make(rows: Iterable[tuple], start: date = START) -> OrdersInMemory:
        told = [(str(row[0]), start + timedelta(int(row[1])), float(row[2]), -float((*row, 0, 0)[3])) for row in rows]
        names, days, gross, back = zip(*told, strict=True) if told else ((), (), (), ())
        return OrdersInMemory(
            pa.table(
                {
                    "customer_id": pa.array(names, pa.string()),
                    "ordered_on": pa.array(days, pa.date32()),
                    "gross": pa.array(gross, pa.float64()),
                    "back": pa.array(back, pa.float64()),
                    "units": pa.array([1.0] * len(told)),
                }
            )
        )

    return make


@pytest.fixture(scope="session")
def buyers() -> Callable[..., list[tuple]]:
    """Simulate customers who buy and leave exactly as BG/NBD and Gamma-Gamma say; return rows for ``history_of``."""

    def simulate(
        count: int, days: int, seed: int, *, r=0.8, alpha=20.0, a=0.8, b=2.5, p=6.0, q=4.0, v=15.0
    ) -> list[tuple]:
        rng = np.random.default_rng(seed)
        rate, leave = rng.gamma(r, 1 / alpha, count), rng.beta(a, b, count)
        first, level = rng.integers(0, days // 2, count), rng.gamma(q, 1 / v, count)
        rows = []
        for customer in range(count):
            day = float(first[customer])
            while day < days:
                rows.append((f"c{customer:05d}", int(day), rng.gamma(p) / level[customer]))
                if day > first[customer] and rng.random() < leave[customer]:
                    break
                day += rng.exponential(1 / rate[customer])
        return rows

    return simulate

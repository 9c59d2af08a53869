"""A shop's sold lines in memory: what demand asks of a history, from (day, product, units[, price, store]) rows."""

from collections.abc import Callable, Iterable
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

START = date(2024, 1, 1)  # a Monday
STOCK = pa.schema(
    {
        "product_id": pa.string(),
        "store_id": pa.string(),
        "day": pa.date32(),
        "on_hand": pa.float64(),
        "n_units_in": pa.float64(),
        "n_units_out": pa.float64(),
    }
)
PROMOTIONS = pa.schema(
    {
        **dict.fromkeys(("promotion_id", "level", "member", "store_id"), pa.string()),
        **dict.fromkeys(("starts_on", "ends_on"), pa.date32()),
        **dict.fromkeys(("unit_price", "discount_share"), pa.float64()),
        "announced_on": pa.date32(),
        "is_usable": pa.bool_(),
    }
)


class SoldInMemory:
    """A ``History`` over sold lines; each line is an order of its own unless ``order`` says otherwise."""

    def __init__(self, lines: pa.Table, stock: pa.Table | None = None, promotions: pa.Table | None = None) -> None:
        self.lines = lines
        self.stock = STOCK.empty_table() if stock is None else stock
        self.planned = PROMOTIONS.empty_table() if promotions is None else promotions

    @property
    def first_day(self) -> date | None:
        return min(self.lines["ordered_on"].to_pylist(), default=None)

    @property
    def last_day(self) -> date | None:
        return max(self.lines["ordered_on"].to_pylist(), default=None)

    def once(self, question: tuple, ask: Callable):
        return ask()

    def sale_lines(self) -> pa.Table:
        return self.lines

    def stock_days(self) -> pa.Table:
        return self.stock

    def promotions(self) -> pa.Table:
        return self.planned


def lines_of(rows: Iterable[tuple], start: date = START) -> pa.Table:
    """Make sold lines from (day number, product, units[, price, store, category, country]) rows."""
    full = [(*row, *(2.0, None, None, None)[len(row) - 3 :]) for row in rows]
    day, product, units, price, store, category, country = zip(*full, strict=True) if full else ((),) * 7
    units, price = np.array(units, float), np.array(price, float)
    return pa.table(
        {
            "order_id": pa.array([f"o{number}" for number in range(len(full))], pa.string()),
            "product_id": pa.array(product, pa.string()),
            "category": pa.array(category, pa.string()),
            "store_id": pa.array(store, pa.string()),
            "country": pa.array(country, pa.string()),
            "ordered_on": pa.array([start + timedelta(int(one)) for one in day], pa.date32()),
            "quantity": pa.array(units),
            "unit_price": pa.array(price),
            "net_amount": pa.array(units * price),
        }
    )


def promotions(rows: Iterable[dict], start: date = START) -> pa.Table:
    """Make promotions from dicts of level, member, first and last (day numbers), and further columns."""
    found = []
    for number, row in enumerate(rows):
        days = {name: start + timedelta(row[day]) for name, day in (("starts_on", "first"), ("ends_on", "last"))}
        found.append({"promotion_id": f"p{number}", "store_id": "all", "is_usable": True, **days, **row})
    return pa.Table.from_pylist(found, schema=PROMOTIONS)


def shop(days: int = 200, products: int = 12, seed: int = 0, *, growth: float = 0.0) -> list[tuple]:
    """Make rows of a shop closed on Sundays: Poisson sales, busy Fridays, each product at its own rate, two categories."""
    rng = np.random.default_rng(seed)
    factor = np.array([0.8, 0.9, 1.0, 1.2, 1.8, 0.6, 0.0])
    rate = np.geomspace(0.1, 20, products)
    rows = []
    for day in range(days):
        level = factor[day % 7] * (1 + growth * day)
        for product, units in enumerate(rng.poisson(rate * level)):
            if units:
                store = f"s{int(rng.integers(2))}"
                rows.append((day, f"p{product:02d}", float(units), 2.0, store, "AB"[product % 2], None))
    return rows

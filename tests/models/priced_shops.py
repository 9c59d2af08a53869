"""Shops in memory whose prices and answers are known: what ``Prices`` asks of a history, without a warehouse."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

START = date(2024, 1, 1)  # a Monday
LINES = {
    "order_id": pa.string(),
    "customer_id": pa.string(),
    "product_id": pa.string(),
    "category": pa.string(),
    "store_id": pa.string(),
    "country": pa.string(),
    "currency": pa.string(),
    "ordered_on": pa.date32(),
    "quantity": pa.float64(),
    "unit_price": pa.float64(),
    "gross_amount": pa.float64(),
    "discount_amount": pa.float64(),
    "net_amount": pa.float64(),
    "is_outlier": pa.bool_(),
}
PRODUCTS = {
    "product_id": pa.string(),
    "description": pa.string(),
    "category": pa.string(),
    "brand": pa.string(),
    "list_price": pa.float64(),
    "unit_cost": pa.float64(),
}
STOCK = {
    "product_id": pa.string(),
    "store_id": pa.string(),
    "day": pa.date32(),
    "on_hand": pa.float64(),
    "n_units_in": pa.float64(),
    "n_units_out": pa.float64(),
}


class PricedShop:
    """A ``History`` of sold lines, products and stock."""

    def __init__(self, lines: pa.Table, products: pa.Table, stock: pa.Table | None = None) -> None:
        self.lines, self.known, self.stock = lines, products, stock or table(STOCK)

    @property
    def first_day(self):
        return min(self.lines["ordered_on"].to_pylist(), default=None)

    @property
    def last_day(self):
        return max(self.lines["ordered_on"].to_pylist(), default=None)

    def once(self, question: tuple, ask: Callable):
        return ask()

    def sale_lines(self) -> pa.Table:
        return self.lines

    def products(self) -> pa.Table:
        return self.known

    def stock_days(self) -> pa.Table:
        return self.stock


def table(kinds: Mapping[str, pa.DataType], **columns: object) -> pa.Table:
    """Make a table of columns; those that are not given are null."""
    n = max((len(column) for column in columns.values()), default=0)
    return pa.table({name: pa.array(columns.get(name, [None] * n), kind) for name, kind in kinds.items()})


def lines(rows: Sequence[tuple], **more: Sequence) -> pa.Table:
    """Make lines from (product, day number, price, quantity[, order]); each is an order of its own unless said."""
    price = np.array([row[2] for row in rows], np.float64)
    quantity = np.array([row[3] for row in rows], np.float64)
    columns = {
        "order_id": [str((*row, f"o{number}")[4]) for number, row in enumerate(rows)],
        "product_id": [row[0] for row in rows],
        "currency": ["EUR"] * len(rows),
        "ordered_on": [START + timedelta(int(row[1])) for row in rows],
        "quantity": quantity,
        "unit_price": price,
        "gross_amount": quantity * price,
        "discount_amount": np.zeros(len(rows)),
        "net_amount": quantity * price,
        "is_outlier": [False] * len(rows),
    }
    return table(LINES, **{**columns, **more})


def goods(names: Sequence[str], **more: Sequence) -> pa.Table:
    """Make products."""
    return table(PRODUCTS, **{"product_id": list(names), **more})


def responsive(
    n: int = 40,
    days: int = 224,
    elasticity: float = -1.5,
    spread: float = 0.0,
    rate: float = 3.0,
    seed: int = 0,
    changes: int = 5,
) -> tuple[PricedShop, dict[str, float]]:
    """Make a shop of Poisson demand, each product answering to its price with an elasticity about the given one."""
    rng = np.random.default_rng(seed)
    rows, true = [], {}
    busy = 1 + 0.4 * np.sin(2 * np.pi * np.arange(days) / 84)
    for number in range(n):
        name = f"p{number:03}"
        true[name] = elasticity + spread * rng.normal()
        moments = np.sort(rng.choice(np.arange(7, days - 3), changes, replace=False))
        level = np.exp(np.clip(np.cumsum(rng.normal(0, 0.2, changes + 1)), -0.6, 0.6))
        price = np.round(10 * level[np.searchsorted(moments, np.arange(days), side="right")], 2)
        sold = rng.poisson(rate * busy * (price / 10) ** true[name])
        quantity = 1 + rng.geometric(0.6, int(sold.sum()))
        day = np.repeat(np.arange(days), sold)
        rows += [(name, d, price[d], q) for d, q in zip(day.tolist(), quantity.tolist(), strict=True)]
    cost = [4.0] * n
    category = [("jugs", "boxes")[number % 2] for number in range(n)]
    return PricedShop(lines(rows), goods(list(true), unit_cost=cost, category=category)), true


def shuffled(shop: PricedShop, seed: int = 1) -> PricedShop:
    """Make the same shop with all its rows in another order."""
    rng = np.random.default_rng(seed)
    mixed = [each.take(rng.permutation(each.num_rows)) for each in (shop.lines, shop.known, shop.stock)]
    return PricedShop(*mixed)

"""Exact figures that the platform must arrive at: counts, and money in ten-thousandths."""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np
import pyarrow as pa

from shopkeeper import vocabulary as v

SCALE = 10_000


@dataclass
class Totals:
    """Sums by (entity, measure, item): counts as they are, money in ten-thousandths of a unit."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    amounts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def count(self, entity: str, measure: str, number: int, item: str = "") -> None:
        """Add to a count."""
        self.counts[entity, measure, item] += int(number)

    def pay(self, entity: str, measure: str, minor: int, item: str = "") -> None:
        """Add an amount in minor units (hundredths)."""
        self.amounts[entity, measure, item] += int(minor) * (SCALE // 100)

    def lines(self, kind: str, number: int, minor: int) -> None:
        """Add order lines of one kind and their amount in minor units."""
        self.count(v.ORDER_LINES, "lines", number, kind)
        self.pay(v.ORDER_LINES, "amount", minor, kind)
        if kind in v.NET_SALES_KINDS:
            self.pay(v.ORDER_LINES, "net_sales", minor)

    def kinds(self, kind: np.ndarray, names: tuple[str, ...], minor: np.ndarray) -> None:
        """Add many order lines; ``kind`` indexes ``names``."""
        number = np.bincount(kind, minlength=len(names))
        for index, name in enumerate(names):
            if number[index]:
                self.lines(name, int(number[index]), int(minor[kind == index].sum()))

    def table(self) -> pa.Table:
        """Return the sums as a table; values as text, amounts with four decimals."""
        rows = [(*key, str(value)) for key, value in self.counts.items()]
        rows += [(*key, str(Decimal(value).scaleb(-4))) for key, value in self.amounts.items()]
        rows.sort()
        names = ("entity", "measure", "item", "value")
        return pa.table({name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(names)})


def minor_units(text: str) -> int:
    """Return an amount with at most two decimals as hundredths."""
    return int(Decimal(text) * 100)

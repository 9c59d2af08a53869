"""Stock on hand: what leaves with sales, what comes back by a reorder policy, and what is lost when it is
out.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

OPENING, SALE, REPLENISHMENT, COUNT = range(4)
REASONS = ("opening", "sale", "replenishment", "count")

HOUR = 3600
DELIVERY, STOCK_TAKING = 5 * HOUR, 23 * HOUR
COVER_DAYS, REORDER_DAYS = 21.0, 6.0
LEAD_DAYS, LATE_DAYS, LATE_CHANCE = (2, 6), (12, 25), 0.12
SHRINKAGE = 0.0005
"""Chance per shelf and day that a count finds one unit missing."""


@dataclass
class Journal:
    """Rows that grow: each entry is a tuple of arrays, all as long as the first."""

    parts: list[tuple[np.ndarray, ...]] = field(default_factory=list)

    def write(self, *columns: np.ndarray | int) -> None:
        """Add rows; a number stands for a whole column."""
        rows = next(len(one) for one in columns if isinstance(one, np.ndarray))
        self.parts.append(tuple(one if isinstance(one, np.ndarray) else np.full(rows, one) for one in columns))

    def columns(self) -> list[np.ndarray]:
        """Return whole columns."""
        return [np.concatenate(column) for column in zip(*self.parts, strict=True)]


@dataclass
class Shelves:
    """Stock of each shelf (one product in one store), moved forward one day at a time.

    ``level``: units on hand, never negative. A shelf at or below ``reorder_at`` orders up to ``fill_to``,
    once at a time. ``movements``: shelf, units, day, second, reason; ``lost``: shelf, day, units that could
    not be sold.
    """

    level: np.ndarray
    reorder_at: np.ndarray
    fill_to: np.ndarray
    movements: Journal = field(default_factory=Journal)
    lost: Journal = field(default_factory=Journal)
    due: dict[int, list[tuple[np.ndarray, np.ndarray]]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.waits = np.zeros(len(self.level), dtype=bool)
        self.movements.write(np.arange(len(self.level)), self.level.copy(), 0, 0, OPENING)

    def receive(self, day: int) -> None:
        """Put what was ordered for this morning on the shelves."""
        for shelf, units in self.due.pop(day, []):
            self.level[shelf] += units
            self.waits[shelf] = False
            self.movements.write(shelf, units, day, DELIVERY, REPLENISHMENT)

    def sell(self, day: int, shelf: np.ndarray, units: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return which of a day's wishes, in the order of time, are met: those that fit with all
        wishes of the same shelf before them.
        """
        order = np.argsort(shelf, kind="stable")
        running = np.cumsum(units[order])
        first = np.flatnonzero(np.diff(shelf[order], prepend=-1))
        before = np.repeat(running[first] - units[order][first], np.diff(first, append=len(shelf)))
        met = np.empty(len(shelf), dtype=bool)
        met[order] = running - before <= self.level[shelf[order]]
        np.subtract.at(self.level, shelf[met], units[met])
        self.movements.write(shelf[met], -units[met], day, second[met], SALE)
        self.lost.write(shelf[~met], day, units[~met])
        return met

    def close(self, day: int, rng: np.random.Generator) -> None:
        """Count some shelves, and order what runs low."""
        counted = np.flatnonzero((rng.random(len(self.level)) < SHRINKAGE) & (self.level > 0))
        self.level[counted] -= 1
        self.movements.write(counted, -1, day, STOCK_TAKING, COUNT)
        low = np.flatnonzero((self.level <= self.reorder_at) & ~self.waits)
        self.waits[low] = True
        late = rng.random(len(low)) < LATE_CHANCE
        lead = np.where(late, rng.integers(*LATE_DAYS, len(low)), rng.integers(*LEAD_DAYS, len(low)))
        units = self.fill_to[low] - self.level[low]
        for one in np.unique(lead):
            own = lead == one
            self.due[day + int(one)].append((low[own], units[own]))


def shelves(units_per_day: np.ndarray) -> Shelves:
    """Return shelves that open full, sized by the units each sells on an average day."""
    fill_to = np.maximum(np.ceil(units_per_day * COVER_DAYS), 4).astype(np.int64)
    reorder_at = np.maximum(np.ceil(units_per_day * REORDER_DAYS), 1).astype(np.int64)
    return Shelves(fill_to.copy(), reorder_at, fill_to)

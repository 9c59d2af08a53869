"""What price to ask: the one that brings most within bounds, what it would change, and the whole what-if curve.

Demand at another price is today's times (price / today's price) ^ elasticity. All that is unsure here is the
elasticity: the ends of its 95 % interval give those of the change. Prices are searched on a grid between the bounds,
rounded to allowed endings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shopkeeper.models.price_channels import Codes, Numbers
from shopkeeper.models.price_panel import Panel

Z = 1.959963984540054
RECENT_DAYS, AROUND_DAYS = 91, 28
STEPS, CURVE_STEPS = 60, 10
MINOR = 100
"""Minor units of a currency in one of its units: prices end on cents."""
NEAR = 0.004
PROFIT, REVENUE, AUTO = "profit", "revenue", "auto"


@dataclass(frozen=True)
class Rules:
    """What advice must keep to; see ``docs/settings.md``. ``endings``: digits that prices in minor units end on, any
    if empty.
    """

    objective: str = AUTO
    margin_floor: float = 0.0
    largest_step: float = 0.2
    endings: Sequence[int] = ()
    digits: Sequence[int] = ()


@dataclass(frozen=True)
class Offers:
    """Series as they stand: regular price, price range seen, unit cost (NaN: unknown), units per day, and elasticity
    (NaN: unknown).
    """

    price: Numbers
    lowest: Numbers
    highest: Numbers
    unit_cost: Numbers
    units_per_day: Numbers
    elasticity: Numbers
    sd: Numbers


def rules(objective: str, margin_floor: float, largest_step: float, endings: str) -> Rules:
    """Return the rules of settings; ``endings``: such as ``"99 49"``."""
    parts = endings.split()
    return Rules(
        objective, margin_floor, largest_step, [int(part) for part in parts], [10 ** len(part) for part in parts]
    )


def offers(panel: Panel, elasticity: Numbers, sd: Numbers, unit_cost: Numbers, last_day: int) -> Offers:
    """Return series as they stand after ``last_day`` (days since 1970).

    The price is the last one that is no promotion; units are those of the last 91 days, each day held against
    today's price by the elasticity (by none where it is unknown).
    """
    spells, n = panel.spells, len(panel.series)
    lowest, highest = price_range(panel)
    price = np.full(n, np.nan)
    price[spells.series] = spells.price
    regular = ~spells.is_promotion
    price[spells.series[regular]] = spells.price[regular]
    begin = last_day - RECENT_DAYS + 1
    days = np.maximum(np.minimum(spells.last, last_day) - np.maximum(spells.first, begin) + 1, 0)
    answer = np.nan_to_num(elasticity)[spells.series]
    weight = np.bincount(spells.series, days * (spells.price / price[spells.series]) ** answer, n)
    sold = panel.days.day >= begin
    units = np.bincount(panel.days.series[sold], panel.days.n_units[sold], n)
    # A product that came a month ago has sold for a month; the one that went has sold for all the days.
    gone = np.maximum(last_day - np.maximum(panel.series.last, begin - 1), 0)
    return Offers(price, lowest, highest, unit_cost, units / np.maximum(weight + gone, 1.0), elasticity, sd)


def price_range(panel: Panel) -> tuple[Numbers, Numbers]:
    """Return the lowest and the highest posted price of each series."""
    lowest, highest = np.full(len(panel.series), np.inf), np.zeros(len(panel.series))
    np.minimum.at(lowest, panel.spells.series, panel.spells.price)
    np.maximum.at(highest, panel.spells.series, panel.spells.price)
    return lowest, highest


def advise(given: Offers, keep: Rules) -> dict[str, Any]:
    """Return columns of advice, one element for each series; see ``Prices.tables`` for what they say."""
    n = len(given.price)
    cost = given.unit_cost
    has_cost = np.isfinite(cost)
    by_profit = has_cost if keep.objective == AUTO else np.full(n, keep.objective == PROFIT)
    why = np.full(n, "", dtype="U80")
    why[by_profit & ~has_cost] = "the unit cost is not known"
    why[given.units_per_day <= 0] = f"nothing was sold in the last {RECENT_DAYS} days"
    why[~np.isfinite(given.elasticity)] = "the elasticity is not known"
    is_open = why == ""
    low, high, floor = _bounds(given, keep)
    grid = _grid(given.price, low, high, keep)
    gain = _objective(given, grid, by_profit)
    gain[~((grid >= low[:, None] - 1e-9) & (grid <= high[:, None] + 1e-9))] = -np.inf
    below = given.price < floor - 1e-9
    # Today's price stands last, so that of equals it is kept; under the floor it is no choice.
    gain[below, -1] = np.where(np.isfinite(gain[below, :-1]).any(axis=1), -np.inf, gain[below, -1])
    best = grid[np.arange(n), grid.shape[1] - 1 - np.argmax(gain[:, ::-1], axis=1)]
    best = np.where(is_open, best, given.price)
    ratio = best / given.price
    moved = np.abs(ratio - 1) > NEAR / 10
    action = np.where(~is_open, "none", np.where(~moved, "keep", np.where(ratio > 1, "raise", "lower")))
    changes = _changes(given, best, by_profit & has_cost)
    chosen = np.where(by_profit, changes["profit_change_low"], changes["revenue_change_low"])
    return {
        "price": given.price,
        "objective": np.where(by_profit, PROFIT, REVENUE),
        "action": action,
        "advised_price": np.where(is_open, best, np.nan),
        "lowest_allowed": low,
        "highest_allowed": high,
        "is_sure": is_open & moved & (np.nan_to_num(chosen, nan=-1.0) > 0),
        "reason": np.where(is_open, _words(given, best, low, high, floor, keep), why),
        **{name: np.where(is_open, column, np.nan) for name, column in changes.items()},
    }


def _bounds(given: Offers, keep: Rules) -> tuple[Numbers, Numbers, Numbers]:
    """Return the lowest and highest price allowed, and the least that keeps the margin (0 where the cost is not
    known).
    """
    floor = np.where(np.isfinite(given.unit_cost), given.unit_cost / (1 - keep.margin_floor), 0.0)
    high = np.minimum(given.price * (1 + keep.largest_step), np.maximum(given.highest, given.price))
    low = np.maximum(given.price * (1 - keep.largest_step), np.minimum(given.lowest, given.price))
    # Below the floor no range that was seen counts, but the largest step does.
    high = np.maximum(high, np.minimum(floor, given.price * (1 + keep.largest_step)))
    return np.minimum(np.maximum(low, floor), high), high, floor


def _grid(price: Numbers, low: Numbers, high: Numbers, keep: Rules) -> Numbers:
    """Return prices to choose from, one row for each series: allowed endings between the bounds, and today's price
    last.
    """
    part = np.linspace(0, 1, STEPS + 1)
    raw = low[:, None] * (high / low)[:, None] ** part
    minor = np.round(raw * MINOR)
    found = [np.clip(minor, np.ceil(low * MINOR - 1e-6)[:, None], np.floor(high * MINOR + 1e-6)[:, None])]
    if keep.endings:
        found = []
        for ending, span in zip(keep.endings, keep.digits, strict=True):
            under = np.floor((minor - ending) / span) * span + ending
            found += [under, under + span]
    return np.concatenate([*(each / MINOR for each in found), price[:, None]], axis=1)


def _objective(given: Offers, grid: Numbers, by_profit: NDArray[np.bool_]) -> Numbers:
    with np.errstate(invalid="ignore", divide="ignore"):
        units = (grid / given.price[:, None]) ** given.elasticity[:, None]
        each = grid - np.where(by_profit, np.nan_to_num(given.unit_cost), 0.0)[:, None]
        return np.nan_to_num(units * each, nan=-np.inf, posinf=-np.inf)


def _changes(given: Offers, best: Numbers, by_profit: NDArray[np.bool_]) -> dict[str, Numbers]:
    """Return units, revenue and profit a day at the best price, and their changes as shares with 95 % intervals."""
    ratio = best / given.price
    with np.errstate(invalid="ignore", divide="ignore"):
        ends = [ratio ** (given.elasticity + side * Z * given.sd) for side in (-1, 0, 1)]
        margin = (best - given.unit_cost) / (given.price - given.unit_cost)
        # A margin of nought or less has no share to grow by.
        margin = np.where(by_profit & (given.price > given.unit_cost), margin, np.nan)
    found: dict[str, Numbers] = {
        "units_per_day": given.units_per_day,
        "revenue_per_day": given.units_per_day * given.price,
        "profit_per_day": given.units_per_day * (given.price - given.unit_cost),
    }
    for name, factor in (("units", np.ones(len(best))), ("revenue", ratio), ("profit", margin)):
        values = [factor * each - 1 for each in ends]
        found[f"{name}_change"] = values[1]
        found[f"{name}_change_low"] = np.minimum(values[0], values[2])
        found[f"{name}_change_high"] = np.maximum(values[0], values[2])
    return found


def _words(given: Offers, best: Numbers, low: Numbers, high: Numbers, floor: Numbers, keep: Rules) -> NDArray[Any]:
    """Return why the advised price is no higher or lower, in words."""
    step = f"the largest step of {keep.largest_step:.0%}"
    at_low, at_high = best <= low * (1 + NEAR), best >= high * (1 - NEAR)
    by_step = np.abs(np.abs(best / given.price - 1) - keep.largest_step) <= 2 * NEAR
    names = np.full(len(best), "the best price lies between the bounds", dtype="U80")
    names[at_high] = "at the bound: the highest price seen"
    names[at_low] = "at the bound: the lowest price seen"
    names[at_low & (best <= floor * (1 + NEAR))] = "at the bound: the least price that keeps the margin"
    names[(at_low | at_high) & by_step] = f"at the bound: {step}"
    names[np.abs(best / given.price - 1) <= NEAR / 10] = "no allowed price brings more than today's"
    names[(given.price < floor - 1e-9) & (best > given.price)] = "today's price does not keep the margin"
    names[high <= low * (1 + NEAR / 10)] = "the bounds leave no other price"
    return names


def curves(given: Offers, advised: Mapping[str, Any]) -> dict[str, Any]:
    """Return the what-if curves of series with a known elasticity: ``row`` (the series), and eleven even prices
    between the bounds.
    """
    rows = np.flatnonzero(advised["action"] != "none")
    part = np.linspace(0, 1, CURVE_STEPS + 1)
    low, high = advised["lowest_allowed"][rows], advised["highest_allowed"][rows]
    price = np.round(low[:, None] + (high - low)[:, None] * part, 2).ravel()
    row = np.repeat(rows, len(part))
    kept = np.append(True, (np.diff(row) != 0) | (np.diff(price) > 0)) if len(row) else np.zeros(0, bool)
    row, price = row[kept], price[kept]
    ratio = price / given.price[row]
    base = given.units_per_day[row]
    ends = [base * ratio ** (given.elasticity[row] + side * Z * given.sd[row]) for side in (-1, 0, 1)]
    low_units, units, high_units = np.minimum(ends[0], ends[2]), ends[1], np.maximum(ends[0], ends[2])
    each = price - given.unit_cost[row]
    profits = [
        units * each,
        np.minimum(low_units * each, high_units * each),
        np.maximum(low_units * each, high_units * each),
    ]
    return {
        "row": row,
        "price": price,
        "units_per_day": units,
        "units_low": low_units,
        "units_high": high_units,
        "revenue_per_day": units * price,
        "revenue_low": low_units * price,
        "revenue_high": high_units * price,
        "profit_per_day": profits[0],
        "profit_low": profits[1],
        "profit_high": profits[2],
    }


def price_changes(panel: Panel, last_day: int) -> dict[str, Any]:
    """Return each change of a posted price: ``row`` (the series), day, old and new price, and units per day around
    it.

    Plain counts over up to 28 days on each side, nothing taken out; the interval is that of a compound Poisson sum,
    whose variance is the sum of squared quantities.
    """
    spells = panel.spells
    at = np.flatnonzero(np.diff(spells.series, prepend=-1) == 0)
    day = spells.first[at]
    found = {
        "row": spells.series[at],
        "day": day,
        "old_price": spells.price[at - 1],
        "new_price": spells.price[at],
        "is_promotion": spells.is_promotion[at],
    }
    before = np.maximum(spells.first[at - 1], day - AROUND_DAYS), day - 1
    after = day, np.minimum(np.minimum(spells.last[at], day + AROUND_DAYS - 1), last_day)
    for name, (first, last) in (("before", before), ("after", after)):
        units, squares = _sold_between(panel, spells.series[at], first, last)
        span = np.maximum(last - first + 1, 1)
        spread = Z * np.sqrt(squares)
        found[f"days_{name}"] = span
        found[f"units_{name}"] = units / span
        found[f"units_{name}_low"] = np.maximum(units - spread, 0) / span
        found[f"units_{name}_high"] = (units + spread) / span
    return found


def _sold_between(panel: Panel, series: Codes, first: Codes, last: Codes) -> tuple[Numbers, Numbers]:
    days = panel.days
    span = int(max(days.day.max(initial=0), last.max(initial=0))) + 2
    keys = days.series * span + days.day
    low, high = np.searchsorted(keys, series * span + first), np.searchsorted(keys, series * span + last + 1)
    sums = [np.append(0.0, np.cumsum(column)) for column in (days.n_units, days.squares)]
    units, squares = (column[high] - column[low] for column in sums)
    return units, squares


def table_of(columns: Mapping[str, Any]) -> pa.Table:
    """Return columns as a table; NaN is null."""
    return pa.table(
        {
            name: pa.array(column, from_pandas=True) if np.asarray(column).dtype.kind == "f" else pa.array(column)
            for name, column in columns.items()
        }
    )

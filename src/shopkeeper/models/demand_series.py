"""What a shop sold day by day, as series: the total, countries, stores, categories and products.

Sold lines become a matrix (series x days of the record). Days on which the shop was closed are no zeros, and days on which a
product was out of stock are no zeros either: a sale that could not happen says nothing about demand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.models.calendar import ShopCalendar, day_of, holidays_of, is_open, number_of, weekday_of
from shopkeeper.models.demand_methods import Matrix
from shopkeeper.models.model import History
from shopkeeper.models.promotions import Promotions, promotions_of
from shopkeeper.vocabulary import AS_OF

TOTAL, COUNTRY, STORE, CATEGORY, PRODUCT = "total", "country", "store", "category", "product"
LEVELS = (TOTAL, COUNTRY, STORE, CATEGORY, PRODUCT)
"""From the top down; countries, stores and categories each add up to the total, products to categories."""
UNKNOWN = "unknown"
ALL = "all"
MOST_DAYS = 1096
"""So many days of the record are looked at."""
MOST_PRODUCTS = 20_000
"""So many products have a series of their own, those that sold on most days; the others are left to their category."""
LEAST_DAYS = 28
ONE_OFF_DAYS, ONE_OFF_LINES, ONE_OFF_QUANTILE = 3.0, 10.0, 0.99
LEAST_IN_STOCK = 0.3
WEIGHT_DAYS = 28
AHEAD = 400
"""Holidays are known so many days ahead."""
LEAST_PRICE, MOST_PRICE = 0.2, 5.0
CENT = 1e4
"""Money is added up in whole parts of this, so that the order of lines does not count."""


@dataclass(frozen=True)
class Series:
    """The series of a shop.

    ``level`` and ``key`` of each (the total's key is ``all``); ``parent``: of a product, its category; ``units``: sold on
    each day of the calendar, corrected for days out of stock; ``sales``: net money; ``calendar``; ``one_offs``: how many
    lines were left out as one-off orders; ``censored``: how many product days were out of stock; ``notes``: sentences on what
    is not known; ``promotions``: None where there are none.
    """

    level: NDArray[np.str_]
    key: NDArray[np.str_]
    parent: NDArray[np.str_]
    units: Matrix
    sales: Matrix
    calendar: ShopCalendar
    one_offs: int = 0
    censored: int = 0
    notes: tuple[str, ...] = ()
    promotions: Promotions | None = None

    @property
    def end(self) -> date:
        """The moment that knows all of the series: the day after the last."""
        return day_of(self.calendar.end)

    @cached_property
    def price(self) -> Matrix:
        """The mean price of each day against the series' usual one; on days without a sale, that of the day before."""
        with np.errstate(divide="ignore", invalid="ignore"):
            price = np.where((self.units > 0) & (self.sales > 0), self.sales / self.units, np.nan)
        known = np.isfinite(price)
        never = ~known.any(axis=1)
        price[never] = 1.0
        usual = np.nanmedian(price, axis=1)
        place = np.maximum.accumulate(np.where(known, np.arange(price.shape[1]), -1), axis=1)
        filled = np.where(place >= 0, np.take_along_axis(price, np.maximum(place, 0), axis=1), usual[:, None])
        return np.asarray(np.clip(filled / usual[:, None], LEAST_PRICE, MOST_PRICE), np.float64)

    def until(self, moment: date) -> "Series":
        """Return the series as they were known at a moment: nothing of that day or later, and no series without a sale."""
        days = number_of(moment) - self.calendar.first
        kept = self.units[:, :days].any(axis=1)
        calendar = self.calendar.until(number_of(moment))
        return replace(self, units=self.units[:, :days], sales=self.sales[:, :days], calendar=calendar).of(
            np.asarray(kept)
        )

    def of(self, chosen: NDArray[np.bool_]) -> "Series":
        """Return some of the series."""
        parts = {name: getattr(self, name)[chosen] for name in ("level", "key", "parent", "units", "sales")}
        return replace(self, **parts)

    def rows(self, horizon: int) -> pa.Table:
        """Return what a model is fitted on and scores: one row per series, as of the moment after the record.

        ``level, series, as_of, units`` (of each day, null where the shop was closed)``, price`` (of each day)``,
        days_to_holiday`` (of each day and of each ahead)``, open_ahead`` (whether each day ahead is open)``, weight`` (the
        series' share of its level's money in the last 28 days)``, parent`` (of a product, its category)``, promoted_share,
        promoted_price`` (of each day and of each ahead, see ``promotions.Plan``; empty where nothing was ever planned).
        """
        n, days = self.units.shape
        calendar = self.calendar
        flags = calendar.ahead(horizon)
        holidays = calendar.distance_to_holiday(calendar.first + np.arange(days + horizon))
        closed = np.tile(~calendar.opened, n)
        planned = np.zeros(0), np.zeros(0)
        if self.promotions is not None:
            plan = self.promotions.plan(self.level, self.key, calendar.first, calendar.end, horizon)
            planned = plan.share.ravel(), plan.price.ravel()
        return pa.table(
            {
                "level": pa.array(self.level.tolist(), pa.string()),
                "series": pa.array(self.key.tolist(), pa.string()),
                AS_OF: pa.array([self.end] * n, pa.date32()),
                "units": _lists(pa.array(self.units.ravel(), mask=closed), n),
                "price": _lists(pa.array(self.price.ravel()), n),
                "days_to_holiday": _lists(pa.array(np.tile(holidays, n)), n),
                "open_ahead": _lists(pa.array(np.tile(flags, n)), n),
                "weight": pa.array(self.weights()),
                "parent": pa.array(self.parent.tolist(), pa.string()),
                "promoted_share": _lists(pa.array(planned[0]), n),
                "promoted_price": _lists(pa.array(planned[1]), n),
            }
        )

    def weights(self) -> NDArray[np.float64]:
        """Return each series' share of its level's money in the last 28 days, as in M5; of units where there was none."""
        recent = np.maximum(self.sales[:, -WEIGHT_DAYS:].sum(axis=1), 0.0)
        found = np.zeros(len(recent))
        for level in np.unique(self.level):
            chosen = self.level == level
            base = recent[chosen] if recent[chosen].sum() > 0 else self.units[chosen].sum(axis=1)
            found[chosen] = base / base.sum() if base.sum() > 0 else 1 / chosen.sum()
        return found


def _lists(values: pa.Array, n: int) -> pa.Array:
    return pa.LargeListArray.from_arrays(
        pa.array(np.arange(n + 1, dtype=np.int64) * (len(values) // n if n else 0)), values
    )


def series_of(history: History, as_of: date, country: str = "", levels: Sequence[str] = LEVELS) -> Series:
    """Return the series of a shop as of a moment, total first, the others by level and key.

    ``country``: the shop's, for holidays. A level with one
    member is left out, for it is the total; nulls are the member ``unknown``. A line of more than three ordinary days of
    the whole shop, and of ten times what 99 in 100 lines hold at most, is a one-off order and no demand.
    Raises ModelError if nothing was sold, or the record is shorter than 28 days.
    """
    lines = history.sale_lines()
    lines = lines.filter(
        pc.and_(pc.less(lines["ordered_on"], pa.scalar(as_of, pa.date32())), pc.greater(lines["quantity"], 0))
    )
    if not lines.num_rows:
        raise ModelError("demand must be learnt from sold lines that name a product; there is none. Load order lines.")
    day = lines["ordered_on"].cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64)
    end = number_of(as_of)
    first = max(int(day.min()), end - MOST_DAYS)
    days = end - first
    if days < LEAST_DAYS:
        raise ModelError(
            f"demand must be learnt from {LEAST_DAYS} days of sales or more; got {days}, {day_of(first)} to {day_of(end - 1)}. "
            f"Wait for more."
        )
    kept = day >= first
    units = np.asarray(lines["quantity"].to_numpy(), np.float64)
    one_off = _one_offs(units, day)
    kept &= ~one_off
    lines, units, at = lines.filter(pa.array(kept)), units[kept], day[kept] - first
    money = np.round(np.nan_to_num(np.asarray(lines["net_amount"].to_numpy(), np.float64)) * CENT)
    opened = is_open(_orders_by_day(lines, at, days), first)
    holidays, note = holidays_of(country, day_of(first), day_of(end + AHEAD))
    calendar = ShopCalendar(first, opened, holidays)
    names, matrices, moneys, parents = [(TOTAL, ALL)], [_sums(at, units, 1, days)], [_sums(at, money, 1, days)], [""]
    censored = 0
    for level, column in ((COUNTRY, "country"), (STORE, "store_id"), (CATEGORY, "category"), (PRODUCT, "product_id")):
        if level not in levels:
            continue
        keys, code = _codes(lines[column])
        if len(keys) < 2 and level != PRODUCT:
            continue
        of_level, of_money = (_sums(code * days + at, each, len(keys), days) for each in (units, money))
        above = [""] * len(keys)
        if level == PRODUCT:
            above = _categories(lines, code, len(keys))
            share = _in_stock(history.stock_days(), keys, first, days, lines, code)
            corrected, censored = _uncensored(of_level, share, opened)
            more, of_level = corrected - of_level, corrected
            matrices[0] = matrices[0] + more.sum(axis=0)
            categories = [key for each, key in names if each == CATEGORY]
            if categories:
                np.add.at(matrices[-1], [categories.index(one) for one in above], more)
            most = np.sort(np.argsort(-(of_level > 0).sum(axis=1), kind="stable")[:MOST_PRODUCTS])
            keys, above = [keys[one] for one in most], [above[one] for one in most]
            of_level, of_money = of_level[most], of_money[most]
        names += [(level, key) for key in keys]
        parents += above
        matrices.append(of_level)
        moneys.append(of_money)
    planned, promotions, unused = history.promotions(), None, ""
    if planned.num_rows:
        keys, code = _codes(lines["product_id"])
        promotions, unused = promotions_of(planned, lines, np.array(_categories(lines, code, len(keys)))[code])
    return Series(
        np.array([level for level, _ in names]),
        np.array([key for _, key in names]),
        np.array(parents),
        np.concatenate(matrices),
        np.concatenate(moneys) / CENT,
        calendar,
        int(one_off.sum()),
        censored,
        tuple(one for one in (note, unused) if one),
        promotions,
    )


def _one_offs(units: NDArray[np.float64], day: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which lines are one-off orders."""
    totals = np.bincount(day - day.min(), weights=units)
    usual = float(np.median(totals[totals > 0]))
    return np.asarray(units > max(ONE_OFF_DAYS * usual, ONE_OFF_LINES * float(np.quantile(units, ONE_OFF_QUANTILE))))


def _codes(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Return the different values in their order, nulls as ``unknown``, and the place of each row's value among them."""
    encoded = pc.fill_null(column.cast(pa.string()), UNKNOWN).combine_chunks().dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), np.str_)
    order = np.argsort(names, kind="stable")
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    return names[order].tolist(), rank[encoded.indices.to_numpy()]


def _orders_by_day(lines: pa.Table, at: NDArray[np.int64], days: int) -> NDArray[np.float64]:
    _, order = _codes(lines["order_id"])
    pairs = np.unique(order * days + at)
    return np.bincount(pairs % days, minlength=days).astype(np.float64)


def _sums(place: NDArray[np.int64], values: NDArray[np.float64], n: int, days: int) -> Matrix:
    return np.asarray(np.bincount(place, weights=values, minlength=n * days), np.float64).reshape(n, days)


def _categories(lines: pa.Table, code: NDArray[np.int64], n: int) -> list[str]:
    """Return each product's category: the one most of its lines have, of equals the first by name."""
    names, category = _codes(lines["category"])
    pairs, counts = np.unique(code * len(names) + category, return_counts=True)
    product, which = pairs // len(names), pairs % len(names)
    best = np.lexsort((which, -counts, product))
    firsts = best[np.unique(product[best], return_index=True)[1]]
    found = np.zeros(n, np.int64)
    found[product[firsts]] = which[firsts]
    return [names[one] for one in found]


def _in_stock(
    stock: pa.Table,
    products: list[str],
    first: int,
    days: int,
    lines: pa.Table,
    code: NDArray[np.int64],
) -> Matrix | None:
    """Return for each product and day the share of its demand that could be served; None without inventory.

    A shelf is out of stock on the days after one that ended with nothing on hand, until stock comes in; it counts by its
    share of the product's sales.
    """
    if not stock.num_rows:
        return None
    place = {name: number for number, name in enumerate(products)}
    product = np.array([place.get(name, -1) for name in stock["product_id"].to_pylist()])
    stores, store = _codes(stock["store_id"])
    on = stock["day"].cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64) - first
    on_hand = np.nan_to_num(np.asarray(stock["on_hand"].to_numpy(), np.float64), nan=1.0)
    known = product >= 0
    product, store, on, on_hand = product[known], store[known], on[known], on_hand[known]
    order = np.lexsort((on, store, product))
    product, store, on, on_hand = product[order], store[order], on[order], on_hand[order]
    shelf = product * len(stores) + store
    sells, of_line = _codes(lines["store_id"])
    number = {name: one for one, name in enumerate(stores)}
    to_store = np.array([number.get(name, -1) for name in sells])
    line_store = to_store[of_line]
    sold = np.bincount(
        (code * len(stores) + line_store)[line_store >= 0], minlength=len(products) * len(stores)
    ).astype(np.float64)
    has_shelf = np.zeros(len(sold), np.bool_)
    has_shelf[shelf] = True
    weight = (sold + 0.5) * has_shelf
    total = weight.reshape(len(products), len(stores)).sum(axis=1)
    is_last = np.append(shelf[1:] != shelf[:-1], True)
    until = np.where(is_last, days, np.append(on[1:], days))
    start, stop = np.clip(on + 1, 0, days), np.clip(until, 0, days)
    empty = (on_hand <= 0) & (stop > start)
    change = np.zeros((len(products), days + 1))
    np.add.at(change, (product[empty], start[empty]), weight[shelf[empty]])
    np.add.at(change, (product[empty], stop[empty]), -weight[shelf[empty]])
    out = np.cumsum(change[:, :-1], axis=1) / np.maximum(total, 1e-9)[:, None]
    return np.asarray(np.clip(1.0 - out, 0.0, 1.0), np.float64)


def _uncensored(units: Matrix, share: Matrix | None, opened: NDArray[np.bool_]) -> tuple[Matrix, int]:
    """Return what would have sold had all shelves been full, and how many product days were out of stock.

    Where most of a product's shelves had stock, its sales are scaled up; else the day is as its other open days' mean.
    """
    if share is None:
        return units, 0
    is_out = (share < 1 - 1e-9) & opened
    scaled = units / np.maximum(share, LEAST_IN_STOCK)
    whole = opened & (share >= LEAST_IN_STOCK)
    mean = np.where(whole, scaled, 0.0).sum(axis=1) / np.maximum(whole.sum(axis=1), 1)
    found = np.where(opened & (share < LEAST_IN_STOCK), np.maximum(units, mean[:, None]), scaled)
    return np.where(is_out, found, units), int(is_out.sum())


def weekdays(series: Series, days: int) -> NDArray[np.int64]:
    """Return the weekday of each day of the record and of so many days ahead."""
    return weekday_of(series.calendar.first + np.arange(series.units.shape[1] + days))

"""Which price list a sold line was charged from: retail and wholesale told apart, so that no quantity discount looks
like demand.

Where a product sells on one day at two prices, the cheaper one did not make the larger quantity sell: the larger
quantity got the cheaper price. Lines are therefore parted into *channels*, and each channel has a price history of
its own:

- **Price lists.** Each outlet (a store where stores are named, else an order) charges from one list. Its level is
  the median, over its
  lines, of log price minus the product's median; two levels are told apart by the cut that leaves the least variance
  (Otsu 1979).
- **Quantity breaks.** Per product, the quantity from which on the price is lower, if one explains what still differs
  within a day.

A split is kept only if prices of one product on one day then differ much less; in a shop with one price a day all
lines are ``all``.
"""

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

ALL, STANDARD, HIGH, BULK, HIGH_BULK = "all", "standard", "high", "bulk", "high_bulk"
LEAST_EXPLAINED = 0.25
"""The share of the variance within product-days that a split must explain."""
MANY_LINES = 3
LEAST_SHARE, LEAST_STEP, LEAST_DISCOUNT, LEAST_LINES = 0.02, 0.10, 0.03, 10
BREAKS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 36, 48, 64, 72, 96, 100, 144, 192, 200, 288, 500, 1000)

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class SoldLines:
    """Lines with a price above 0 that were sold before a moment, as arrays.

    ``product`` and ``currency`` number ``product_ids`` and ``currencies``, which are sorted; ``outlet`` numbers
    stores, and orders where none is named; ``day`` counts from 1970; ``price`` is what was paid for a unit,
    discounts taken off; ``left_out``: lines without a price, or a quantity, above 0.
    """

    product_ids: NDArray[Any]
    currencies: NDArray[Any]
    product: Codes
    currency: Codes
    outlet: Codes
    day: Codes
    price: Numbers
    quantity: Numbers
    left_out: int

    def part(self, kept: NDArray[np.bool_]) -> "SoldLines":
        """Return some of the lines."""
        names = ("product", "currency", "outlet", "day", "price", "quantity")
        return replace(self, **{name: getattr(self, name)[kept] for name in names})


@dataclass(frozen=True)
class Channels:
    """The channel of each line (numbers ``names``), the quantity break of each product and currency (0: none), and
    what was seen.

    ``disagreement``: variance of log price within product-days before any split, and ``left`` after.
    """

    names: tuple[str, ...]
    of_line: Codes
    breaks: Numbers
    disagreement: float
    left: float

    def part(self, kept: NDArray[np.bool_]) -> "Channels":
        """Return those of some of the lines."""
        return replace(self, of_line=self.of_line[kept])


def sold_lines(lines: pa.Table, as_of: date | None = None) -> SoldLines:
    """Return what ``History.sale_lines`` gives as arrays; lines of ``as_of`` and later are not looked at."""
    if as_of is not None:
        lines = lines.filter(pc.less(lines["ordered_on"], pa.scalar(as_of, pa.date32())))
    quantity = lines["quantity"].to_numpy().astype(np.float64)
    paid = lines["net_amount"].to_numpy().astype(np.float64)
    is_whole = (quantity > 0) & (paid > 0) & (lines["unit_price"].to_numpy() > 0)
    if not is_whole.all():
        lines, quantity, paid = lines.filter(pa.array(is_whole)), quantity[is_whole], paid[is_whole]
    product_ids, product = coded(lines["product_id"])
    currencies, currency = coded(lines["currency"])
    _, order = coded(lines["order_id"])
    stores, store = coded(lines["store_id"])
    is_named = (stores != "")[store] if len(stores) else np.zeros(0, bool)
    return SoldLines(
        product_ids=product_ids,
        currencies=currencies,
        product=product,
        currency=currency,
        outlet=np.where(is_named, store, order + len(stores)),
        day=lines["ordered_on"].cast(pa.date32()).cast(pa.int32()).to_numpy().astype(np.int64),
        # A rounded price: arithmetic must not make two prices of one.
        price=np.round(paid / quantity, 4),
        quantity=quantity,
        left_out=int((~is_whole).sum()),
    )


def coded(column: pa.ChunkedArray) -> tuple[NDArray[Any], Codes]:
    """Return the different texts of a column, sorted, and the number of each row's; null is an empty text."""
    found = pc.dictionary_encode(pc.fill_null(column.cast(pa.string()), "").combine_chunks())
    found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    names = np.array(found.dictionary.to_pylist(), dtype=np.str_)
    order = np.argsort(names, kind="stable")
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    return names[order], place[found.indices.to_numpy()]


def channels(lines: SoldLines) -> Channels:
    """Return the channel of each line; see the module's docstring for the rule."""
    n = len(lines.price)
    item = lines.product * max(len(lines.currencies), 1) + lines.currency
    n_items = len(lines.product_ids) * max(len(lines.currencies), 1)
    none = Channels((ALL,), np.zeros(n, np.int64), np.zeros(n_items), 0.0, 0.0)
    if not n:
        return none
    log_price = np.log(lines.price)
    day = np.unique(item * (lines.day.max() + 1) + lines.day, return_inverse=True)[1]
    spread = _spread(day, log_price)
    if spread.sum() < 1e-9:
        return none
    high = _price_lists(lines.outlet, item, log_price, day)
    if high.any() and np.average(np.bincount(lines.outlet)[lines.outlet]) < MANY_LINES:
        # The list of an order with one line is that line's price: what its quantity explains is not the list's.
        least = _quantity_breaks(item, n_items, day, log_price, lines.quantity)
        is_bulk = (least[item] > 0) & (lines.quantity >= least[item])
        if _spread(day * 2 + is_bulk, log_price).sum() <= _spread(day * 2 + high, log_price).sum() + 1e-9:
            high = np.zeros(n, np.int64)
    lists = day * 2 + high
    left = _spread(lists, log_price)
    least = _quantity_breaks(item, n_items, lists, log_price, lines.quantity)
    is_bulk = (least[item] > 0) & (lines.quantity >= least[item])
    finer = _spread(lists * 2 + is_bulk, log_price)
    if left.sum() - finer.sum() < max(LEAST_EXPLAINED * left.sum(), 1e-9):
        is_bulk, least = np.zeros(n, bool), np.zeros(n_items)
    else:
        left = finer
    code = high + 2 * is_bulk
    seen, of_line = np.unique(code, return_inverse=True)
    names = (STANDARD, HIGH, BULK, HIGH_BULK) if len(seen) > 1 else (ALL,)
    return Channels(
        tuple(names[each] for each in seen.tolist()),
        of_line.astype(np.int64),
        least,
        float(spread.sum() / n),
        float(left.sum() / n),
    )


def _price_lists(outlet: Codes, item: Codes, log_price: Numbers, day: Codes) -> Codes:
    """Return 1 for lines of outlets that charge from the higher of two lists, else 0; all 0 where there is one
    list.
    """
    ratio = log_price - medians(item, log_price)[item]
    numbered = np.unique(outlet, return_inverse=True)[1]
    level = medians(numbered, ratio)
    weight = np.bincount(numbered).astype(np.float64)
    order = np.argsort(level, kind="stable")
    ranked, mass = level[order], weight[order]
    below, sums = np.cumsum(mass)[:-1], np.cumsum(mass * ranked)[:-1]
    above, total = mass.sum() - below, float((mass * ranked).sum())
    none = np.zeros(len(log_price), np.int64)
    if not len(below):
        return none
    low, high = sums / below, (total - sums) / above
    between = below * above * (high - low) ** 2
    between[np.diff(ranked) <= 0] = -1.0
    at = int(np.argmax(between))
    if between[at] <= 0 or high[at] - low[at] < LEAST_STEP:
        return none
    found = (level[numbered] > ranked[at]).astype(np.int64)
    before, after = _spread(day, log_price).sum(), _spread(day * 2 + found, log_price).sum()
    is_kept = LEAST_SHARE <= found.mean() <= 1 - LEAST_SHARE and before - after >= LEAST_EXPLAINED * before
    return found if is_kept else none


def _quantity_breaks(item: Codes, n_items: int, day: Codes, log_price: Numbers, quantity: Numbers) -> Numbers:
    """Return, per item, the quantity from which on it is cheaper within a day; 0 where none explains the day's
    prices.
    """
    differs = np.bincount(day, _spread_of_lines(day, log_price)) > 1e-9
    part = differs[day]
    who, what, units = item[part], log_price[part], quantity[part]
    found = np.zeros(n_items)
    if not len(who):
        return found
    place = np.unique(day[part], return_inverse=True)[1]
    before = np.bincount(who, _spread_of_lines(place, what), n_items)
    best = np.full(n_items, np.inf)
    for least in BREAKS:
        is_above = units >= least
        finer = place * 2 + is_above
        after = np.bincount(who, _spread_of_lines(finer, what), n_items)
        n_above = np.bincount(who, is_above, n_items)
        n_below = np.bincount(who, minlength=n_items) - n_above
        # Within days, how far the price above the break lies below the other, on average.
        apart = what - (np.bincount(place, what) / np.bincount(place))[place]
        with np.errstate(invalid="ignore", divide="ignore"):
            step = (
                np.bincount(who, apart * is_above, n_items) / n_above
                - np.bincount(who, apart * ~is_above, n_items) / n_below
            )
        is_better = (
            (after < best - 1e-12)
            & (before - after >= LEAST_EXPLAINED * before)
            & (np.minimum(n_above, n_below) >= LEAST_LINES)
            & (step <= -LEAST_DISCOUNT)
        )
        best[is_better], found[is_better] = after[is_better], least
    return found


def totals(keys: Codes, values: Numbers, n: int = 0) -> Numbers:
    """Return the sum of the values of each key 0 … max, or up to ``n`` - 1."""
    return np.asarray(np.bincount(keys, values, n), np.float64)


def medians(keys: Codes, values: Numbers) -> Numbers:
    """Return the median of the values of each key 0 … max; NaN for a key without values."""
    order = np.lexsort((values, keys))
    ranked = keys[order]
    starts = np.flatnonzero(np.diff(ranked, prepend=-1))
    sizes = np.diff(np.append(starts, len(ranked)))
    found = np.full(int(keys.max()) + 1 if len(keys) else 0, np.nan)
    found[ranked[starts]] = (values[order][starts + (sizes - 1) // 2] + values[order][starts + sizes // 2]) / 2
    return found


def _spread(keys: Codes, values: Numbers) -> Numbers:
    """Return the sum of squares about the mean of each key."""
    return totals(keys, _spread_of_lines(keys, values))


def _spread_of_lines(keys: Codes, values: Numbers) -> Numbers:
    n = np.bincount(keys)
    mean = np.bincount(keys, values) / np.maximum(n, 1)
    squared: Numbers = (values - mean[keys]) ** 2
    return squared

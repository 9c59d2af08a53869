"""The panel that elasticities are read from: what each product sold, week by week and price by price, and what was
to be expected.

A *series* is a product in a channel and a currency. Its *spells* are the times between two changes of its posted
price, which is the price of most of a day's lines; between the last sale at one price and the first at the next, the
change is put half-way. A *row* is a series, a week and a spell within it. ``expected`` says how many lines such a
row would have if only season, opening days and stock mattered: the channel's lines of these days, times the season
of the product's group in that week, both of *other* products only, so that nothing that a product's own price did is
taken for season.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shopkeeper.models.empty_shelves import empty_shelves
from shopkeeper.models.price_channels import Channels, Codes, Numbers, SoldLines, totals

SAME_PRICE = 0.005
"""Prices that differ by less, as a share, are one price."""
POSTED = 0.98
"""Where fewer of a day's lines than this agree on the price, some customers have prices of their own."""
LEAST_DAYS, LEAST_LINES = 2, 4
"""Days and lines that a price must have sold on there to count as posted."""
LEAST_POSTED = 0.75
"""The share of a series' lines that must be charged the posted price, else it has none."""
PROMOTION_DAYS, PROMOTION_STEP = 28, 0.05
LEAST_KIND = 5
REACHES, USUAL_LINES = (0.0, 0.5, 0.75, 0.9), (2.0, 10.0, 50.0, 1e9)
"""How much of a week's weight the next one has, and how many lines at the usual share are added: what a season may
be made of.
"""
WEEK = 7
MONDAY = 3
"""Days from a Monday to 1 January 1970."""


@dataclass(frozen=True)
class Series:
    """One element for each series: its product, channel, currency and group as texts, ``item`` (where its product
    and currency stand in ``Channels.breaks``), first and last day, what it sold, and the
    share of its lines that were charged the posted price.
    """

    product_id: NDArray[Any]
    channel: NDArray[Any]
    currency: NDArray[Any]
    group: NDArray[Any]
    item: Codes
    first: Codes
    last: Codes
    n_lines: Numbers
    n_units: Numbers
    n_days: Codes
    posted: Numbers

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.product_id)


@dataclass(frozen=True)
class Spells:
    """One element for each spell, sorted by series and day: the posted price from ``first`` to ``last``, and what
    was sold.

    ``squares``: the sum of squared quantities of its lines, which says how chancy its units are.
    """

    series: Codes
    first: Codes
    last: Codes
    first_sale: Codes
    last_sale: Codes
    price: Numbers
    is_promotion: NDArray[np.bool_]
    n_lines: Numbers
    n_units: Numbers
    squares: Numbers


@dataclass(frozen=True)
class SoldDays:
    """Days on which a series sold: posted log price, lines, units, sums of log units and of squared units; sorted by
    both.
    """

    series: Codes
    day: Codes
    log_price: Numbers
    n_lines: Numbers
    n_units: Numbers
    log_units: Numbers
    squares: Numbers


@dataclass(frozen=True)
class Panel:
    """Series, the days they sold on, their spells, and the rows to learn from as a table (only of series whose price
    moved).

    ``agreement``: the share of lines that were charged the price of most lines of their day.
    """

    series: Series
    days: SoldDays
    spells: Spells
    rows: pa.Table
    agreement: float


def groups_of(product_ids: NDArray[Any], products: pa.Table) -> NDArray[Any]:
    """Return the group of each product: its category, else the last word of its description if five products share
    it.

    In product names the last word tells what the thing is: RED RETROSPOT LUNCH BAG is a BAG. Others are ``other``.
    """
    told = {
        row["product_id"]: (row["category"], row["description"])
        for row in products.select(["product_id", "category", "description"]).to_pylist()
    }
    found = []
    for name in product_ids.tolist():
        category, description = told.get(name, (None, None))
        words = [word for word in (description or "").upper().split() if len(word) > 2 and word.isalpha()]
        found.append(category or (words[-1] if words else "other"))
    texts = np.array(found, dtype=np.str_)
    kinds, place, counts = np.unique(texts, return_inverse=True, return_counts=True)
    named = {row[0] for row in told.values() if row[0]}
    is_kept = np.array([kind in named for kind in kinds.tolist()], bool) | (counts >= LEAST_KIND)
    kept: NDArray[Any] = np.where(is_kept, kinds, "other")[place] if len(kinds) else texts
    return kept


def panel(
    lines: SoldLines, channels: Channels, products: pa.Table, stock: pa.Table, *, last_day: int, minimum_weeks: int = 1
) -> Panel:
    """Return the panel of lines; ``last_day``: of the history (days since 1970), up to which no sale is a sale of
    none.

    Series that were sold over fewer weeks than ``minimum_weeks`` have no rows.
    """
    n_channels, n_currencies = len(channels.names), max(len(lines.currencies), 1)
    key = (lines.product * n_channels + channels.of_line) * n_currencies + lines.currency
    keys, series = np.unique(key, return_inverse=True)
    days, agreement, (of_day, paid, n_paid) = _sold_days(lines, series)
    days, starts = _with_spells(days, agreement)
    is_posted = np.abs(paid - days.log_price[of_day]) <= SAME_PRICE
    posted, whole = (np.bincount(days.series[of_day], n_paid * each, len(keys)) for each in (is_posted, 1.0))
    product, channel = keys // (n_channels * n_currencies), keys // n_currencies % n_channels
    found = _series(days, len(keys), int(lines.day.min()) if len(lines.day) else last_day, last_day)
    groups = groups_of(lines.product_ids, products)
    names = np.array(channels.names, dtype=np.str_)
    about = Series(
        lines.product_ids[product],
        names[channel],
        lines.currencies[keys % n_currencies],
        groups[product],
        product * n_currencies + keys % n_currencies,
        *found,
        posted / np.maximum(whole, 1),
    )
    spells = _spells(days, starts, about)
    calendar = _calendar(days, channel, len(channels.names), int(about.first.min(initial=last_day)), last_day)
    is_old = about.last - about.first + 1 >= minimum_weeks * WEEK
    moved = _moved(spells, len(about)) & (about.posted >= LEAST_POSTED) & is_old
    # A group's season is its own in each channel: guests' Christmas is another than the trade's.
    shelf = np.unique(np.char.add(np.char.add(about.channel, "\n"), about.group), return_inverse=True)[1]
    rows = _rows(
        days, about, spells, moved, calendar, channel, shelf, empty_shelves(stock, lines.product_ids, product, last_day)
    )
    return Panel(about, days, spells, rows, agreement)


def _sold_days(lines: SoldLines, series: Codes) -> tuple[SoldDays, float, tuple[Codes, Numbers, Codes]]:
    """Return the days on which series sold, with the price of most lines; the share of lines that were charged it;
    and all prices: day, log price and lines.
    """
    log_price = np.log(lines.price)
    order = np.lexsort((lines.quantity, lines.price, lines.day, series))
    who, day, price, units = series[order], lines.day[order], log_price[order], lines.quantity[order]
    is_day = np.append(True, (np.diff(who) != 0) | (np.diff(day) != 0)) if len(who) else np.zeros(0, bool)
    is_run = is_day | np.append(True, np.diff(price) != 0) if len(who) else is_day
    run_starts, of_day = np.flatnonzero(is_run), np.cumsum(is_day) - 1
    run_sizes = np.diff(np.append(run_starts, len(who)))
    run_day, run_price = of_day[run_starts], price[run_starts]
    # The most frequent price; of equals the lower one.
    best = np.lexsort((run_price, -run_sizes, run_day))
    first = best[np.flatnonzero(np.diff(run_day[best], prepend=-1))]
    n_lines = np.bincount(of_day).astype(np.float64)
    is_many = n_lines > 1
    agreement = float(run_sizes[first][is_many].sum() / n_lines[is_many].sum()) if is_many.any() else 1.0
    starts = np.flatnonzero(is_day)
    sums = [totals(of_day, values) for values in (units, np.log(units), units**2)]
    return (
        SoldDays(who[starts], day[starts], run_price[first], n_lines, *sums),
        agreement,
        (run_day, run_price, run_sizes),
    )


def _with_spells(days: SoldDays, agreement: float) -> tuple[SoldDays, NDArray[np.bool_]]:
    """Return the days and where a spell begins.

    In a shop whose prices are posted every change counts. Where lines of one day differ, some customers have prices
    of their own: a price on few lines or one day is then taken for one of those, and the posted price goes on.
    """
    starts = _changes(days.series, days.log_price)
    if agreement >= POSTED or not len(starts):
        return days, starts
    at = np.flatnonzero(starts)
    number = np.cumsum(starts) - 1
    is_kept = (np.bincount(number) >= LEAST_DAYS) & (np.bincount(number, days.n_lines) >= LEAST_LINES)
    who = days.series[at]
    place = np.arange(len(at))
    before = np.maximum.accumulate(np.where(is_kept, place, -1))
    after = len(at) - 1 - np.maximum.accumulate(np.where(is_kept[::-1], place, -1))[::-1]
    has_before = (before >= 0) & (who[np.maximum(before, 0)] == who)
    has_after = (after < len(at)) & (who[np.minimum(after, len(at) - 1)] == who)
    # Where no price was posted, the first one stands for all: such a series has not moved.
    first = np.searchsorted(who, who)
    source = np.where(has_before, before, np.where(has_after, after, first))
    days = replace(days, log_price=days.log_price[at][source][number])
    return days, _changes(days.series, days.log_price)


def _changes(series: Codes, log_price: Numbers) -> NDArray[np.bool_]:
    if not len(series):
        return np.zeros(0, bool)
    return np.append(True, (np.diff(series) != 0) | (np.abs(np.diff(log_price)) > SAME_PRICE))


def _series(
    days: SoldDays, n_series: int, first_day: int, last_day: int
) -> tuple[Codes, Codes, Numbers, Numbers, Codes]:
    """Return first and last day, lines, units and days with a sale of each series.

    A series lives from its first to its last sale, and one mean gap more at each end: it did not begin with a sale.
    """
    at = np.flatnonzero(np.diff(days.series, prepend=-1))
    last = np.append(at[1:], len(days.series))[: len(at)] - 1
    n_days = last - at + 1
    gap = np.ceil((days.day[last] - days.day[at]) / np.maximum(n_days - 1, 1)).astype(np.int64)
    gap = np.where(n_days > 1, gap, last_day - first_day)
    first, end = np.maximum(days.day[at] - gap, first_day), np.minimum(days.day[last] + gap, last_day)
    lines, units = (totals(days.series, column, n_series) for column in (days.n_lines, days.n_units))
    return first, end, lines, units, n_days


def _spells(days: SoldDays, starts: NDArray[np.bool_], series: Series) -> Spells:
    at = np.flatnonzero(starts)
    number = np.cumsum(starts) - 1
    who = days.series[at]
    is_first = np.diff(who, prepend=-1) != 0
    gap = days.day[at] - days.day[at - 1]
    first = np.where(is_first, series.first[who], days.day[at] - gap // 2)
    is_last = np.diff(who, append=-1) != 0
    last = np.where(is_last, series.last[who], np.roll(first, -1) - 1)
    n_lines, n_units, squares = (totals(number, each) for each in (days.n_lines, days.n_units, days.squares))
    weight = days.n_lines
    log_price = totals(number, days.log_price * weight) / np.maximum(n_lines, 1)
    before = np.where(is_first, np.inf, np.roll(log_price, 1))
    after = np.where(is_last, np.inf, np.roll(log_price, -1))
    is_low = (np.minimum(before, after) - log_price >= PROMOTION_STEP) & ~is_first
    is_promotion = is_low & (last - first + 1 <= PROMOTION_DAYS)
    sold_last = days.day[np.append(at[1:], len(days.day))[: len(at)] - 1]
    return Spells(
        who,
        first,
        last,
        days.day[at],
        sold_last,
        # Posted prices have so many decimals; the logarithm must not add any.
        np.asarray(np.round(np.exp(log_price), 4), np.float64),
        is_promotion,
        n_lines,
        n_units,
        squares,
    )


def _moved(spells: Spells, n_series: int) -> NDArray[np.bool_]:
    """Return which series had more than one price."""
    least, most = np.full(n_series, np.inf), np.zeros(n_series)
    np.minimum.at(least, spells.series, spells.price)
    np.maximum.at(most, spells.series, spells.price)
    return np.asarray(most > least * (1 + SAME_PRICE))


@dataclass(frozen=True)
class _Calendar:
    """How busy each channel was: ``upto[c, d]`` is what its days before day ``first + d`` weigh together."""

    first: int
    upto: Numbers
    floor: Numbers

    def between(self, channel: Codes, first: Codes, last: Codes) -> Numbers:
        """Return what the days from first to last, both included, weigh."""
        weight: Numbers = self.upto[channel, last + 1 - self.first] - self.upto[channel, first - self.first]
        return weight


def _calendar(days: SoldDays, channel: Codes, n_channels: int, first: int, last: int) -> _Calendar:
    """Return the busyness of days: lines, plus what shrinks a day to the mean as far as chance alone would scatter
    it.
    """
    span = last - first + 1
    place = channel[days.series] * span + days.day - first
    counts = totals(place, days.n_lines, n_channels * span).reshape(n_channels, span)
    mean = counts.mean(axis=1)
    floor = np.array([_floor(each, np.full(span, middle)) for each, middle in zip(counts, mean, strict=True)])
    upto = np.zeros((n_channels, span + 1))
    np.cumsum(counts + floor[:, None], axis=1, out=upto[:, 1:])
    return _Calendar(first, upto, floor)


def _floor(counts: Numbers, expected: Numbers) -> float:
    """Return the gamma prior's weight, in lines, for factors of counts over expected: large where they scatter by
    chance only.
    """
    excess = float(np.sum((counts - expected) ** 2 - counts) / max(float(np.sum(expected**2)), 1e-12))
    return float(np.clip(1 / max(excess, 1e-6), 0.1, 1e6))


def _rows(
    days: SoldDays,
    series: Series,
    spells: Spells,
    moved: NDArray[np.bool_],
    calendar: _Calendar,
    channel: Codes,
    shelf: Codes,
    empty: tuple[Codes, Codes, Numbers],
) -> pa.Table:
    """Return the rows of series whose price moved, sorted by product, channel, currency and time."""
    span = int(series.last.max(initial=0)) + 2
    alive = np.flatnonzero(series.n_days > 0)
    week_of = (series.first[alive] + MONDAY) // WEEK
    n_weeks = (series.last[alive] + MONDAY) // WEEK - week_of + 1
    who = np.repeat(alive, n_weeks)
    offset = np.arange(n_weeks.sum()) - np.repeat(np.cumsum(n_weeks) - n_weeks, n_weeks)
    week = np.repeat(week_of, n_weeks) + offset
    begins = np.maximum(week * WEEK - MONDAY, series.first[who])
    season = _seasons(days, series, who, week, begins, calendar, channel, shelf)
    is_ours = moved[who]
    ours = moved[spells.series]
    owner, is_last = spells.series[ours] * span, np.diff(spells.series[ours], append=-1) != 0
    # A row ends, too, where a gap begins: after a spell's last sale and before its first, its price is not seen.
    cuts = (who[is_ours] * span + begins[is_ours], owner + spells.first[ours], owner + spells.first_sale[ours])
    keys = np.unique(np.concatenate((*cuts, (owner + spells.last_sale[ours] + 1)[~is_last])))
    owner, first = keys // span, keys % span
    last = np.where(np.append(owner[1:] == owner[:-1], False), np.append(first[1:], 0) - 1, series.last[owner])
    spell = np.searchsorted(spells.series * span + spells.first, keys, side="right") - 1
    follows = np.append(np.diff(spells.series) == 0, False) if len(spells.series) else np.zeros(0, bool)
    is_before = follows[spell] & (first > spells.last_sale[spell])
    is_after = np.append(False, follows[:-1])[spell] & (first < spells.first_sale[spell])
    # Numbered by the spell that begins with it: positive on the side of the old price, negative on the new one's.
    gap = np.where(is_before, spell + 2, np.where(is_after, -spell - 1, 0))
    of_week = np.searchsorted(who * span + begins, keys, side="right") - 1
    sale = np.flatnonzero(moved[days.series])
    row = np.searchsorted(keys, days.series[sale] * span + days.day[sale], side="right") - 1
    n = len(keys)
    n_lines, n_units, log_units = (
        np.bincount(row, each[sale], n) for each in (days.n_lines, days.n_units, days.log_units)
    )
    weight = calendar.between(channel[owner], first, last)
    who_out, day_out, lost = empty
    if len(who_out):
        is_in = moved[who_out] & (day_out >= series.first[who_out]) & (day_out <= series.last[who_out])
        who_out, day_out, lost = who_out[is_in], day_out[is_in], lost[is_in]
        gone = calendar.between(channel[who_out], day_out, day_out) * lost
        at = np.searchsorted(keys, who_out * span + day_out, side="right") - 1
        weight = weight - np.bincount(at, gone, n)
    # A product's own lines are no measure of how busy the shop was without it.
    expected = np.maximum(weight - n_lines, 0.02 * weight) * season[of_week]
    return pa.table(
        {
            "product_id": series.product_id[owner],
            "channel": series.channel[owner],
            "currency": series.currency[owner],
            "group": series.group[owner],
            "week": pa.array((week[of_week] * WEEK - MONDAY).astype(np.int32), pa.int32()).cast(pa.date32()),
            "spell": pa.array(spell),
            "gap": pa.array(gap),
            "log_price": np.log(spells.price[spell]),
            "is_promotion": spells.is_promotion[spell].astype(np.int64),
            "expected": expected,
            "n_lines": n_lines,
            "n_units": n_units,
            "log_units": log_units,
        }
    )


def _seasons(
    days: SoldDays,
    series: Series,
    who: Codes,
    week: Codes,
    begins: Codes,
    calendar: _Calendar,
    channel: Codes,
    shelf: Codes,
) -> Numbers:
    """Return, per series and week, how the rest of its group sold beside the whole channel, against its own usual
    share.

    Neighbouring weeks count for less and less (an exponential kernel), and some lines at the usual share are added.
    How far and how many is what foretells best what each series itself sold, which is never among what it is
    foretold from.
    """
    if not len(who):
        return np.zeros(0)
    ends = np.minimum(week * WEEK - MONDAY + WEEK - 1, series.last[who])
    weight = calendar.between(channel[who], begins, ends)
    rate = series.n_lines / np.maximum(np.bincount(who, weight, len(series)), 1e-12)
    start = int(week.min())
    n_weeks, n_groups = int(week.max()) - start + 1, int(shelf.max()) + 1
    usual, sold = np.zeros((len(series), n_weeks)), np.zeros((len(series), n_weeks))
    usual[who, week - start] = rate[who] * weight
    np.add.at(sold, (days.series, (days.day + MONDAY) // WEEK - start), days.n_lines)
    both = []
    for each in (sold, usual):
        of_group = np.zeros((n_groups, n_weeks))
        np.add.at(of_group, shelf, each)
        both.append(of_group)
    apart = np.abs(np.subtract.outer(np.arange(n_weeks), np.arange(n_weeks)))
    best, found = -np.inf, np.ones_like(sold)
    for reach in REACHES:
        kernel = reach**apart if reach else np.eye(n_weeks)
        others = [
            np.maximum((whole @ kernel)[shelf] - own @ kernel, 0)
            for whole, own in zip(both, (sold, usual), strict=True)
        ]
        for lines in USUAL_LINES:
            factor = (others[0] + lines) / (others[1] + lines)
            fit = float(np.sum(sold * np.log(factor)) - np.sum(usual * factor))
            if fit > best + 1e-9:
                best, found = fit, factor
    factors: Numbers = found[who, week - start]
    return factors

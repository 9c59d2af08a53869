"""Bundles: which products to sell together, at what price, and what that would have earned in later weeks.

A bundle is an itemset all of whose rules to one of its items are significant and not redundant: each item has to do with
the others, given the rest (the productive itemsets of Webb 2010); or one that most baskets with any part of it hold.
What a bundle *causes* is in no record of baskets: how many buyers of a part would have taken the whole is an assumption
that is handed in, and the share at which the bundle breaks even is told beside it.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shopkeeper.models.association_rules import Flags, Floats, Rules
from shopkeeper.models.basket_log import numbered
from shopkeeper.models.itemsets import Baskets, Itemsets, Whole, counts_in
from shopkeeper.vocabulary import PRODUCT_ID

MOST_BUNDLES = 100
MOST_PER_PRODUCT = 3
LONGEST = 4
PRICE_DAYS = 90
Z = 1.959963984540054


@dataclass(frozen=True)
class Prices:
    """Usual price and unit cost of each product, in the order of the products asked for; NaN where none is known."""

    currency: str
    usual: Floats
    cost: Floats


@dataclass(frozen=True)
class Offer:
    """A bundle in later weeks, per bundle: money at the usual prices, one piece of each product.

    ``whole``: baskets that held all of it, ``part``: all but one product; ``given_away``: the discount on those that bought
    all of it anyway; ``earned``: at the uptake assumed, less what was given away, and its 95 % interval from how many baskets
    there were; ``profit``: the same less the cost of what was added; ``break_even``: the uptake at which nothing is
    earned, NaN where even everybody would not do; ``least_price``: the bundle price at which nothing is earned at that uptake.
    """

    usual_price: Floats
    bundle_price: Floats
    cost: Floats
    whole: Whole
    part: Whole
    given_away: Floats
    earned: Floats
    earned_low: Floats
    earned_high: Floats
    profit: Floats
    break_even: Floats
    least_price: Floats


def bundles_of(itemsets: Itemsets, rules: Rules, is_found: Flags) -> list[Whole]:
    """Return the bundles, each an ascending row of items, the ones with most baskets beyond chance first.

    ``is_found``: which rules count. Beyond chance: the least leverage over the bundle's rules. A bundle most of whose baskets
    hold a larger one is left out for that one; so is one within or around another that comes earlier, and one with a
    product that stands in three already.
    """
    found = _wholes(itemsets, rules, is_found)
    chosen: list[Whole] = []
    taken: list[set[int]] = []
    uses: dict[int, int] = {}
    for _, items in sorted((first, items) for items, (first, _) in found.items()):
        mine = set(items)
        if any(uses.get(item, 0) >= MOST_PER_PRODUCT for item in items) or any(
            mine <= other or other <= mine for other in taken
        ):
            continue
        chosen.append(np.array(items, np.int64))
        taken.append(mine)
        for item in items:
            uses[item] = uses.get(item, 0) + 1
        if len(chosen) == MOST_BUNDLES:
            break
    return chosen


def _wholes(itemsets: Itemsets, rules: Rules, is_found: Flags) -> dict[tuple[int, ...], tuple[float, int]]:
    """Return the itemsets that are bundles by themselves: items → what they are sorted by, and their baskets."""
    found: dict[tuple[int, ...], tuple[float, int]] = {}
    for length in range(2, min(len(itemsets.sets), LONGEST) + 1):
        rows = np.flatnonzero(is_found & (rules.n_items == length - 1))
        whole = np.sort(np.concatenate([rules.antecedent[rows, : length - 1], rules.consequent[rows]], axis=1), axis=1)
        sets, counts = itemsets.sets[length - 1], itemsets.counts[length - 1]
        is_productive = np.bincount(itemsets.places(whole), minlength=len(sets)) == length
        beyond = _beyond_chance(itemsets, length)
        likely = is_productive if length == 2 else np.ones(len(sets), bool)
        for at in np.flatnonzero(likely).tolist():
            items = tuple(sets[at].tolist())
            parts = list(combinations(items, length - 1))
            # Of products that are never bought apart none adds to the others: they are one bundle all the same.
            is_whole = length > 2 and all(part in found and 2 * counts[at] > found[part][1] for part in parts)
            if is_productive[at] or is_whole:
                found[items] = -round(float(beyond[at]), 12), int(counts[at])
    for items, (_, count) in list(found.items()):
        for part in combinations(items, len(items) - 1):
            if part in found and 2 * count > found[part][1]:
                del found[part]
    return found


def _beyond_chance(itemsets: Itemsets, length: int) -> Floats:
    """Return, for each set of a length, the least leverage of its rules to one item."""
    n = max(itemsets.n_baskets, 1)
    sets, counts = itemsets.sets[length - 1], itemsets.counts[length - 1]
    by_chance = np.zeros(len(sets))
    for place in range(length):
        rest = itemsets.counts_of(np.delete(sets, place, axis=1))
        by_chance = np.maximum(by_chance, (rest / n) * (itemsets.counts_of(sets[:, [place]]) / n))
    return counts / n - by_chance


def prices_of(lines: pa.Table, catalogue: pa.Table, products: pa.Array) -> Prices:
    """Return the usual price of each product, and its cost where the catalogue knows one.

    ``lines``: sold lines, ``product_id, ordered_on, currency, unit_price``. Usual is the median price above 0 over the last
    90 days of the lines, else over all; in the currency of most lines, for prices in two do not add up.
    """
    lines = lines.filter(pc.and_(pc.greater(lines["unit_price"], 0), pc.is_finite(lines["unit_price"])))
    code, names = numbered(lines["currency"])
    sizes = np.bincount(code[code >= 0], minlength=len(names))
    currency = str(names[int(sizes.argmax())]) if len(names) else ""
    if currency:
        lines = lines.filter(pc.equal(lines["currency"], currency))
    day = lines["ordered_on"].cast(pa.date32()).cast(pa.int32()).to_numpy()
    sold, known = numbered(lines[PRODUCT_ID])
    item = np.append(pc.fill_null(pc.index_in(known, products), -1).to_numpy().astype(np.int64), -1)[sold]
    price = lines["unit_price"].to_numpy()
    is_late = day > day.max(initial=0) - PRICE_DAYS
    usual = _medians(item, price, len(products))
    lately = _medians(item[is_late], price[is_late], len(products))
    place = pc.fill_null(pc.index_in(catalogue[PRODUCT_ID].cast(pa.string()), products), -1).to_numpy()
    cost = np.full(len(products), np.nan)
    told = catalogue["unit_cost"].cast(pa.float64()).to_numpy()
    cost[place[place >= 0]] = told[place >= 0]
    return Prices(currency, np.where(np.isnan(lately), usual, lately), cost)


def offers(bundles: list[Whole], later: Baskets, prices: Prices, *, discount: float, uptake: float) -> Offer:
    """Return what each bundle would have earned in later baskets if ``uptake`` of those that held all but one product had
    taken the whole at ``discount`` off.
    """
    n = len(bundles)
    usual = np.array([prices.usual[items].sum() for items in bundles])
    cost = np.array([prices.cost[items].sum() for items in bundles])
    price = usual * (1 - discount)
    whole = _holding(later, bundles)
    part, paid, extra, squares, added_cost = (np.zeros(n) for _ in range(5))
    for missing in range(LONGEST):
        rows = [row for row in range(n) if len(bundles[row]) > missing]
        rest = [np.delete(bundles[row], missing) for row in rows]
        buyers = _holding(later, rest) - whole[rows]
        held = np.array([prices.usual[items].sum() for items in rest])
        lacking = np.array([prices.cost[bundles[row][missing]] for row in rows])
        gain = price[rows] - held
        part[rows] += buyers
        paid[rows] += buyers * held
        extra[rows] += buyers * gain
        squares[rows] += buyers * gain**2
        added_cost[rows] += buyers * lacking
    given = whole * (usual - price)
    earned = uptake * extra - given
    # Each basket is there or not: the counts are taken as Poisson.
    spread = Z * np.sqrt(whole * (usual - price) ** 2 + uptake**2 * squares)
    # What the bundle takes in at a price, from both kinds of buyers, is what they would have paid without it.
    takers = uptake * part + whole
    least_price = np.divide(uptake * paid + whole * usual, takers, out=np.full(n, np.nan), where=takers > 0)
    break_even = np.divide(given, extra, out=np.full(n, np.nan), where=extra > 0)
    return Offer(
        usual,
        price,
        cost,
        whole,
        part.astype(np.int64),
        given,
        earned,
        earned - spread,
        earned + spread,
        uptake * (extra - added_cost) - given,
        np.where(break_even <= 1, break_even, np.nan),
        least_price,
    )


def _holding(baskets: Baskets, sets: list[Whole]) -> Whole:
    """Return how many baskets hold each set, of sets of different lengths."""
    found = np.zeros(len(sets), np.int64)
    lengths = np.array([len(each) for each in sets], np.int64)
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        (found[rows],) = counts_in(baskets, [np.stack([sets[row] for row in rows])])
    return found


def _medians(item: Whole, price: Floats, n_items: int) -> Floats:
    """Return the median price of each item; NaN without one."""
    item, price = item[item >= 0], price[item >= 0]
    order = np.lexsort((price, item))
    item, price = item[order], price[order]
    starts = np.searchsorted(item, np.arange(n_items + 1))
    found = np.full(n_items, np.nan)
    sold = np.flatnonzero(np.diff(starts))
    low = starts[sold] + (np.diff(starts)[sold] - 1) // 2
    high = starts[sold] + np.diff(starts)[sold] // 2
    found[sold] = (price[low] + price[high]) / 2
    return found

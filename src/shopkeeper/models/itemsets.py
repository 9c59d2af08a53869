"""Frequent itemsets: which products stand together in how many baskets, exact and of any length. Pure arrays.

Eclat (Zaki 2000) from the rarest item up. The baskets of an item are projected on its more frequent companions by one
count; what is frequent there becomes rows of bits, one bit per basket of the projection, and all joins of all classes of
a level are one ``and`` and one population count.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError

Whole = NDArray[np.int64]
Bits = NDArray[np.uint64]

WORD = 64
BLOCK_WORDS = 2**21
"""How many words of bits one step of joins may hold: 16 MB."""
MOST_ITEMSETS = 2_000_000
MOST_COUNTED = 10


@dataclass(frozen=True)
class Baskets:
    """Who stands with whom: one line per basket and item, each pair once, sorted by basket and item.

    ``basket``: 0 to ``n_baskets`` - 1, ``item``: 0 to ``n_items`` - 1. A basket without a line counts as a basket.
    """

    basket: Whole
    item: Whole
    n_baskets: int
    n_items: int

    @classmethod
    def of(cls, basket: Whole, item: Whole, *, n_baskets: int | None = None, n_items: int | None = None) -> "Baskets":
        """Make them from lines in any order, repeated ones among them. Raises ModelError if a number is out of range."""
        basket, item = np.asarray(basket, np.int64), np.asarray(item, np.int64)
        n_baskets = int(basket.max(initial=-1)) + 1 if n_baskets is None else n_baskets
        n_items = int(item.max(initial=-1)) + 1 if n_items is None else n_items
        for name, numbers, most in (("basket", basket, n_baskets), ("item", item, n_items)):
            if len(numbers) and not 0 <= numbers.min() <= numbers.max() < most:
                raise ModelError(
                    f"each {name} must be numbered from 0 to {most - 1}; got {numbers.min()} to {numbers.max()}."
                )
        lines = np.sort(basket * n_items + item)
        lines = lines[np.diff(lines, prepend=-1) > 0]
        return cls(lines // max(n_items, 1), lines % max(n_items, 1), n_baskets, n_items)

    @cached_property
    def sizes(self) -> Whole:
        """How many items each basket holds."""
        return np.bincount(self.basket, minlength=self.n_baskets)

    @cached_property
    def counts(self) -> Whole:
        """How many baskets hold each item."""
        return np.bincount(self.item, minlength=self.n_items)

    def only(self, is_kept: NDArray[np.bool_]) -> "Baskets":
        """Return the baskets for which ``is_kept`` (one truth value per basket) holds, numbered anew in the same order."""
        lines = is_kept[self.basket]
        number = np.cumsum(is_kept) - 1
        return Baskets(number[self.basket[lines]], self.item[lines], int(is_kept.sum()), self.n_items)


@dataclass(frozen=True)
class Itemsets:
    """Sets of items that ``least`` baskets or more hold together.

    ``sets``: for each length from 1 on, a matrix of item numbers, ascending within a row and from row to row;
    ``counts``: the baskets that hold each row's items, of ``n_baskets``. Every part of a set that is here is here, too.
    """

    n_baskets: int
    least: int
    sets: tuple[Whole, ...]
    counts: tuple[Whole, ...]

    def __len__(self) -> int:
        return sum(map(len, self.counts))

    @cached_property
    def _keys(self) -> tuple[Whole, ...]:
        """For each length the place of the row without its last item, and that item, as one ascending number."""
        base = int(self.sets[0].max(initial=0)) + 1
        keys: list[Whole] = []
        for rows in self.sets:
            place = np.zeros(len(rows), np.int64)
            for column, known in enumerate(keys):
                place = np.searchsorted(known, place * base + rows[:, column])
            keys.append(place * base + rows[:, -1])
        return tuple(keys)

    def places(self, rows: Whole) -> Whole:
        """Return the place of each row (items ascending) among the sets of its length; -1 where it is not frequent."""
        base = int(self.sets[0].max(initial=0)) + 1
        if rows.shape[1] > len(self.sets):
            return np.full(len(rows), -1)
        place, is_here = np.zeros(len(rows), np.int64), np.ones(len(rows), bool)
        for column in range(rows.shape[1]):
            keys = self._keys[column]
            if not len(keys):
                return np.full(len(rows), -1)
            wanted = place * base + rows[:, column]
            place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            is_here &= (keys[place] == wanted) & (rows[:, column] < base)
        return np.where(is_here, place, -1)

    def counts_of(self, rows: Whole) -> Whole:
        """Return the baskets that hold each row (items ascending); 0 where it is not frequent."""
        if not rows.shape[1]:
            return np.full(len(rows), self.n_baskets)
        place = self.places(rows)
        found = self.counts[rows.shape[1] - 1] if rows.shape[1] <= len(self.counts) else np.zeros(0, np.int64)
        return np.where(place >= 0, found[place], 0) if len(found) else np.zeros(len(rows), np.int64)


def frequent_itemsets(baskets: Baskets, least: int, *, longest: int = 0, most: int = MOST_ITEMSETS) -> Itemsets:
    """Return every set of items that ``least`` baskets or more hold together, up to ``longest`` items (0: of any length).

    Raises ModelError if ``least`` is below 1, or if there are more than ``most`` sets.
    """
    if least < 1 or longest < 0:
        raise ModelError(
            f"a frequent set must be in 1 basket or more and its length 0 or more; got {least} and {longest}."
        )
    try:
        return _mined(baskets, least, longest, most)
    except _TooManyError:
        raise ModelError(
            f"the itemsets must be {most:,} at most; in {least:,} baskets or more there are more. Raise the support."
        ) from None


def _raised(itemsets: Itemsets, most: int) -> Itemsets:
    """Return the itemsets at the smallest support at which they are ``most``."""
    if len(itemsets) <= most:
        return itemsets
    least = int(np.sort(np.concatenate(itemsets.counts))[-most - 1]) + 1
    kept = [counts >= least for counts in itemsets.counts]
    sets = [rows[is_kept] for rows, is_kept in zip(itemsets.sets, kept, strict=True)]
    counts = [told[is_kept] for told, is_kept in zip(itemsets.counts, kept, strict=True)]
    last = max((place for place, told in enumerate(counts) if len(told)), default=0) + 1
    return Itemsets(itemsets.n_baskets, least, tuple(sets[:last]), tuple(counts[:last]))


class _TooManyError(Exception):
    """More sets than may be."""


def _mined(baskets: Baskets, least: int, longest: int, most: int) -> Itemsets:
    found = _Found(baskets.counts, least, most)
    if longest != 1:
        for projection in _projections(baskets, found, needs_bits=longest != 2):
            found.grow(projection, longest)
    return Itemsets(baskets.n_baskets, least, *found.sorted())


def largest_itemsets(baskets: Baskets, least: int, *, longest: int = 0, most: int = MOST_ITEMSETS) -> Itemsets:
    """Return the frequent itemsets in ``least`` baskets or more, or in more where there are more than ``most``.

    As ``frequent_itemsets``, but what would be too many is not an error: the support rises to the smallest at which items and
    pairs are few enough, and on in steps of a half until all sets are.
    """
    pairs = None
    while True:
        try:
            if pairs is None and longest != 1:
                # Pairs that are too many to keep are soon counted, and tell at which support they are not.
                pairs = _raised(_mined(baskets, least, 2, MOST_COUNTED * most), most)
                least = pairs.least
            return pairs if pairs is not None and longest == 2 else _mined(baskets, least, longest, most)
        except _TooManyError:
            # Ten times too many at a support are still too many at twice that.
            least = 2 * least if pairs is None and longest != 1 else least + max(least // 2, 1)


def counts_in(baskets: Baskets, sets: Sequence[Whole]) -> tuple[Whole, ...]:
    """Return, for each matrix of item numbers, in how many baskets all items of a row stand."""
    known = np.unique(np.concatenate([rows.ravel() for rows in sets])) if sets else np.zeros(0, np.int64)
    place = np.minimum(np.searchsorted(known, baskets.item), max(len(known) - 1, 0))
    is_known = known[place] == baskets.item if len(known) else np.zeros(len(place), bool)
    bits = _bits(place[is_known], baskets.basket[is_known], len(known), baskets.n_baskets)
    told = []
    for rows in sets:
        counts = np.empty(len(rows), np.int64)
        step = max(BLOCK_WORDS // max(len(bits), 1), 1)
        at = np.searchsorted(known, rows)
        for start in range(0, len(rows), step):
            part = at[start : start + step]
            together = bits[:, part[:, 0]]
            for column in range(1, rows.shape[1]):
                together &= bits[:, part[:, column]]
            counts[start : start + step] = np.bitwise_count(together).sum(axis=0, dtype=np.int64)
        told.append(counts)
    return tuple(told)


def ascending(rows: Whole) -> Whole:
    """Return each row's items in ascending order; short rows without NumPy's cost of a sort for each."""
    if rows.shape[1] < 2:
        return rows
    if rows.shape[1] == 2:
        return np.column_stack([rows.min(axis=1), rows.max(axis=1)])
    return np.sort(rows, axis=1)


@dataclass(frozen=True)
class _Projection:
    """The baskets of one item: its frequent companions ``items`` with their ``counts``, and bits, a column per companion."""

    first: int
    items: Whole
    counts: Whole
    bits: Bits


class _Found:
    """What is frequent so far, in ranks: 0 for the rarest frequent item."""

    def __init__(self, counts: Whole, least: int, most: int) -> None:
        frequent = np.flatnonzero(counts >= least)
        self.ids = frequent[np.lexsort((frequent, counts[frequent]))]
        self.least, self.most = least, most
        self.n = len(self.ids)
        self.parts: dict[int, list[tuple[Whole, Whole]]] = {1: [(np.arange(self.n)[:, None], counts[self.ids])]}

    def add(self, rows: Whole, counts: Whole) -> None:
        self.n += len(rows)
        if self.n > self.most:
            raise _TooManyError
        self.parts.setdefault(rows.shape[1], []).append((rows, counts))

    def grow(self, projection: _Projection, longest: int) -> None:
        """Add all frequent sets that begin with the projection's item."""
        width = len(projection.items)
        first = np.full((width, 1), projection.first)
        rows = np.concatenate([first, projection.items[:, None]], axis=1)
        self.add(rows, projection.counts)
        if longest != 2 and projection.bits.shape[1] > 1:
            self._join(rows, projection.bits, np.full(width, width), longest)

    def _join(self, rows: Whole, bits: Bits, ends: Whole, longest: int) -> None:
        """Join each row with those after it in its class, which ends before row ``ends``; then what is frequent, in turn."""
        partners = ends - np.arange(len(rows)) - 1
        for start, stop in _blocks(partners, max(BLOCK_WORDS // max(len(bits), 1), 1)):
            n = partners[start:stop]
            left = np.repeat(np.arange(start, stop), n)
            right = left + 1 + _counting(n)
            together = bits[:, left]
            together &= bits[:, right]
            counts = np.bitwise_count(together).sum(axis=0, dtype=np.int64)
            kept = np.flatnonzero(counts >= self.least)
            if not len(kept):
                continue
            left, right = left[kept], right[kept]
            longer = np.concatenate([rows[left], rows[right, -1:]], axis=1)
            self.add(longer, counts[kept])
            if longer.shape[1] != longest:
                self._join(longer, together[:, kept], np.searchsorted(left, left, side="right"), longest)

    def sorted(self) -> tuple[tuple[Whole, ...], tuple[Whole, ...]]:
        """Return the sets of each length with the items' own numbers, ascending, and their counts."""
        sets, counts = [], []
        for length in sorted(self.parts):
            rows = ascending(self.ids[np.concatenate([part for part, _ in self.parts[length]])])
            told = np.concatenate([count for _, count in self.parts[length]])
            order = np.lexsort(rows.T[::-1])
            if length == 1 or len(rows):
                sets.append(rows[order])
                counts.append(told[order])
        return tuple(sets), tuple(counts)


def _projections(baskets: Baskets, found: _Found, *, needs_bits: bool) -> Iterator[_Projection]:
    """Yield the projection of each frequent item that has a frequent companion, the rarest item first."""
    n, least = len(found.ids), found.least
    rank = np.full(baskets.n_items, -1)
    rank[found.ids] = np.arange(n)
    ranked = rank[baskets.item]
    basket, ranked = baskets.basket[ranked >= 0], ranked[ranked >= 0]
    by_rank = _order(ranked, n)
    order = by_rank[_order(basket[by_rank], baskets.n_baskets)]
    basket, ranked = basket[order], ranked[order]
    size = np.bincount(basket, minlength=baskets.n_baskets)
    after = np.cumsum(size)[basket] - np.arange(len(basket)) - 1
    by_item = _order(ranked, n)
    starts = np.append(0, np.cumsum(np.bincount(ranked, minlength=n)))
    for item in range(n):
        lines = by_item[starts[item] : starts[item + 1]]
        lines = lines[after[lines] > 0]
        if len(lines) < least:
            continue
        lengths = after[lines]
        cells = np.repeat(lines + 1, lengths) + _counting(lengths)
        companions = ranked[cells]
        counts = np.bincount(companions, minlength=n)
        items = np.flatnonzero(counts >= least)
        if not len(items):
            continue
        if len(items) == 1 or not needs_bits:
            yield _Projection(item, items, counts[items], np.zeros((0, len(items)), np.uint64))
            continue
        column = np.full(n, -1)
        column[items] = np.arange(len(items))
        place = column[companions]
        here = np.repeat(np.arange(len(lines)), lengths)[place >= 0]
        place = place[place >= 0]
        # A basket with one companion cannot hold two.
        together = np.bincount(here, minlength=len(lines)) > 1
        number = np.cumsum(together) - 1
        kept = together[here]
        bits = _bits(place[kept], number[here[kept]], len(items), int(together.sum()))
        yield _Projection(item, items, counts[items], bits)


def _bits(column: Whole, basket: Whole, n_columns: int, n_baskets: int) -> Bits:
    """Return bits, words x columns: whether a basket (a bit) holds the column's item. Cells come once each."""
    words = -(-n_baskets // WORD)
    flags = np.zeros((n_columns, words * WORD), np.uint8)
    flags[column, basket] = 1
    return np.ascontiguousarray(np.packbits(flags, axis=1).view(np.uint64).T)


def _order(numbers: Whole, n: int) -> Whole:
    """Return the stable order of numbers below ``n``; few enough, and NumPy sorts them by their digits."""
    return np.argsort(numbers.astype(np.uint16 if n <= 2**16 else np.int64), kind="stable")


def _counting(lengths: Whole) -> Whole:
    """Return 0, 1, … up to each length, one after the other."""
    ends = np.cumsum(lengths)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths, lengths)


def _blocks(sizes: Whole, most: int) -> Iterator[tuple[int, int]]:
    """Yield runs of rows whose sizes add up to ``most`` or little more."""
    ends = np.cumsum(sizes)
    start = 0
    while start < len(sizes) and ends[-1] > (ends[start - 1] if start else 0):
        before = int(ends[start - 1]) if start else 0
        stop = max(int(np.searchsorted(ends, before + most, side="right")), start + 1)
        yield start, stop
        start = stop

"""Association rules: who holds these products holds that one, too; how much more often than by chance, and how surely.

Measures as Agrawal and Srikant (1994) and Brin and others (1997) define them. A rule says nothing new where a part of its
antecedent says as much (Bayardo, Agrawal and Gunopulos 1999), and its test is Webb's (2007): Fisher's exact test of each
item of the antecedent among the baskets that hold the others, the worst of them. Many rules are tested at once, so the
share of false ones is held down by Benjamini and Hochberg (1995), over all rules that could have been found (Webb 2008).
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from shopkeeper.models.itemsets import Itemsets, Whole, ascending

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

NONE = -1
"""Fills up the row of a shorter side."""
SMALLEST_TERM = 1e-17


@dataclass(frozen=True)
class Rules:
    """Rules antecedent → consequent, one per row, the shorter antecedents first.

    ``antecedent``, ``consequent``: item numbers, ascending within a row, filled up with -1; ``n_both``, ``n_antecedent``,
    ``n_consequent``: the baskets that hold both sides, or one, of ``n_baskets``.
    """

    antecedent: Whole
    consequent: Whole
    n_both: Whole
    n_antecedent: Whole
    n_consequent: Whole
    n_baskets: int

    def __len__(self) -> int:
        return len(self.n_both)

    @cached_property
    def n_items(self) -> Whole:
        """How many items each antecedent has."""
        return np.asarray((self.antecedent != NONE).sum(axis=1))

    @property
    def support(self) -> Floats:
        """Share of baskets that hold both sides."""
        return self.n_both / max(self.n_baskets, 1)

    @property
    def confidence(self) -> Floats:
        """Share of the antecedent's baskets that hold the consequent."""
        return _over(self.n_both, self.n_antecedent)

    @property
    def lift(self) -> Floats:
        """Confidence over the consequent's share of all baskets; NaN where a side is in none."""
        return _over(self.confidence, self.n_consequent / max(self.n_baskets, 1))

    @property
    def leverage(self) -> Floats:
        """Support less what it would be if the sides had nothing to do with each other (Piatetsky-Shapiro 1991)."""
        n = max(self.n_baskets, 1)
        return self.support - (self.n_antecedent / n) * (self.n_consequent / n)

    @property
    def conviction(self) -> Floats:
        """How often the rule would fail by chance over how often it fails; infinite where it never fails."""
        fails = self.n_antecedent - self.n_both
        expected = self.n_antecedent * (1 - self.n_consequent / max(self.n_baskets, 1))
        return np.where(fails > 0, expected / np.maximum(fails, 1), np.where(self.n_antecedent > 0, np.inf, np.nan))

    def take(self, rows: NDArray[np.generic]) -> "Rules":
        """Return some of the rules, by place or by truth value."""
        return replace(self, **{one.name: getattr(self, one.name)[rows] for one in fields(self)[:-1]})


def rules_of(
    itemsets: Itemsets, *, least_confidence: float = 0.0, least_lift: float = 0.0, longest_consequent: int = 1
) -> Rules:
    """Return the rules that frequent itemsets allow, sorted by the antecedent's length, antecedent and consequent.

    ``longest_consequent``: of so many items at most, 0: of any number. A rule stays whose confidence and lift are at least
    those asked for.
    """
    width = max(len(itemsets.sets) - 1, 1)
    wide = min(longest_consequent or width, width)
    found = [_filled(side, counts, width, wide) for side, counts in _sides(itemsets, wide)]
    if not found:
        nothing = np.zeros(0, np.int64)
        sides = np.zeros((0, width), np.int64), np.zeros((0, wide), np.int64)
        return Rules(*sides, nothing, nothing, nothing, itemsets.n_baskets)
    left, right, both, one, other = (np.concatenate(each) for each in zip(*found, strict=True))
    rules = Rules(left, right, both, one, other, itemsets.n_baskets)
    rules = rules.take((rules.confidence >= least_confidence) & (rules.lift >= least_lift))
    keys = (*rules.consequent.T[::-1], *rules.antecedent.T[::-1], rules.n_items)
    return rules.take(np.lexsort(keys))


def is_redundant(itemsets: Itemsets, rules: Rules) -> Flags:
    """Return whether a more general rule to the same consequent, from a part of the antecedent or from nothing, has at least
    a rule's confidence: its improvement is not above 0 (Bayardo, Agrawal and Gunopulos 1999).
    """
    best = np.zeros(len(rules))
    for rows, part, whole in _parts(rules, every=True):
        n_part, n_whole = itemsets.counts_of(part), itemsets.counts_of(whole)
        best[rows] = np.maximum(best[rows], _over(n_whole, n_part))
    return best >= rules.confidence


def p_values(itemsets: Itemsets, rules: Rules) -> Floats:
    """Return the chance of counts like a rule's if one item of its antecedent had nothing to do with the consequent.

    For each item of the antecedent the upper tail of the hypergeometric distribution (Fisher's exact test, one-sided) among
    the baskets that hold the others; the largest of them (Webb 2007). With one item it is Fisher's test of the pair.
    """
    found = np.zeros(len(rules))
    for rows, part, whole in _parts(rules, every=False):
        told = upper_tail(
            rules.n_both[rows], rules.n_antecedent[rows], itemsets.counts_of(whole), itemsets.counts_of(part)
        )
        found[rows] = np.maximum(found[rows], told)
    return found


def q_values(itemsets: Itemsets, rules: Rules, p: Floats) -> Floats:
    """Return the false discovery rate at which each rule, with one item on the right, would still count as found.

    Benjamini and Hochberg (1995) within each length of antecedent, over all rules that could be: frequent antecedents of
    that length times the other frequent items. Rules that were too rare to be looked at count as tested; without them, what
    is rare by chance would pass. Each length has an equal part of the rate (Webb 2008), so that it holds for all together.
    """
    found = np.ones(len(rules))
    lengths = range(1, max(len(itemsets.sets), 2))
    frequent = len(itemsets.sets[0])
    for length in lengths:
        rows = np.flatnonzero(rules.n_items == length)
        tested = len(itemsets.sets[length - 1]) * max(frequent - length, 1) * len(lengths)
        found[rows] = step_up(p[rows], max(tested, len(rows)))
    return found


def step_up(p: Floats, n_tested: int) -> Floats:
    """Return q-values by Benjamini and Hochberg of the smallest p-values among ``n_tested``; the others are taken as 1.

    >>> step_up(np.array([0.01, 0.04, 0.03]), 4).round(4).tolist()
    [0.04, 0.0533, 0.0533]
    """
    order = np.argsort(p, kind="stable")
    rate = p[order] * n_tested / np.arange(1, len(p) + 1)
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(rate[::-1])[::-1], 1.0)
    return q


def upper_tail(n_both: Whole, n_one: Whole, n_other: Whole, n: Whole | int) -> Floats:
    """Return P(X >= ``n_both``), X the overlap of ``n_one`` and ``n_other`` of ``n`` if drawn by chance (hypergeometric).

    The first term by log-gamma, the others by the ratio of neighbours: from the end that falls, so that small tails keep
    their digits.
    """
    from scipy.special import gammaln

    both, one, other, whole = np.broadcast_arrays(
        *(np.asarray(each, np.float64) for each in (n_both, n_one, n_other, n))
    )
    least, most = np.maximum(0.0, one + other - whole), np.minimum(one, other)
    mean = one * other / np.maximum(whole, 1)
    is_upper = both > mean
    # Below the mean the lower tail falls: it is summed, and taken from 1.
    at = np.where(is_upper, both, both - 1)

    def log_choose(top: Floats, bottom: Floats) -> Floats:
        return np.asarray(gammaln(top + 1) - gammaln(bottom + 1) - gammaln(top - bottom + 1))

    inside = np.clip(at, least, most)
    log_term = log_choose(one, inside) + log_choose(whole - one, other - inside) - log_choose(whole, other)
    total, term, place = np.ones(len(inside)), np.ones(len(inside)), inside.copy()
    left = np.arange(len(inside))
    while len(left):
        x, a, b, n_left, up = place[left], one[left], other[left], whole[left], is_upper[left]
        rising = (a - x) * (b - x) / ((x + 1) * (n_left - a - b + x + 1))
        falling = x * (n_left - a - b + x) / ((a - x + 1) * (b - x + 1))
        term[left] *= np.where(up, rising, falling)
        total[left] += term[left]
        place[left] += np.where(up, 1, -1)
        left = left[term[left] > SMALLEST_TERM * total[left]]
    tail = np.minimum(np.exp(log_term) * total, 1.0)
    tail = np.where(is_upper, tail, 1 - tail)
    return np.where(both <= least, 1.0, np.where(both > most, 0.0, tail))


def _over(part: NDArray[np.generic], whole: NDArray[np.generic]) -> Floats:
    """Return a quotient; NaN where the divisor is 0."""
    found: Floats = np.divide(
        part, whole, out=np.full(len(part), np.nan), where=np.asarray(whole) > 0, casting="unsafe"
    )
    return found


def _sides(itemsets: Itemsets, wide: int) -> Iterator[tuple[tuple[Whole, Whole], tuple[Whole, Whole, Whole]]]:
    """Yield both sides, and the counts, of all rules that each length of set and choice of places for the consequent give."""
    for length, (rows, both) in enumerate(zip(itemsets.sets, itemsets.counts, strict=True), 1):
        for n_right in range(1, min(wide, length - 1) + 1):
            for right in combinations(range(length), n_right):
                left = [place for place in range(length) if place not in right]
                antecedent, consequent = rows[:, left], rows[:, list(right)]
                counts = both, itemsets.counts_of(antecedent), itemsets.counts_of(consequent)
                yield (antecedent, consequent), counts


def _filled(
    sides: tuple[Whole, Whole], counts: tuple[Whole, Whole, Whole], width: int, wide: int
) -> tuple[Whole, Whole, Whole, Whole, Whole]:
    left, right = (
        np.pad(side, ((0, 0), (0, size - side.shape[1])), constant_values=NONE)
        for side, size in zip(sides, (width, wide), strict=True)
    )
    return left, right, *counts


def _parts(rules: Rules, *, every: bool) -> Iterator[tuple[Whole, Whole, Whole]]:
    """Yield rows of rules, a part of their antecedents, and that part with the consequent: all but one item, or any part."""
    wide = (rules.consequent != NONE).sum(axis=1)
    for length, n_right in product(np.unique(rules.n_items).tolist(), np.unique(wide).tolist()):
        rows = np.flatnonzero((rules.n_items == length) & (wide == n_right))
        for size in range(0 if every else length - 1, length):
            for chosen in combinations(range(length), size):
                part = rules.antecedent[rows][:, list(chosen)]
                whole = ascending(np.concatenate([part, rules.consequent[rows, :n_right]], axis=1))
                yield rows, part, whole

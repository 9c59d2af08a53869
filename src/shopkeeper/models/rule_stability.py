"""Rules found in some baskets, and whether they hold in later weeks that had no say in finding them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.models.association_rules import (
    NONE,
    Flags,
    Floats,
    Rules,
    is_redundant,
    p_values,
    q_values,
    rules_of,
    upper_tail,
)
from shopkeeper.models.itemsets import Baskets, Itemsets, Whole, ascending, counts_in, largest_itemsets

LEVEL = 0.05
WEEK = 7


@dataclass(frozen=True)
class Findings:
    """The frequent itemsets of some baskets, their rules, and what the later weeks say of each; arrays go by rule.

    ``p_value``, ``q_value``, ``is_redundant``: of all baskets; ``was_found``: whether the weeks before the later ones alone
    would have found it, significant and not redundant; ``later``: the same rules in the later weeks;
    ``share_of_weeks``: of the later weeks with the antecedent in a basket, the share in which the consequent was more
    frequent in such baskets than in all; NaN without such a week.
    """

    itemsets: Itemsets
    earlier: Itemsets
    late: Itemsets
    rules: Rules
    earlier_rules: Rules
    p_value: Floats
    q_value: Floats
    is_redundant: Flags
    was_found: Flags
    later: "Hold"
    share_of_weeks: Floats

    @property
    def is_significant(self) -> Flags:
        """Whether the false discovery rate is at most 5 %."""
        return self.q_value <= LEVEL

    @property
    def order(self) -> NDArray[np.int64]:
        """The rules' places from the most useful down: significant and not redundant first, then by leverage, then by lift."""
        is_sound = self.is_significant & ~self.is_redundant
        rules = self.rules
        keys = (np.arange(len(rules)), -rules.lift.round(12), -rules.leverage.round(12), ~is_sound)
        return np.lexsort(keys)


@dataclass(frozen=True)
class Hold:
    """Rules counted in baskets that had no say in finding them, and whether they hold there."""

    rules: Rules
    p_value: Floats

    @property
    def is_held(self) -> Flags:
        """Whether the lift is above 1, by more than chance (5 %, one-sided)."""
        return (np.nan_to_num(self.rules.lift) > 1) & (self.p_value <= LEVEL)


def hold(itemsets: Itemsets, rules: Rules) -> Hold:
    """Return rules with their counts in other baskets, of which ``itemsets`` has those of all their parts."""
    told = recounted(itemsets, rules)
    return Hold(told, upper_tail(told.n_both, told.n_antecedent, told.n_consequent, told.n_baskets))


def find(
    baskets: Baskets, week: Whole, *, least: int, most: int, longest: int = 0, least_confidence: float = 0.0
) -> Findings:
    """Return what stands together in baskets, the smallest support from ``least`` baskets up at which it is ``most`` itemsets.

    ``week``: of each basket the later week it belongs to, from 0 on; -1: an earlier one.
    """
    itemsets = largest_itemsets(baskets, least, longest=longest, most=most)
    rules = rules_of(itemsets, least_confidence=least_confidence, least_lift=1.0)
    p = p_values(itemsets, rules)
    q = q_values(itemsets, rules, p)
    by_week = [counts_in(baskets.only(week == each), itemsets.sets) for each in range(int(week.max(initial=NONE)) + 1)]
    n_by_week = [int((week == each).sum()) for each in range(len(by_week))]
    late_counts = tuple(
        np.asarray(np.sum([told[place] for told in by_week], axis=0, dtype=np.int64))
        if by_week
        else np.zeros_like(counts)
        for place, counts in enumerate(itemsets.counts)
    )
    late = _counted(itemsets, late_counts, sum(n_by_week))
    early_counts = tuple(one - other for one, other in zip(itemsets.counts, late_counts, strict=True))
    earlier = _counted(itemsets, early_counts, itemsets.n_baskets - sum(n_by_week))
    before = recounted(earlier, rules)
    q_before = q_values(earlier, before, p_values(earlier, before)) if len(rules) else np.zeros(0)
    return Findings(
        itemsets,
        earlier,
        late,
        rules,
        before,
        p,
        q,
        is_redundant(itemsets, rules),
        (q_before <= LEVEL) & (before.n_both > 0) & ~is_redundant(earlier, before),
        hold(late, rules),
        _share_of_weeks(itemsets, rules, by_week, n_by_week),
    )


def counted_in(baskets: Baskets, itemsets: Itemsets) -> Itemsets:
    """Return the same sets with their counts in other baskets, whose items have the same numbers."""
    return _counted(itemsets, counts_in(baskets, itemsets.sets), baskets.n_baskets)


def recounted(itemsets: Itemsets, rules: Rules) -> Rules:
    """Return the same rules with the counts of other baskets, of which ``itemsets`` has them."""
    n_both, n_antecedent, n_consequent = (np.zeros(len(rules), np.int64) for _ in range(3))
    for length in np.unique(rules.n_items).tolist():
        rows = np.flatnonzero(rules.n_items == length)
        left, right = rules.antecedent[rows, :length], rules.consequent[rows]
        n_both[rows] = itemsets.counts_of(ascending(np.concatenate([left, right], axis=1)))
        n_antecedent[rows], n_consequent[rows] = itemsets.counts_of(left), itemsets.counts_of(right)
    return Rules(rules.antecedent, rules.consequent, n_both, n_antecedent, n_consequent, itemsets.n_baskets)


def _counted(itemsets: Itemsets, counts: tuple[Whole, ...], n_baskets: int) -> Itemsets:
    return Itemsets(n_baskets, 0, itemsets.sets, counts)


def _share_of_weeks(itemsets: Itemsets, rules: Rules, by_week: Any, n_by_week: list[int]) -> Floats:
    better, with_any = np.zeros(len(rules)), np.zeros(len(rules))
    for counts, n in zip(by_week, n_by_week, strict=True):
        told = recounted(_counted(itemsets, counts, n), rules)
        has_any = told.n_antecedent > 0
        with_any += has_any
        better += has_any & (told.n_both * max(n, 1) > told.n_antecedent * told.n_consequent)
    found: Floats = np.divide(better, with_any, out=np.full(len(rules), np.nan), where=with_any > 0)
    return found

"""Frequent itemsets and rules: exact against brute force, mlxtend and published counts; honest about chance."""

import csv
import importlib.util
import math
import time
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkeeper.errors import ModelError
from shopkeeper.models.association_rules import (
    NONE,
    is_redundant,
    p_values,
    q_values,
    rules_of,
    step_up,
    upper_tail,
)
from shopkeeper.models.itemsets import Baskets, counts_in, frequent_itemsets, largest_itemsets

SPEC = importlib.util.spec_from_file_location("baskets", Path(__file__).parents[2] / "benchmarks" / "baskets.py")
benchmark = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(benchmark)

TEN = ["abc", "ab", "ab", "ac", "bc", "abcd", "d", "a", "b", "ab"]
"""Ten baskets; each letter is an item."""


def baskets_of(texts) -> Baskets:
    """Baskets of letters: a is item 0."""
    lines = [(number, ord(item) - ord("a")) for number, text in enumerate(texts) for item in text]
    basket, item = zip(*lines, strict=True) if lines else ((), ())
    return Baskets.of(np.array(basket, np.int64), np.array(item, np.int64), n_baskets=len(texts))


def told(itemsets) -> dict[tuple[int, ...], int]:
    """Each set with its count."""
    return {
        tuple(row): count
        for rows, counts in zip(itemsets.sets, itemsets.counts, strict=True)
        for row, count in zip(rows.tolist(), counts.tolist(), strict=True)
    }


def by_hand(baskets, least, longest=99) -> dict[tuple[int, ...], int]:
    """Every set of every basket, counted one by one."""
    counts = Counter()
    for number in range(baskets.n_baskets):
        items = baskets.item[baskets.basket == number].tolist()
        for length in range(1, min(len(items), longest) + 1):
            counts.update(combinations(items, length))
    return {items: count for items, count in counts.items() if count >= least}


def random_baskets(n_baskets, n_items, mean, seed) -> Baskets:
    """Baskets of items drawn by popularity, independently."""
    rng = np.random.default_rng(seed)
    sizes = np.minimum(rng.poisson(mean, n_baskets), n_items)
    weight = 1 / np.arange(1, n_items + 1)
    item = rng.choice(n_items, sizes.sum(), p=weight / weight.sum())
    return Baskets.of(np.repeat(np.arange(n_baskets), sizes), item, n_baskets=n_baskets, n_items=n_items)


def test_ten_baskets_by_hand():
    """Counted on paper; order of lines and repeated lines change nothing."""
    baskets = baskets_of(TEN)
    found = told(frequent_itemsets(baskets, 2))
    assert found == {(0,): 7, (1,): 7, (2,): 4, (3,): 2, (0, 1): 5, (0, 2): 3, (1, 2): 3, (0, 1, 2): 2}
    lines = np.random.default_rng(0).permutation(np.tile(np.arange(len(baskets.basket)), 2))
    again = Baskets.of(baskets.basket[lines], baskets.item[lines], n_baskets=10)
    assert told(frequent_itemsets(again, 2)) == found


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 9), max_size=8), min_size=1, max_size=25),
    st.integers(1, 5),
    st.integers(0, 5),
)
def test_sets_are_those_of_brute_force(rows, least, longest):
    """Any baskets, any support, any length: the same sets with the same counts."""
    lines = [(number, item) for number, row in enumerate(rows) for item in row]
    basket, item = (np.array(each, np.int64) for each in (zip(*lines, strict=True) if lines else ((), ())))
    baskets = Baskets.of(basket, item, n_baskets=len(rows), n_items=10)
    found = frequent_itemsets(baskets, least, longest=longest)
    assert told(found) == by_hand(baskets, least, longest or 99)
    for rows_of_length, counts in zip(found.sets, found.counts, strict=True):
        assert found.counts_of(rows_of_length).tolist() == counts.tolist()
        assert sorted(rows_of_length.tolist()) == rows_of_length.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_sets_and_rules_are_those_of_mlxtend(seed):
    """Sets by fpgrowth; support, confidence, lift, leverage and conviction of rules with any number of items on the right."""
    import pandas as pd
    from mlxtend.frequent_patterns import association_rules, fpgrowth

    baskets = random_baskets(400, 20, 5, seed)
    frame = np.zeros((400, 20), bool)
    frame[baskets.basket, baskets.item] = True
    theirs = fpgrowth(pd.DataFrame(frame), min_support=8 / 400)
    found = frequent_itemsets(baskets, 8)
    assert told(found) == {
        tuple(sorted(items)): round(support * 400)
        for support, items in zip(theirs["support"], theirs["itemsets"], strict=True)
    }
    rules = rules_of(found, least_confidence=0.3, longest_consequent=0)
    wanted = association_rules(theirs, metric="confidence", min_threshold=0.3)
    columns = ("support", "confidence", "lift", "leverage", "conviction")
    table = {
        (tuple(sorted(row["antecedents"])), tuple(sorted(row["consequents"]))): [row[name] for name in columns]
        for row in wanted.to_dict("records")
    }
    ours = {
        tuple(tuple(item for item in side if item != NONE) for side in sides): figures
        for *sides, figures in zip(
            rules.antecedent.tolist(),
            rules.consequent.tolist(),
            np.column_stack([getattr(rules, name) for name in columns]).tolist(),
            strict=True,
        )
    }
    assert ours.keys() == table.keys()
    assert len(ours) > 50
    for key, figures in ours.items():
        assert figures == pytest.approx(table[key]), key


def test_counts_in_other_baskets():
    """The same sets, counted elsewhere; sets of items that nobody bought there are in none."""
    found = frequent_itemsets(random_baskets(300, 15, 4, 1), 5)
    other = random_baskets(200, 15, 3, 2).only(np.arange(200) < 150)
    every = by_hand(other, 1)
    for rows, counts in zip(found.sets, counts_in(other, found.sets), strict=True):
        assert counts.tolist() == [every.get(tuple(row), 0) for row in rows.tolist()]


def test_measures_by_hand():
    """In ten baskets a → b: 5 together, 7 and 7 alone; a rule that never fails has no conviction that ends."""
    itemsets = frequent_itemsets(baskets_of(TEN), 1)
    rules = rules_of(itemsets)
    sides = list(zip(rules.antecedent.tolist(), rules.consequent[:, 0].tolist(), strict=True))
    row = sides.index(([0, NONE, NONE], 1))
    assert rules.support[row] == 0.5
    assert rules.confidence[row] == pytest.approx(5 / 7)
    assert rules.lift[row] == pytest.approx((5 / 7) / 0.7)
    assert rules.leverage[row] == pytest.approx(0.5 - 0.49)
    assert rules.conviction[row] == pytest.approx(0.3 / (2 / 7))
    assert math.isinf(rules.conviction[sides.index(([0, 3, NONE], 1))])
    assert len(rules) == len(set(map(str, sides)))


def test_a_rule_with_a_part_that_says_as_much_is_redundant():
    """Whoever holds a holds c: that b stands there, too, adds nothing. What is bought by all follows from nothing."""
    itemsets = frequent_itemsets(baskets_of(["abc", "abc", "ac", "bd", "b", "d"]), 1)
    rules = rules_of(itemsets)
    found = {
        "".join(chr(97 + item) for item in row if item != NONE) + chr(97 + last): flag
        for row, last, flag in zip(
            rules.antecedent.tolist(), rules.consequent[:, 0].tolist(), is_redundant(itemsets, rules), strict=True
        )
    }
    assert found["abc"]
    assert not found["ac"]
    everybody = frequent_itemsets(baskets_of(["ab", "ab", "b"]), 1)
    assert is_redundant(everybody, rules_of(everybody)).tolist() == [True, True]


def test_tails_are_those_of_scipy():
    """Ten thousand tables: Fisher's one-sided test to eleven digits, small tails included."""
    from scipy.stats import fisher_exact, hypergeom

    rng = np.random.default_rng(3)
    n = rng.integers(1, 3000, 10_000)
    one, other = (rng.random(10_000) * (n + 1)).astype(int), (rng.random(10_000) * (n + 1)).astype(int)
    least, most = np.maximum(0, one + other - n), np.minimum(one, other)
    both = least + (rng.random(10_000) * (most - least + 1)).astype(int)
    ours = upper_tail(both, one, other, n)
    theirs = hypergeom.sf(both - 1, n, one, other)
    told_of = theirs > 1e-280
    np.testing.assert_allclose(ours[told_of], theirs[told_of], rtol=1e-9)
    assert upper_tail(np.array([3]), np.array([4]), np.array([5]), 20)[0] == pytest.approx(
        fisher_exact([[3, 1], [2, 14]], "greater").pvalue
    )
    edges = upper_tail(np.array([0, 0, 5]), np.array([0, 3, 4]), np.array([2, 0, 5]), np.array([10, 10, 10]))
    assert edges.tolist() == [1.0, 1.0, 0.0]


def test_false_discovery_is_that_of_scipy():
    """Where all that was tested is there, Benjamini and Hochberg as SciPy has it; what was tested beside counts, too."""
    from scipy.stats import false_discovery_control

    p = np.random.default_rng(0).random(200) ** 3
    np.testing.assert_allclose(step_up(p, 200), false_discovery_control(p))
    np.testing.assert_allclose(step_up(p, 500), false_discovery_control(np.append(p, np.ones(300)))[:200])


@pytest.mark.parametrize("seed", range(4))
def test_independent_products_give_no_rule(seed):
    """Among baskets drawn item by item nothing is significant, though many a rare pair has a lift above 2."""
    rng = np.random.default_rng(seed)
    weight = np.minimum(0.4, 3 / np.arange(1, 61))
    basket, item = np.nonzero(rng.random((2000, 60)) < weight)
    itemsets = frequent_itemsets(Baskets.of(basket, item, n_baskets=2000), 5)
    rules = rules_of(itemsets, least_lift=1)
    assert rules.lift.max() > 1.8
    assert len(rules) > 1000
    p = p_values(itemsets, rules)
    assert (p < 0.05).sum() > 20
    assert (q_values(itemsets, rules, p) <= 0.05).sum() <= 2


def test_a_third_product_must_add_something():
    """Where a and b stand together, and c goes with neither: no rule of three is significant, the pair is."""
    rng = np.random.default_rng(5)
    a, c = rng.random(4000) < 0.2, rng.random(4000) < 0.3
    b = np.where(a, rng.random(4000) < 0.6, rng.random(4000) < 0.1)
    basket, item = np.nonzero(np.column_stack([a, b, c]))
    itemsets = frequent_itemsets(Baskets.of(basket, item, n_baskets=4000), 20)
    rules = rules_of(itemsets)
    q = q_values(itemsets, rules, p_values(itemsets, rules))
    sound = {
        (tuple(row[row != NONE].tolist()), last)
        for row, last, each in zip(rules.antecedent, rules.consequent[:, 0].tolist(), q, strict=True)
        if each <= 0.05
    }
    assert sound == {((0,), 1), ((1,), 0)}


def test_a_basket_of_a_thousand_does_no_harm():
    """One huge basket among many: neither time nor result suffer; 200,000 products of which few sell, neither."""
    baskets = random_baskets(20_000, 1000, 8, 4)
    basket = np.concatenate([baskets.basket, np.full(1000, 20_000)])
    item = np.concatenate([baskets.item, np.arange(1000)])
    started = time.process_time()
    found = told(frequent_itemsets(Baskets.of(basket, item * 199, n_items=200_000), 60))
    assert time.process_time() - started < 5
    before = told(frequent_itemsets(baskets, 60))
    assert before == {tuple(each // 199 for each in items): count - 1 for items, count in found.items() if count > 60}


def test_too_many_sets_are_refused_or_the_support_rises():
    """Thirty baskets of the same twenty items have a million sets."""
    baskets = baskets_of(["abcdefghijklmnopqrst"] * 30)
    with pytest.raises(ModelError, match="1,000 at most; in 2 baskets or more there are more. Raise the support"):
        frequent_itemsets(baskets, 2, most=1000)
    assert len(frequent_itemsets(baskets, 30)) == 2**20 - 1
    some = random_baskets(500, 30, 5, 0)
    fewer = largest_itemsets(some, 2, longest=2, most=100)
    assert fewer.least > 2
    assert told(fewer) == by_hand(some, fewer.least, 2)
    assert len(by_hand(some, fewer.least - 1, 2)) > 100 >= len(fewer)
    assert (len(largest_itemsets(baskets, 2, most=1000)), largest_itemsets(baskets, 2, most=1000).least > 30) == (
        0,
        True,
    )


def test_odd_baskets():
    """No basket, empty ones, one item, one basket; numbers out of range are refused."""
    nothing = np.zeros(0, np.int64)
    for baskets in (Baskets.of(nothing, nothing), Baskets.of(nothing, nothing, n_baskets=5, n_items=3)):
        itemsets = frequent_itemsets(baskets, 1)
        assert (len(itemsets), len(rules_of(itemsets))) == (0, 0)
        assert q_values(itemsets, rules_of(itemsets), np.zeros(0)).tolist() == []
    assert told(frequent_itemsets(baskets_of(["a", "a", ""]), 1)) == {(0,): 2}
    assert told(frequent_itemsets(baskets_of(["abc"]), 1)) == by_hand(baskets_of(["abc"]), 1)
    with pytest.raises(ModelError, match="each item must be numbered from 0 to 1; got 0 to 2"):
        Baskets.of(np.zeros(3, np.int64), np.arange(3), n_items=2)
    with pytest.raises(ModelError, match="1 basket or more"):
        frequent_itemsets(baskets_of(["ab"]), 0)


@pytest.mark.real_data
def test_groceries(real_data):
    """The example of arules: 463 rules with one item on the right at support .006, confidence .25."""
    with real_data("groceries/groceries.csv").open(encoding="utf-8", newline="") as file:
        rows = [[item.strip() for item in row if item.strip()] for row in csv.reader(file)]
    names = sorted({item for row in rows for item in row})
    assert (len(rows), len(names)) == (9835, 169)
    number = {name: place for place, name in enumerate(names)}
    basket = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    baskets = Baskets.of(basket, np.array([number[item] for row in rows for item in row]))
    rules = rules_of(frequent_itemsets(baskets, math.ceil(0.006 * 9835)), least_confidence=0.25)
    assert len(rules) == 463


@pytest.mark.real_data
def test_online_retail_recipe(real_data):
    """The published recipe: 15,660 baskets, 104 sets, 8 rules, and the alarm clocks to the sixth digit."""
    baskets, names = benchmark.recipe_baskets(real_data("online_retail/kaggle_ecommerce_data.zip"))
    assert baskets.n_baskets == 15_660
    itemsets = frequent_itemsets(baskets, math.ceil(0.03 * 15_660))
    rules = rules_of(itemsets, least_lift=1)
    assert (len(itemsets), len(rules)) == (104, 8)
    text = [
        (names[row[0]], names[last])
        for row, last in zip(rules.antecedent.tolist(), rules.consequent[:, 0].tolist(), strict=True)
    ]
    green, red = "ALARM CLOCK BAKELIKE GREEN", "ALARM CLOCK BAKELIKE RED"
    row, back = text.index((green, red)), text.index((red, green))
    figures = (rules.support[row], rules.confidence[row], rules.confidence[back], rules.lift[row])
    assert [round(each, 6) for each in figures] == [0.032184, 0.669323, 0.601432, 12.507868]


def test_the_shape_of_a_supermarket_takes_seconds():
    """88,163 baskets of 16,470 products at support .001, one of 1,000 products among them: far below ten seconds."""
    baskets = benchmark.wide_baskets()
    started = time.process_time()
    found = frequent_itemsets(baskets, math.ceil(0.001 * baskets.n_baskets))
    assert time.process_time() - started < 5
    assert len(found) > 20_000
    pairs = found.sets[1][:: len(found.sets[1]) // 50]
    holding = [set(baskets.basket[baskets.item == item].tolist()) for item in range(int(pairs.max()) + 1)]
    assert found.counts_of(pairs).tolist() == [len(holding[one] & holding[other]) for one, other in pairs.tolist()]

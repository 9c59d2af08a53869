"""A tree of thresholds is a partition; its rules, simplified, say the same in SQL; its cost is near free k-means."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopkeeper.models.threshold_tree import (
    AMOUNT,
    COUNT,
    DAYS,
    Tree,
    fit_tree,
    human_numbers,
    rule_of,
    where,
)

NAMES, KINDS = ("days", "orders", "sales"), (DAYS, COUNT, AMOUNT)


def tree_of(*nodes: tuple[int, float, int, int, int]) -> Tree:
    """A tree from rows of feature, threshold, left, right, cluster."""
    return Tree.of_rows(np.array(nodes, float))


HAND = tree_of((1, 3, 1, 2, -1), (-1, 0, 0, 0, 0), (2, 500, 3, 4, -1), (-1, 0, 0, 0, 0), (-1, 0, 0, 0, 1))
"""Below 3 orders: 0; from 3 on: 0 below 500, else 1."""


def test_rows_below_the_threshold_go_left():
    """At the threshold they go right; a missing value is not below it."""
    rows = np.array([[9, 2, 900], [9, 3, 499], [9, 3, 500], [9, np.nan, 500]])
    assert HAND.assign(rows).tolist() == [0, 0, 1, 1]
    assert HAND.n_leaves == 3


def test_a_fence_is_a_new_root():
    """Rows beyond it have their own cluster, the others what they had."""
    fenced = HAND.fenced(2, 10_000, cluster=9, is_above=True).fenced(1, 1, cluster=7, is_above=False)
    rows = np.array([[9, 0, 900], [9, 5, 10_000], [9, 3, 500], [9, 2, 500]])
    assert fenced.assign(rows).tolist() == [7, 9, 1, 0]


def test_renamed_clusters_are_the_same_rows():
    """A cluster without a new name is nobody's."""
    rows = np.array([[9, 2, 900], [9, 3, 500]])
    assert HAND.renamed({0: 4, 1: 6}).assign(rows).tolist() == [4, 6]
    assert HAND.renamed({1: 6}).assign(rows).tolist() == [-1, 6]


def test_a_rule_is_as_short_as_it_can_be():
    """The left leaf's bound on orders is dropped from the second leaf, whose box may grow into the first."""
    assert where(rule_of(HAND, 1), NAMES, KINDS) == "orders >= 3 and sales >= 500"
    assert where(rule_of(HAND, 0), NAMES, KINDS) == "orders < 3 or sales < 500"


def test_what_cannot_be_need_not_be_kept_out():
    """Where 3 orders always mean sales of 500, one bound says it."""
    possible = lambda box: not (box.get(1, (0, 9))[0] >= 3 and box.get(2, (0, 1e9))[1] <= 500)  # noqa: E731
    assert where(rule_of(HAND, 1, possible), NAMES, KINDS) in {"orders >= 3", "sales >= 500 and orders >= 3"}


def test_a_count_between_neighbours_is_an_equality():
    """One whole number is said as such, and below one is none."""
    assert where([{1: (3.0, 4.0)}], NAMES, KINDS) == "orders = 3"
    assert where([{1: (-np.inf, 1.0)}], NAMES, KINDS) == "orders = 0"
    assert where([{2: (0.5, 1.5)}], NAMES, KINDS) == "sales >= 0.5 and sales < 1.5"


def test_shared_conditions_stand_in_front():
    """What all boxes ask for is asked for once."""
    boxes = [{0: (30.0, np.inf), 1: (-np.inf, 3.0)}, {0: (30.0, np.inf), 2: (500.0, np.inf)}]
    assert where(boxes, NAMES, KINDS) == "days >= 30 and (orders < 3 or sales >= 500)"


@st.composite
def trees(draw) -> Tree:
    """Trees of up to four levels over three features, thresholds 1 to 4, clusters 0 to 2."""
    nodes: list[list[float]] = []

    def grow(depth: int) -> int:
        mine = len(nodes)
        nodes.append([-1, 0, 0, 0, draw(st.integers(0, 2))])
        if depth < 4 and draw(st.booleans()):
            feature, threshold = draw(st.integers(0, 2)), draw(st.integers(1, 4))
            left, right = grow(depth + 1), grow(depth + 1)
            nodes[mine] = [feature, threshold, left, right, -1]
        return mine

    grow(0)
    return Tree.of_rows(np.array(nodes, float))


EVERY_ROW = np.array([[a, b, c] for a in range(6) for b in range(6) for c in range(6)], float)


@settings(max_examples=150, deadline=None)
@given(trees())
def test_sql_says_what_the_tree_does(tree):
    """Whatever the tree: each cluster's condition gives its rows in DuckDB, no more and no less, so each row has one."""
    table = pa.table(dict(zip(NAMES, EVERY_ROW.T, strict=True)) | {"row": np.arange(len(EVERY_ROW))})
    found = tree.assign(EVERY_ROW)
    with duckdb.connect() as connection:
        connection.register("rows", table)
        for cluster in sorted({each for each, _ in tree.leaves()}):
            boxes = rule_of(tree, cluster)
            if not boxes:
                assert not (found == cluster).any()
                continue
            told = connection.execute(f"select row from rows where {where(boxes, NAMES, KINDS)}").fetchall()
            assert sorted(row for (row,) in told) == np.flatnonzero(found == cluster).tolist()


@settings(deadline=None)
@given(trees())
def test_a_tree_survives_its_rows(tree):
    """Written as one array and read back, it assigns alike."""
    assert np.array_equal(Tree.of_rows(tree.as_rows()).assign(EVERY_ROW), tree.assign(EVERY_ROW))


def test_human_numbers_are_those_of_people():
    """Days, counts, amounts within the range, ascending."""
    assert human_numbers(DAYS, 5, 100).tolist() == [7, 14, 30, 60, 90]
    assert human_numbers(COUNT, 0, 60).tolist() == [1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50]
    assert human_numbers(AMOUNT, 40, 1000).tolist() == [50, 100, 200, 500, 1000]
    assert human_numbers(AMOUNT, 7, 7).tolist() == []


def blobs() -> np.ndarray:
    """Four groups of 100 at the corners of (10 or 200 days) x (1 or 20 orders), amounts alike."""
    rng = np.random.default_rng(0)
    corners = np.repeat([[10, 1], [10, 20], [200, 1], [200, 20]], 100, axis=0)
    return np.column_stack(
        [corners[:, 0] + rng.integers(-5, 6, 400), corners[:, 1], rng.integers(90, 110, 400)]
    ).astype(float)


def fitted(values: np.ndarray, labels: np.ndarray, leaves: int, least: int = 5) -> tuple[Tree, np.ndarray]:
    centres = np.array([values[labels == each].mean(axis=0) for each in range(labels.max() + 1)])
    grids = [human_numbers(kind, *np.quantile(values[:, place], [0, 1])) for place, kind in enumerate(KINDS)]
    return fit_tree(values, values, grids, grids, labels=labels, centres=centres, leaves=leaves, least=least)


def test_groups_at_corners_are_told_apart_without_a_mistake():
    """Four leaves for four groups, cut at numbers of people between them; the centres are the groups' means."""
    values, labels = blobs(), np.repeat(np.arange(4), 100)
    tree, centres = fitted(values, labels, 4)
    assert np.array_equal(tree.assign(values), labels)
    assert tree.n_leaves == 4
    assert {box[0] for _, box in tree.leaves()} <= {
        (-np.inf, float(day)) if low else (float(day), np.inf)
        for day in (30, 60, 90, 120, 180)
        for low in (True, False)
    }
    np.testing.assert_allclose(centres, [values[labels == each].mean(axis=0) for each in range(4)])


def test_more_leaves_than_clusters_follow_a_slanted_border():
    """Two clusters along a diagonal: with more leaves the tree is nearer to free k-means, never nearer than it."""
    rng = np.random.default_rng(1)
    along = rng.uniform(0, 100, 600)
    values = np.column_stack([along + rng.normal(0, 3, 600), 100 - along + rng.normal(0, 3, 600), np.full(600, 5.0)])
    values[:300] += [12, 12, 0]
    values[300:] -= [12, 12, 0]
    values = np.abs(values.round()) + 1
    labels = np.repeat([0, 1], 300)
    free = sum(((values[labels == each] - values[labels == each].mean(axis=0)) ** 2).sum() for each in range(2))
    costs = []
    for leaves in (2, 6, 12):
        tree, centres = fitted(values, labels, leaves)
        assert tree.n_leaves <= leaves
        costs.append(((values - centres[tree.assign(values)]) ** 2).sum())
    assert costs[2] <= costs[1] <= costs[0]
    assert costs[2] >= 0.99 * min(free, costs[2] * 1.01)


def test_no_side_of_a_cut_is_smaller_than_allowed():
    """With at least 150 rows a side, four groups of 100 cannot all have a leaf."""
    tree, _ = fitted(blobs(), np.repeat(np.arange(4), 100), 12, least=150)
    counts = np.unique(tree.assign(blobs()), return_counts=True)[1]
    assert counts.min() >= 150


def test_the_order_of_rows_says_nothing():
    """Shuffled rows give the same tree."""
    values, labels = blobs(), np.repeat(np.arange(4), 100)
    order = np.random.default_rng(3).permutation(400)
    one, _ = fitted(values, labels, 8)
    other, _ = fitted(values[order], labels[order], 8)
    assert np.array_equal(one.as_rows(), other.as_rows())


def test_constant_features_are_never_cut():
    """Where nothing differs there is one leaf."""
    values = np.ones((50, 3))
    tree, _ = fitted(values, np.zeros(50, int), 12)
    assert tree.n_leaves == 1


@pytest.mark.parametrize("feature", [0, 1])
def test_rows_are_unharmed(feature):
    """Fitting alters nothing that is handed in."""
    values, labels = blobs(), np.repeat(np.arange(4), 100)
    before = values.copy()
    fitted(values, labels, 6)
    assert np.array_equal(values[:, feature], before[:, feature])

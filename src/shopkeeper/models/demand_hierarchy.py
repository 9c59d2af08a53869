"""Levels that add up: forecasts of the total, its parts and their parts, made to agree.

The total is the sum of the countries, of the stores, and of the categories; a category is the sum of its products. Three ways
to agree, of which a model chooses on its rolling origins; all are exact, and none gives a negative.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shopkeeper.models.demand_methods import Matrix
from shopkeeper.models.demand_series import CATEGORY, COUNTRY, PRODUCT, STORE, TOTAL

Places = NDArray[np.int64]


@dataclass(frozen=True)
class Tree:
    """Where the series of each level stand: ``total``, ``sides`` (countries, stores), ``categories``, ``products``, and the
    place among the categories of each product (empty without categories).
    """

    total: int
    sides: tuple[Places, ...]
    categories: Places
    products: Places
    parent: Places


def tree_of(level: NDArray[np.str_], key: NDArray[np.str_], parent: NDArray[np.str_]) -> Tree | None:
    """Return how series hang together; None where there is no total, and so nothing to agree with."""
    totals = np.flatnonzero(level == TOTAL)
    if len(totals) != 1:
        return None
    categories, products = np.flatnonzero(level == CATEGORY), np.flatnonzero(level == PRODUCT)
    place = {name: number for number, name in enumerate(key[categories].tolist())}
    above = np.array([place.get(name, -1) for name in parent[products].tolist()], np.int64)
    if (above < 0).any():
        # Where a product's category has no series, products hang from the total.
        categories, above = categories[:0], above[:0]
    sides = tuple(np.flatnonzero(level == side) for side in (COUNTRY, STORE))
    return Tree(int(totals[0]), tuple(side for side in sides if len(side)), categories, products, above)


def bottom_up(tree: Tree, told: Matrix, variance: NDArray[np.float64]) -> Matrix:  # noqa: ARG001 - a way among others
    """Products as they are; all else their sum, countries and stores in proportion."""
    found = told.copy()
    if len(tree.products):
        if len(tree.categories):
            found[tree.categories] = 0.0
            np.add.at(found, tree.categories[tree.parent], told[tree.products])
        found[tree.total] = told[tree.products].sum(axis=0)
    elif tree.sides:
        found[tree.total] = told[tree.sides[0]].sum(axis=0)
    return _spread_down(tree, found, told, only_sides=True)


def top_down(tree: Tree, told: Matrix, variance: NDArray[np.float64]) -> Matrix:  # noqa: ARG001 - a way among others
    """The total as it is; all else shares of what is above, in proportion to its own forecast (Athanasopoulos 2009)."""
    return _spread_down(tree, told.copy(), told, only_sides=False)


def weighted(tree: Tree, told: Matrix, variance: NDArray[np.float64]) -> Matrix:
    """Least squares, each forecast weighted by how sure it is: MinT with a diagonal (Wickramasuriya and others 2019).

    ``variance``: of each series' errors. On a tree it is solved by one pass up and one down.
    """
    found, sure = told.copy(), np.maximum(variance, 1e-12)
    estimates, weights = [told[tree.total]], [1 / sure[tree.total]]
    middle = found[tree.categories]
    loose = sure[tree.categories]
    if len(tree.categories):
        sums, variances = np.zeros_like(middle), np.zeros(len(middle))
        np.add.at(sums, tree.parent, told[tree.products])
        np.add.at(variances, tree.parent, sure[tree.products])
        share = variances / (variances + loose)
        middle = sums + share[:, None] * (middle - sums)
        loose = loose * share
        estimates.append(middle.sum(axis=0))
        weights.append(1 / loose.sum())
    elif len(tree.products):
        estimates.append(told[tree.products].sum(axis=0))
        weights.append(1 / sure[tree.products].sum())
    for side in tree.sides:
        estimates.append(told[side].sum(axis=0))
        weights.append(1 / sure[side].sum())
    root = np.maximum(np.average(np.stack(estimates), axis=0, weights=np.array(weights)), 0.0)
    found[tree.total] = root
    if len(tree.categories):
        found[tree.categories] = _added(middle, loose, root)
        for number in range(len(tree.categories)):
            below = tree.products[tree.parent == number]
            found[below] = _added(told[below], sure[below], found[tree.categories[number]])
    elif len(tree.products):
        found[tree.products] = _added(told[tree.products], sure[tree.products], root)
    for side in tree.sides:
        found[side] = _added(told[side], sure[side], root)
    return found


WAYS: Mapping[str, Callable[[Tree, Matrix, NDArray[np.float64]], Matrix]] = {
    one.__name__: one for one in (top_down, bottom_up, weighted)
}
"""Ways to agree, by name."""


def _spread_down(tree: Tree, found: Matrix, told: Matrix, *, only_sides: bool) -> Matrix:
    root = found[tree.total]
    for side in tree.sides:
        found[side] = _in_proportion(told[side], root)
    if only_sides:
        return found
    if len(tree.categories):
        # A category whose products all have ended cannot hand anything down.
        alive = np.zeros_like(told[tree.categories])
        np.add.at(alive, tree.parent, told[tree.products])
        found[tree.categories] = _in_proportion(np.where(alive > 0, told[tree.categories], 0.0), root)
        sums = np.where(alive > 0, alive, 1.0)
        found[tree.products] = told[tree.products] * (found[tree.categories] / sums)[tree.parent]
    elif len(tree.products):
        found[tree.products] = _in_proportion(told[tree.products], root)
    # What has no part to carry it cannot stand above them.
    if len(tree.products):
        if len(tree.categories):
            found[tree.categories] = 0.0
            np.add.at(found, tree.categories[tree.parent], found[tree.products])
        found[tree.total] = found[tree.products].sum(axis=0)
    for side in tree.sides:
        found[side] = _in_proportion(found[side], found[tree.total])
    return found


def _in_proportion(told: Matrix, above: NDArray[np.float64]) -> Matrix:
    """Return the parts so that they add up to what is above; alike where all are zero."""
    sums = told.sum(axis=0)
    return np.asarray(np.where(sums > 0, told / np.where(sums > 0, sums, 1.0), 1.0 / max(len(told), 1)) * above)


def _added(told: Matrix, variance: NDArray[np.float64], above: NDArray[np.float64]) -> Matrix:
    """Return the parts with what is missing dealt out by variance, none below zero, adding up to what is above."""
    missing = above - told.sum(axis=0)
    dealt = np.maximum(told + (variance / variance.sum())[:, None] * missing, 0.0)
    return _in_proportion(dealt, above)

"""Lists that stand beside a product: what is bought together with it, and what is bought instead of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.models.item_similarity import MOST_IN_A_BASKET, Words, cosine
from shopkeeper.models.purchases import Purchases
from shopkeeper.models.recommender import CELLS, top_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LEAST_TOGETHER = 2
SHRINKAGE = 2.0
LEAST_LIKENESS = 0.15


@dataclass(frozen=True)
class ProductLists:
    """For each product (by number) the best others, -1 where a list ends early, and their scores."""

    items: NDArray[np.int64]
    scores: NDArray[np.float64]


def together(found: Purchases, is_offered: NDArray[np.bool_], n: int) -> ProductLists:
    """Return what stands in one basket with each product: cosine over baskets, shrunk, of pairs seen at least twice.

    score = c / (sqrt(n_i n_j) + 2), c baskets with both, n_i and n_j baskets with each. Baskets of more than 200 products
    are left out. A product seen once has no list.
    """
    baskets, _ = found.baskets(MOST_IN_A_BASKET, bought=True)
    similar = cosine(baskets, np.ones(baskets.shape[0]), SHRINKAGE)
    counts = _pairs(baskets)
    similar = similar.multiply(counts >= LEAST_TOGETHER).tocsr()
    return _best(similar, is_offered, n)


def instead(
    found: Purchases,
    words: Words,
    prices: NDArray[np.float64],
    is_offered: NDArray[np.bool_],
    n: int,
    categories: NDArray[np.str_],
) -> ProductLists:
    """Return what each product could be replaced by: alike, at a like price, and seldom in one basket with it.

    score = likeness * min(p_i, p_j) / max(p_i, p_j) / (1 + ln(1 + lift)). Likeness is the larger of two: the cosine of the
    words of their descriptions, and, where visits are recorded, how often they are looked at in one visit (cosine over
    visits); it counts half between different categories, where both are known. ``lift``: baskets with both, over those to
    be expected if they had nothing to do with each other. Unknown prices (NaN) count as like. Likeness below .15 is none.
    """
    looks, _ = found.baskets(MOST_IN_A_BASKET)
    bought, _ = found.baskets(MOST_IN_A_BASKET, bought=True)
    has_visits = bool((found.weight < 1).any())
    seen = cosine(looks, np.ones(looks.shape[0]), SHRINKAGE) if has_visits else None
    counts = _pairs(bought)
    sold = np.asarray(bought.sum(axis=0)).ravel()
    items = np.full((found.n_items, n), -1, np.int64)
    scores = np.zeros((found.n_items, n))
    size = max(CELLS // max(found.n_items, 1), 1)
    for start in range(0, found.n_items, size):
        part = slice(start, min(start + size, found.n_items))
        likeness = np.asarray((words.vectors[part] @ words.vectors.T).toarray(), np.float32)
        if seen is not None:
            likeness = np.maximum(likeness, np.asarray(seen[part].toarray(), np.float32))
        is_strange = (categories[part, None] != categories) & (categories[part, None] != "") & (categories != "")
        likeness = np.where(is_strange, likeness / 2, likeness)
        likeness[likeness < LEAST_LIKENESS] = 0
        expected = np.maximum(sold[part, None] * sold / max(bought.shape[0], 1), 1e-9)
        lift = np.asarray(counts[part].toarray()) / expected
        ratio = prices[part, None] / prices
        close = np.nan_to_num(np.minimum(ratio, 1 / ratio), nan=1.0)
        told = (likeness * close / (1 + np.log1p(lift))).astype(np.float32)
        told[np.arange(told.shape[0]), np.arange(part.start, part.stop)] = 0
        items[part], scores[part] = top_of(np.where((told > 0) & is_offered, told, -np.inf).astype(np.float32), n)
    return ProductLists(items, scores)


def last_prices(
    item: NDArray[np.int64], day: NDArray[np.int64], price: NDArray[np.float64], n_items: int
) -> NDArray[Any]:
    """Return the median price of each product on the last day it was sold; NaN where no line has a price above 0."""
    is_priced = (price > 0) & (item >= 0)
    item, day, price = item[is_priced], day[is_priced], price[is_priced]
    last = np.full(n_items, -1)
    np.maximum.at(last, item, day)
    is_last = day == last[item]
    item, price = item[is_last], price[is_last]
    order = np.lexsort((price, item))
    item, price = item[order], price[order]
    found = np.full(n_items, np.nan)
    starts = np.searchsorted(item, np.arange(n_items))
    ends = np.searchsorted(item, np.arange(n_items), side="right")
    has = ends > starts
    low, high = (starts + ends - 1) // 2, (starts + ends) // 2
    found[has] = (price[low[has]] + price[high[has]]) / 2
    return found


def _pairs(baskets: "csr_matrix") -> "csr_matrix":
    """Return in how many baskets two products stand together, with an empty diagonal."""
    counts = (baskets.T @ baskets).tocsr()
    counts.setdiag(0)
    counts.eliminate_zeros()
    return counts


def _best(similar: "csr_matrix", is_offered: NDArray[np.bool_], n: int) -> ProductLists:
    n_items = similar.shape[0]
    items, scores = np.full((n_items, n), -1, np.int64), np.zeros((n_items, n))
    size = max(CELLS // max(n_items, 1), 1)
    for start in range(0, n_items, size):
        told = np.asarray(similar[start : start + size].toarray(), np.float32)
        is_told = (told > 0) & is_offered
        items[start : start + size], scores[start : start + size] = top_of(np.where(is_told, told, -np.inf), n)
    return ProductLists(items, scores)

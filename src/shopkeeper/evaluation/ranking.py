"""Metrics of ranked lists: what a list of recommendations is worth to the customer it was made for.

A list is judged by its *hits*: row per customer, column per place from the top, true where the customer took what stood
there; and by ``n_wanted``, how many things the customer took that could have been recommended. Each function gives one
value per customer; a report says their mean. Customers who took nothing that could be recommended are misses of
``hit_at``, and have no recall and no NDCG (NaN).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError

Hits = NDArray[Any] | Sequence[Sequence[Any]]
Vector = NDArray[np.float64]


def hit_at(hits: Hits, n_wanted: Any, k: int) -> Vector:
    """Return 1 for each customer who took at least one of the first ``k``, else 0; the mean is the hit rate hit@k.

    >>> hit_at([[0, 1, 0], [0, 0, 1]], [2, 5], 2).tolist()
    [1.0, 0.0]
    """
    found, _ = _checked(hits, n_wanted)
    return np.asarray(found[:, :k].any(axis=1), np.float64)


def recall_at(hits: Hits, n_wanted: Any, k: int) -> Vector:
    """Return the hits among the first ``k`` over the most there could be: recall@k = hits / min(k, wanted).

    So defined by Liang and others (2018) and Steck (2019): a perfect list has 1 however much a customer took.

    >>> recall_at([[1, 0, 1], [0, 0, 1]], [2, 5], 3).round(3).tolist()
    [1.0, 0.333]
    """
    found, wanted = _checked(hits, n_wanted)
    return _where_wanted(found[:, :k].sum(axis=1), np.minimum(wanted, k))


def ndcg_at(hits: Hits, n_wanted: Any, k: int) -> Vector:
    """Return the normalised discounted cumulative gain: hits count less the lower they stand.

    DCG@k = sum over places i = 1 … k of hit_i / log2(i + 1), over the DCG of a list with all its min(k, wanted) hits on
    top (Jarvelin and Kekalainen 2002, with gains of 0 and 1).

    >>> ndcg_at([[1, 0, 1], [0, 0, 1]], [2, 5], 3).round(3).tolist()
    [0.92, 0.235]
    """
    found, wanted = _checked(hits, n_wanted)
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.append(0.0, np.cumsum(discount))[np.minimum(wanted, k)]
    given = found[:, :k]
    return _where_wanted(given @ discount[: given.shape[1]], ideal)


def catalogue_coverage(lists: Hits, n_products: int) -> float:
    """Return the share of the products that stand in at least one list; ``lists``: product numbers, -1 for no product.

    >>> catalogue_coverage([[0, 1], [1, -1]], 4)
    0.5
    """
    told = np.unique(np.asarray(lists))
    return float((told >= 0).sum() / n_products) if n_products else 0.0


def novelty(lists: Hits, share_of_buyers: Any) -> float:
    """Return how unknown the recommended products are: the mean of -log2(share of customers who bought it), in bits.

    ``share_of_buyers``: of each product number; one that nobody bought counts as bought by half a customer in a million.
    After Vargas and Castells (2011); a list of best-sellers has little.

    >>> novelty([[0, 1]], [0.5, 0.25])
    1.5
    """
    told = np.asarray(lists).ravel()
    share = np.maximum(np.asarray(share_of_buyers, np.float64)[told[told >= 0]], 5e-7)
    return float(-np.log2(share).mean()) if len(share) else 0.0


def share_of_ideal(truth: Any, predicted: Any) -> float:
    """Return the sum of what lists got over the sum of what ideal lists get; with an ideal of 1 each, the mean.

    So a value per customer from the functions above is measured and compared like any other prediction.

    >>> share_of_ideal([1, 1], [1, 0.5])
    0.75
    """
    return float(np.sum(predicted) / np.sum(truth))


def _checked(hits: Hits, n_wanted: Any) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    found, wanted = np.asarray(hits, bool), np.asarray(n_wanted, np.int64)
    if found.ndim != 2 or wanted.shape != (len(found),):
        raise ModelError(
            f"hits must have a row per customer and wanted one number each; got {found.shape} and {wanted.shape}."
        )
    return found, wanted


def _where_wanted(got: NDArray[Any], ideal: NDArray[Any]) -> Vector:
    return np.where(ideal > 0, got / np.where(ideal > 0, ideal, 1), np.nan)

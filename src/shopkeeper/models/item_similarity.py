"""Recommenders made of products alone: which go together, learnt from baskets, from customers, or from words."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.models.model import State, array_of
from shopkeeper.models.purchases import Purchases
from shopkeeper.models.recommender import CELLS, Recommender, Scores, top_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MOST_IN_A_BASKET = 200
NEIGHBOURS = 100
SHRINKAGE = 5.0
HALF_LIFE_DAYS = 180.0
PENALTY = 500.0
MOST_PRODUCTS, LEAST_BUYERS, KEPT_WEIGHTS = 2500, 3, 400
SHORTEST_WORD = 2
MOST_COMMON, FEW = 0.2, 5
"""A word in a larger share of the descriptions, and in more than a few, tells nothing."""


class ItemToItem(Recommender):
    """Item-to-item: products that stood in the same baskets as what a row took (Linden, Smith and York 2003).

    Similarity of two products = c / (sqrt(n_i n_j) + shrinkage) (cosine, shrunk for pairs seen rarely), with c and n counts
    of baskets, each basket counted half for every ``half_life_days``; the 100 nearest of each product are kept. A basket is
    what a customer or guest took on one day; baskets of more than 200 products make no pairs. A row's score of a product is
    the sum over what it took.
    """

    name = "item_to_item"

    def __init__(self, *, seed: int = 0, **parameters: Any) -> None:
        super().__init__(seed=seed, **parameters)
        self.near: Any = None

    def _learn(self, found: Purchases) -> None:
        baskets, weight = found.baskets(MOST_IN_A_BASKET)
        decay = 0.5 ** ((found.now - 1 - weight) / float(self.parameters.get("half_life_days", HALF_LIFE_DAYS)))
        self.near = nearest(cosine(baskets, decay, SHRINKAGE), NEIGHBOURS)

    def relevance(self, matrix: "csr_matrix") -> Scores:
        """Return rows x products, the more relevant the higher."""
        return np.asarray((matrix @ self.near).toarray(), np.float32)

    def because(self, matrix: "csr_matrix", best: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each recommended product the bought one that speaks most for it; -1: none."""
        return strongest(matrix, best, lambda one, other: np.asarray(self.near[one, other]).ravel())

    def own_state(self) -> State:
        """Return what this kind keeps."""
        return {**sparse_state("near", self.near)}

    def restore_own(self, state: State, n_products: int) -> None:
        """Take back what ``own_state`` told."""
        self.near = sparse_of(state, "near", n_products, n_products)


class Ease(Recommender):
    """EASE (Steck 2019): each product regressed on all others, in closed form.

    B = I - P diag(1/P_jj), P = (X'X + penalty I)^-1, X rows x products; a row's scores are x B. Only products with at least
    3 buyers, and of them the 2,500 with most, are regressed; the others get no score here. Of each product the 400
    strongest weights are kept. Guests' orders are not learnt from, unless no customer is known.
    """

    name = "ease"

    def __init__(self, *, seed: int = 0, **parameters: Any) -> None:
        super().__init__(seed=seed, **parameters)
        self.weights: Scores = np.zeros((0, 0), np.float32)
        self.regressed: NDArray[np.int64] = np.zeros(0, np.int64)

    def _learn(self, found: Purchases) -> None:
        whole = found.matrix()
        if found.is_customer.any():
            whole = whole[found.is_customer]
        counts = np.diff(whole.tocsc().indptr)
        most = int(self.parameters.get("most_products", MOST_PRODUCTS))
        order = np.lexsort((np.arange(len(counts)), -counts))[:most]
        self.regressed = np.sort(order[counts[order] >= min(LEAST_BUYERS, max(int(counts.max()), 1))])
        self.weights = ease_weights(whole[:, self.regressed], float(self.parameters.get("penalty", PENALTY)))

    def relevance(self, matrix: "csr_matrix") -> Scores:
        """Return rows x products, the more relevant the higher."""
        told = np.zeros(matrix.shape, np.float32)
        if len(self.regressed):
            told[:, self.regressed] = matrix[:, self.regressed] @ self.weights
        return told

    def because(self, matrix: "csr_matrix", best: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each recommended product the bought one that speaks most for it; -1: none."""
        place = np.full(len(self.products), -1)
        place[self.regressed] = np.arange(len(self.regressed))

        def weight(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.float64]:
            is_told = (place[one] >= 0) & (place[other] >= 0)
            told = self.weights[place[one], place[other]] if len(self.weights) else np.zeros(len(one))
            return np.where(is_told, told, 0.0).astype(np.float64)

        return strongest(matrix, best, weight)

    def own_state(self) -> State:
        """Return what this kind keeps."""
        from scipy.sparse import csr_matrix

        return {
            **sparse_state("weights", csr_matrix(self.weights)),
            "regressed": self.regressed.astype(np.int32),
        }

    def restore_own(self, state: State, n_products: int) -> None:
        """Take back what ``own_state`` told."""
        self.regressed = array_of(state, "regressed", -1).astype(np.int64)
        if len(self.regressed) and not 0 <= self.regressed.min() <= self.regressed.max() < n_products:
            raise ModelError(f"regressed must number {n_products} products")
        n = len(self.regressed)
        self.weights = np.asarray(sparse_of(state, "weights", n, n).toarray(), np.float32)


class Words:
    """Likeness of products by the words of their descriptions: cosine of tf-idf, each word counted once.

    Knows a product that never sold as well as any other. Words of one letter, and those in more than a fifth of the
    descriptions, tell nothing.
    """

    def __init__(self, vectors: "csr_matrix") -> None:
        self.vectors = vectors

    @classmethod
    def of(cls, descriptions: NDArray[np.str_]) -> "Words":
        """Make vectors of descriptions; products without words have none."""
        from scipy.sparse import csr_matrix, diags

        words = [sorted(set(re.findall(r"\w+", text.upper()))) for text in descriptions.tolist()]
        flat = np.array([word for each in words for word in each if len(word) >= SHORTEST_WORD], np.str_)
        lengths = [sum(len(word) >= SHORTEST_WORD for word in each) for each in words]
        names, column = np.unique(flat, return_inverse=True)
        starts = np.append(0, np.cumsum(lengths)).astype(np.int32)
        shape = (len(words), len(names))
        counts = np.bincount(column, minlength=len(names))
        rarity = np.where(counts > max(MOST_COMMON * len(words), FEW), 0.0, np.log(len(words) / np.maximum(counts, 1)))
        found = csr_matrix((rarity[column].astype(np.float32), column.astype(np.int32), starts), shape=shape)
        found.eliminate_zeros()
        size = np.sqrt(np.asarray(found.multiply(found).sum(axis=1)).ravel())
        return cls(diags(1 / np.maximum(size, 1e-9).astype(np.float32)).dot(found).tocsr())

    def relevance(self, matrix: "csr_matrix") -> Scores:
        """Return for rows of products the mean likeness to what they took, rows x products."""
        total = np.asarray(matrix.sum(axis=1)) + 1
        # A row with many products touches most words: sparse would be slower than dense.
        profile = (matrix @ self.vectors).tocsr()
        return np.asarray((profile @ self.vectors.T).toarray() / total, np.float32)


def cosine(baskets: "csr_matrix", weight: NDArray[np.float64], shrinkage: float) -> "csr_matrix":
    """Return the shrunk cosine of products over weighted baskets, as a sparse matrix with an empty diagonal."""
    from scipy.sparse import csr_matrix, diags

    weighted = diags(np.sqrt(weight)).dot(baskets.astype(np.float64)).tocsr()
    together = (weighted.T @ weighted).tocoo()
    size = np.sqrt(np.maximum(together.diagonal(), 0))
    is_pair = together.row != together.col
    row, column, count = together.row[is_pair], together.col[is_pair], together.data[is_pair]
    value = (count / (size[row] * size[column] + shrinkage)).astype(np.float32)
    return csr_matrix((value, (row, column)), shape=together.shape)


def nearest(similar: "csr_matrix", n: int) -> "csr_matrix":
    """Return the ``n`` largest values of each row of a sparse matrix; of equals those that stand first."""
    from scipy.sparse import csr_matrix

    columns, values, counts = [], [], []
    size = max(CELLS // max(similar.shape[1], 1), 1)
    for start in range(0, similar.shape[0], size):
        told = np.asarray(similar[start : start + size].toarray(), np.float32)
        best, value = top_of(np.where(told > 0, told, -np.inf), n)
        is_told = best >= 0
        columns.append(best[is_told])
        values.append(value[is_told])
        counts.append(is_told.sum(axis=1))
    starts = np.append(0, np.cumsum(np.concatenate(counts))) if counts else np.zeros(1, np.int64)
    if not columns:
        return csr_matrix(similar.shape, dtype=np.float32)
    parts = (
        np.concatenate(values).astype(np.float32),
        np.concatenate(columns).astype(np.int32),
        starts.astype(np.int64),
    )
    return csr_matrix(parts, shape=similar.shape)


def ease_weights(whole: "csr_matrix", penalty: float) -> Scores:
    """Return B of EASE with the strongest weights of each product, products x products."""
    from scipy.linalg import lapack
    from threadpoolctl import threadpool_limits

    gram = np.asarray((whole.T @ whole).toarray(), np.float32, order="F")
    n = len(gram)
    if not n:
        return np.zeros((0, 0), np.float32)
    gram[np.arange(n), np.arange(n)] += penalty
    # On a busy machine, threads that wait for one another took a hundred times as long; and one thread always sums alike.
    with threadpool_limits(1):
        factor, _ = lapack.spotrf(gram, lower=True, overwrite_a=True)
        inverse, _ = lapack.spotri(factor, lower=True, overwrite_c=True)
    # LAPACK fills the lower half; what stood in the upper half is the Gram matrix.
    inverse = np.tril(inverse)
    inverse += np.tril(inverse, -1).T
    weights = np.ascontiguousarray(inverse.T)
    weights /= -np.diag(inverse)[None, :]
    weights[np.arange(n), np.arange(n)] = 0
    if n > KEPT_WEIGHTS:
        least = np.partition(np.abs(weights), n - KEPT_WEIGHTS, axis=1)[:, n - KEPT_WEIGHTS : n - KEPT_WEIGHTS + 1]
        weights[np.abs(weights) < least] = 0
    return weights


def strongest(matrix: "csr_matrix", best: NDArray[np.int64], weight: Any) -> NDArray[np.int64]:
    """Return for each row and recommended product the product of the row with the largest weight above 0; -1: none.

    ``weight``: numbers of bought and of recommended products → their weights.
    """
    found = np.full(best.shape, -1, np.int64)
    lengths = np.diff(matrix.indptr)
    rows = np.flatnonzero(lengths)
    if not len(rows) or not best.shape[1]:
        return found
    of_entry = np.repeat(np.arange(matrix.shape[0]), lengths)
    starts = matrix.indptr[rows]
    for place in range(best.shape[1]):
        wanted = best[of_entry, place]
        value = np.where(wanted >= 0, weight(matrix.indices, np.maximum(wanted, 0)), 0.0)
        most = np.maximum.reduceat(value, starts)
        is_it = (value == np.repeat(most, lengths[rows])) & (value > 0)
        at = np.minimum.reduceat(np.where(is_it, np.arange(len(value)), len(value)), starts)
        has = at < len(value)
        found[rows[has], place] = matrix.indices[at[has]]
    return found


def sparse_state(name: str, matrix: "csr_matrix") -> State:
    """Return a sparse matrix as a model keeps it: three arrays."""
    return {
        f"{name}_data": matrix.data.astype(np.float32),
        f"{name}_indices": matrix.indices.astype(np.int32),
        f"{name}_indptr": matrix.indptr.astype(np.int64),
    }


def sparse_of(state: State, name: str, n_rows: int, n_columns: int) -> "csr_matrix":
    """Return the matrix that ``sparse_state`` told of. Raises ModelError or ValueError if it is not whole."""
    from scipy.sparse import csr_matrix

    parts = [array_of(state, f"{name}_{part}", -1) for part in ("data", "indices", "indptr")]
    found = csr_matrix((parts[0].astype(np.float32), parts[1], parts[2]), shape=(n_rows, n_columns))
    found.check_format(full_check=True)
    return found

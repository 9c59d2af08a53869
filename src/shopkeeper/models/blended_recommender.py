"""A blend of recommenders: what fits the customer, what sells of late, and what is new, weighed by what came true before."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shopkeeper.models.item_similarity import Ease, Words
from shopkeeper.models.log_odds import fit_log_odds
from shopkeeper.models.model import State, array_of
from shopkeeper.models.purchases import Purchases
from shopkeeper.models.recommender import Recommender, Scores, buyers_of_late, top_of

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

PERSONAL = ("ease", "words")
PRIORS = ("buyers_7d", "buyers_30d", "baskets_90d", "first_buyers_14d")
AGAIN = "bought_before"
LEAST_SHARE = 0.01
"""A fit below a hundredth of the row's best counts as a hundredth: the log of nothing has no end."""
LEAST_COUNT = 0.1
USUAL: Mapping[str, float] = {
    "ease": 0.9,
    "words": 0.6,
    "buyers_7d": 0.7,
    "buyers_30d": 0.0,
    "baskets_90d": -0.6,
    "first_buyers_14d": 0.5,
    AGAIN: 0.0,
}
"""Weights of a shop too young to learn its own; those of Online Retail, rounded."""
POOL = 80
RIDGE = 10.0


class Blend(Recommender):
    """The sum of weighted logs: fit to the row (EASE, words) and what the product has done of late.

    score = sum over kinds of fit k of w_k log max(s_k / largest s_k of the row, .01)
          + sum over priors p of w_p log (.1 + count_p), and w for what was bought before, where that may be shown again.

    Priors of a product count customers in the last days with a half-life: buyers (7, 30 days), baskets (90, guests' too),
    and first purchases (14): many buyers of late against few before mark what is coming. The weights (parameter
    ``weights``) are the coefficients of a logistic regression on earlier windows (``learn``).
    """

    name = "blend"

    def __init__(self, *, seed: int = 0, **parameters: Any) -> None:
        super().__init__(seed=seed, **parameters)
        rules = {key: value for key, value in parameters.items() if key != "weights"}
        self.ease = Ease(seed=seed, **rules)
        self.words = Words.of(np.zeros(0, np.str_))
        self.priors: NDArray[np.float64] = np.zeros((len(PRIORS), 0))

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each part, by name."""
        return {**USUAL, **self.parameters.get("weights", {})}

    def weighed(self, weights: Mapping[str, float]) -> Self:
        """Give other weights to what is fitted already; return the model."""
        self.parameters = {**self.parameters, "weights": dict(weights)}
        return self

    def ease_alone(self) -> Ease:
        """Return the EASE within as a recommender of its own; it shares what was fitted. Raises ModelError as ``score``."""
        alone = Ease(seed=self.seed, **self.ease.parameters).about(self.catalogue)
        return alone.adopt_all(self)

    def parts(self, matrix: "csr_matrix") -> list[Scores]:
        """Return the fits of rows to products, as logs relative to the row's best: one array per name of ``PERSONAL``."""
        return [_relative(self.ease.relevance(matrix)), _relative(self.words.relevance(matrix))]

    def _learn(self, found: Purchases) -> None:
        self.ease.adopt(self, found)
        self.words = Words.of(self.descriptions)
        baskets, day = found.baskets(10**9, bought=True)
        age = found.now - 1 - day
        counts = (
            buyers_of_late(found, 7),
            buyers_of_late(found, 30),
            np.asarray(baskets.T @ 0.5 ** (age / 90)).ravel(),
            buyers_of_late(found, 14, first=True),
        )
        self.priors = np.log(LEAST_COUNT + np.array(counts))

    def relevance(self, matrix: "csr_matrix") -> Scores:
        """Return rows x products, the more relevant the higher."""
        weights = self.weights
        prior = np.array([weights[name] for name in PRIORS]) @ self.priors
        told = np.repeat(prior[None, :].astype(np.float32), matrix.shape[0], axis=0)
        for name, part in zip(PERSONAL, self.parts(matrix), strict=True):
            told += np.float32(weights[name]) * part
        if weights[AGAIN] and not self.excludes_bought:
            told += np.float32(weights[AGAIN]) * (matrix >= 1).toarray()
        return told

    def because(self, matrix: "csr_matrix", best: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return for each recommended product the bought one that speaks most for it; -1: none."""
        return self.ease.because(matrix, best)

    def examples(self, rows: pa.Table, wanted: Sequence[Sequence[int]]) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Return what the weights are learnt from: parts by (row, product) of a pool, and 1 where the row then bought it.

        The pool of a row: the 80 best by each fit and by each prior, without what may not be shown. ``wanted``: the product
        numbers that each row bought next.
        """
        found = Purchases.of(rows, self.products)
        matrix, bought = found.matrix(), found.bought()
        features, targets = [], []
        size = max(2**21 // max(len(self.products), 1), 1)
        for start in range(0, found.n_rows, size):
            part = matrix[start : start + size]
            logs = self.parts(part)
            owned = bought[start : start + size].toarray() > 0
            is_out = owned & ~self.is_repeatable[None, :] if self.excludes_bought else np.zeros_like(owned)
            is_in = np.zeros(part.shape, bool)
            for scores in (*logs, *(np.repeat(prior[None, :], part.shape[0], 0) for prior in self.priors)):
                best, _ = top_of(np.where(is_out, -np.inf, scores).astype(np.float32), POOL)
                row, place = np.nonzero(best >= 0)
                is_in[row, best[row, place]] = True
            row, item = np.nonzero(is_in)
            is_wanted = np.zeros(part.shape, bool)
            for at, products in enumerate(wanted[start : start + size]):
                is_wanted[at, list(products)] = True
            columns = [each[row, item] for each in logs] + [prior[item] for prior in self.priors]
            columns.append(owned[row, item].astype(np.float64))
            features.append(np.column_stack(columns))
            targets.append(is_wanted[row, item].astype(np.float64))
        if not features:
            return np.zeros((0, len(PERSONAL) + len(PRIORS) + 1)), np.zeros(0)
        return np.concatenate(features), np.concatenate(targets)

    def own_state(self) -> State:
        """Return what this kind keeps."""
        return {
            **self.ease.own_state(),
            "priors": self.priors,
        }

    def restore_own(self, state: State, n_products: int) -> None:
        """Take back what ``own_state`` told."""
        self.ease.restore_own(state, n_products)
        self.ease.products, self.ease.is_fitted = self.products, True
        self.priors = array_of(state, "priors", len(PRIORS), n_products)
        self.words = Words.of(self.descriptions)


def learn(examples: Sequence[tuple[NDArray[Any], NDArray[np.float64]]]) -> dict[str, float]:
    """Return the weights of a blend from examples of several windows: a logistic regression with a small penalty.

    Columns are put on one scale first, so that the penalty is fair. Raises ModelError if nobody bought what could have been
    recommended, or everybody everything.
    """
    matrix, target = (np.concatenate(parts) for parts in zip(*examples, strict=True))
    middle, spread = matrix.mean(axis=0), matrix.std(axis=0)
    is_flat = spread < 1e-9
    scaled = (matrix - middle) / np.where(is_flat, 1, spread)
    found = fit_log_odds(scaled, target, penalty=RIDGE)
    weights = np.where(is_flat, 0.0, found.coefficients[1:] / np.where(is_flat, 1, spread))
    return {
        name: float(f"{weight:.6g}") for name, weight in zip((*PERSONAL, *PRIORS, AGAIN), weights.tolist(), strict=True)
    }


def _relative(scores: Scores) -> Scores:
    most = np.maximum(scores.max(axis=1, keepdims=True, initial=0), np.float32(1e-9))
    return np.asarray(np.log(np.maximum(scores / most, np.float32(LEAST_SHARE))), np.float32)

"""Implicit matrix factorisation: customers and products as points whose inner product says how well they fit."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shopkeeper.models.model import State, array_of
from shopkeeper.models.purchases import Purchases
from shopkeeper.models.recommender import Recommender, Scores

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

FACTORS, STEPS, PENALTY, CONFIDENCE = 64, 12, 2.0, 10.0


class Als(Recommender):
    """ALS for implicit feedback (Hu, Koren and Volinsky 2008), fitted by implicit.

    Products' factors are kept; a row's are solved for when it is scored, so a customer who bought yesterday, or a basket
    in hand, needs no new fit: x = (Y'Y + Y'(C - I)Y + penalty I)^-1 Y'C p, with confidence 1 + a per unit of weight.
    """

    name = "als"

    def __init__(self, *, seed: int = 0, **parameters: Any) -> None:
        super().__init__(seed=seed, **parameters)
        self.factors: NDArray[np.float64] = np.zeros((0, 0))

    def _learn(self, found: Purchases) -> None:
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits

        whole = found.matrix()
        if found.is_customer.any():
            whole = whole[found.is_customer]
        told = self.parameters
        with threadpool_limits(1):
            model = AlternatingLeastSquares(
                factors=min(int(told.get("factors", FACTORS)), *whole.shape),
                regularization=float(told.get("penalty", PENALTY)),
                alpha=float(told.get("confidence", CONFIDENCE)),
                iterations=int(told.get("steps", STEPS)),
                # One thread: sums in another order would give other factors.
                num_threads=1,
                use_cg=True,
                random_state=self.seed,
                dtype=np.float32,
            )
            model.fit(whole, show_progress=False)
        self.factors = np.asarray(model.item_factors, np.float64)

    def relevance(self, matrix: "csr_matrix") -> Scores:
        """Return rows x products, the more relevant the higher."""
        from threadpoolctl import threadpool_limits

        told = np.zeros(matrix.shape, np.float32)
        n = self.factors.shape[1]
        confidence = float(self.parameters.get("confidence", CONFIDENCE))
        penalty = float(self.parameters.get("penalty", PENALTY))
        # Small matrices one by one: more threads would only wait for one another.
        with threadpool_limits(1):
            whole = self.factors.T @ self.factors + penalty * np.eye(n)
            for row in range(matrix.shape[0]):
                part = slice(matrix.indptr[row], matrix.indptr[row + 1])
                near, weight = self.factors[matrix.indices[part]], confidence * matrix.data[part].astype(np.float64)
                place = np.linalg.solve(whole + (near * weight[:, None]).T @ near, near.T @ (1 + weight))
                told[row] = self.factors @ place
        return told

    def own_state(self) -> State:
        """Return what this kind keeps."""
        return {"factors": self.factors}

    def restore_own(self, state: State, n_products: int) -> None:
        """Take back what ``own_state`` told."""
        self.factors = array_of(state, "factors", n_products, -1)

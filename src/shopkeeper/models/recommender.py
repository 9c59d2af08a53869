"""What all recommenders share: the products they know, the rules of what may be shown, lists for customers and baskets.

A recommender is fitted on rows of ``purchases.purchase_rows`` and answers without a database: ``score`` for customers,
``for_basket`` for what somebody holds in hand, and for somebody of whom nothing is known.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shopkeeper.errors import ModelError
from shopkeeper.models.model import Model, State, array_of
from shopkeeper.models.purchases import READ, Purchases
from shopkeeper.vocabulary import CUSTOMER_ID

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

HALF_LIFE_DAYS = 7.0
COUNTRY_SHRINKAGE = 100.0
"""A country's own popularity counts half once so many (decayed) purchases stand behind it."""
LEAST_OF_A_COUNTRY = 30
"""A country with fewer customers has no list of its own."""
CELLS = 2**22
"""How many scores are held at once."""
Scores = NDArray[np.float32]
CATALOGUE = pa.schema(
    {
        "product_id": pa.string(),
        "description": pa.string(),
        "category": pa.string(),
        "is_offered": pa.bool_(),
        "is_repeatable": pa.bool_(),
    }
)
"""What a recommender may be told of products: their words, whether they may be shown, and shown to who bought them."""


@dataclass(frozen=True)
class Advice:
    """A list of recommendations, the best first.

    ``because``: for each, the product of the basket that speaks most for it, or None where it is popularity; ``ignored``:
    the products of the basket that the recommender does not know.
    """

    product_ids: Sequence[str]
    scores: Sequence[float]
    because: Sequence[str | None]
    ignored: Sequence[str] = ()


@dataclass(frozen=True)
class Lists:
    """Lists for rows: product numbers by row and place, -1 where a list ends early; scores; and the reasons.

    ``because``: the number of the bought product that speaks most for it, -1 for none.
    """

    items: NDArray[np.int64]
    scores: NDArray[np.float64]
    because: NDArray[np.int64]


class Recommender(Model):
    """A model that ranks products for rows of purchases; ``_learn`` and ``relevance`` are what a kind adds.

    Parameters: ``n``, the length of a list; ``exclude_bought``, whether what a row bought is left out (but for products
    told to be repeatable). A row without a known product gets what is popular of late, in its country where that is known.
    Scores are comparable within a row only.
    """

    n: ClassVar[int] = 20

    def __init__(self, *, seed: int = 0, **parameters: Any) -> None:
        super().__init__(seed=seed, **parameters)
        self.products: NDArray[np.str_] = np.zeros(0, np.str_)
        self.descriptions: NDArray[np.str_] = np.zeros(0, np.str_)
        self.is_offered = np.zeros(0, bool)
        self.is_repeatable = np.zeros(0, bool)
        self.popularity: NDArray[np.float64] = np.zeros(0)
        self.share_of_buyers: NDArray[np.float64] = np.zeros(0)
        self.countries: list[str] = []
        self.by_country: NDArray[np.float64] = np.zeros((0, 0))
        self.catalogue = CATALOGUE.empty_table()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of ``purchases.purchase_rows`` but the customer."""
        return READ

    @property
    def target(self) -> tuple[str, ...]:
        """Fitting also wants to know the customer, for an order of rows that does not depend on how they came."""
        return (CUSTOMER_ID,)

    @property
    def excludes_bought(self) -> bool:
        """Whether a list leaves out what its customer bought."""
        return bool(self.parameters.get("exclude_bought", True))

    def about(self, catalogue: pa.Table) -> Self:
        """Tell of the products: columns of ``CATALOGUE``. Words count from the next fit on, rules at once.

        Products that are not told of are offered, once. May be repeated: what was told before is forgotten.
        """
        self.catalogue = catalogue.select(CATALOGUE.names).cast(CATALOGUE)
        if len(self.products):
            self._told()
        return self

    def lists(self, rows: pa.Table, n: int | None = None) -> Lists:
        """Return the ``n`` best products of each row (the parameter's, if none is said) with reasons."""
        self._check(rows, self.columns)
        return self._lists(Purchases.of(rows, self.products), n or int(self.parameters.get("n", self.n)))

    def for_basket(
        self,
        product_ids: Sequence[str],
        *,
        n: int = 10,
        country: str | None = None,
        without: Sequence[str] = (),
        as_of: date | None = None,
    ) -> Advice:
        """Return what goes with a basket in hand; an empty one gets what is popular. Takes milliseconds, no database.

        ``without``: products not to be shown, besides those in the basket and those the rules bar. Unknown products are
        ignored and told. Raises ModelError if the model is not fitted.
        """
        if not self.is_fitted:
            raise ModelError(f"a model must be fitted before it recommends; {self.name} is not. Train it.")
        wanted = np.array([*product_ids, *without], np.str_)
        place = np.searchsorted(self.products, wanted)
        is_known = self.products[np.minimum(place, len(self.products) - 1)] == wanted
        n_held = len(product_ids)
        held, barred = np.unique(place[:n_held][is_known[:n_held]]), place[n_held:][is_known[n_held:]]
        day = ((as_of or self.latest or date(1970, 1, 1)) - date(1970, 1, 1)).days
        basket = Purchases(
            n_rows=1,
            products=self.products,
            row=np.zeros(len(held), np.int64),
            item=held.astype(np.int64),
            day=np.full(len(held), day),
            weight=np.ones(len(held)),
            now=day,
            countries=[country],
            is_customer=np.ones(1, bool),
        )
        found = self._lists(basket, n, np.union1d(held, barred).astype(np.int64))
        is_told = found.items[0] >= 0
        return Advice(
            [str(self.products[item]) for item in found.items[0][is_told].tolist()],
            found.scores[0][is_told].tolist(),
            [str(self.products[at]) if at >= 0 else None for at in found.because[0][is_told].tolist()],
            [name for name, known in zip(product_ids, is_known[:n_held].tolist(), strict=True) if not known],
        )

    def ranked_by(self, scores: NDArray[Any], n: int) -> NDArray[np.int64]:
        """Return the numbers of the ``n`` products with the highest scores that may be shown; of equals the first by id."""
        found = top_of(np.where(self.is_offered, scores, -np.inf)[None, :].astype(np.float32), n)[0][0]
        return np.asarray(found[found >= 0])

    def _fit(self, rows: pa.Table) -> None:
        found = Purchases.of(rows)
        if not len(found.item):
            raise ModelError(
                "a recommender must have purchases to learn from; got none. Load orders that name products."
            )
        found = found.in_one_order(rows[CUSTOMER_ID].to_pylist())
        self.products = found.products
        self._told()
        self.popularity = buyers_of_late(found, HALF_LIFE_DAYS)
        buyers = np.asarray(found.bought()[found.is_customer].sum(axis=0)).ravel()
        self.share_of_buyers = buyers / max(int(found.is_customer.sum()), 1)
        self._learn_countries(found)
        self._learn(found)

    def _told(self) -> None:
        """Line up what the catalogue tells with the products."""
        names = {name: at for at, name in enumerate(self.catalogue["product_id"].to_pylist())}
        at = np.array([names.get(str(name), -1) for name in self.products], np.int64)

        def of(column: str, default: Any, kind: Any) -> NDArray[Any]:
            told = [default if value is None else value for value in self.catalogue[column].to_pylist()]
            return np.array([*told, default], kind)[at]

        self.descriptions = of("description", "", np.str_)
        self.is_offered = of("is_offered", default=True, kind=bool)
        self.is_repeatable = of("is_repeatable", default=False, kind=bool)

    def _learn_countries(self, found: Purchases) -> None:
        """Keep what is popular of late in each country with customers enough, shrunk towards all."""
        of_row = np.array([name or "" for name in found.countries], np.str_)
        names, counts = np.unique(of_row[found.is_customer], return_counts=True)
        self.countries = [
            str(name) for name, n in zip(names, counts.tolist(), strict=True) if name and n >= LEAST_OF_A_COUNTRY
        ]
        everybody = self.popularity / max(self.popularity.sum(), 1e-12)
        own = [buyers_of_late(found, HALF_LIFE_DAYS, of_row == name) for name in self.countries]
        self.by_country = np.array([each + COUNTRY_SHRINKAGE * everybody for each in own]).reshape(
            len(own), len(everybody)
        )

    def _cold(self, country: str | None) -> NDArray[np.float64]:
        """Return the scores of products for somebody of whom nothing but perhaps the country is known."""
        if country in self.countries:
            return np.asarray(self.by_country[self.countries.index(country)])
        return self.popularity

    def _lists(self, found: Purchases, n: int, barred: NDArray[np.int64] | None = None) -> Lists:
        items = np.full((found.n_rows, n), -1, np.int64)
        scores, because = np.zeros((found.n_rows, n)), np.full((found.n_rows, n), -1, np.int64)
        matrix, bought = found.matrix(), found.bought()
        for start, stop, told in self._scored(matrix, found.countries):
            told[:, ~self.is_offered] = -np.inf
            if self.excludes_bought:
                rows, columns = bought[start:stop].nonzero()
                is_out = ~self.is_repeatable[columns]
                told[rows[is_out], columns[is_out]] = -np.inf
            if barred is not None:
                told[:, barred] = -np.inf
            best, values = top_of(told, n)
            items[start:stop], scores[start:stop] = best, values
            because[start:stop] = self.because(matrix[start:stop], best)
        return Lists(items, scores, because)

    def _scored(self, matrix: "csr_matrix", countries: Sequence[str | None]) -> Iterator[tuple[int, int, Scores]]:
        """Yield scores of rows, so many at a time that memory stays bounded: first row, last row, rows x products."""
        n_rows, n_items = matrix.shape
        size = max(CELLS // max(n_items, 1), 1)
        for start in range(0, n_rows, size):
            stop = min(start + size, n_rows)
            part = matrix[start:stop]
            told = self.relevance(part)
            for row in np.flatnonzero(np.diff(part.indptr) == 0).tolist():
                told[row] = self._cold(countries[start + row])
            yield start, stop, told

    def _score(self, rows: pa.Table) -> pa.Table:
        found = self.lists(rows)
        is_told = found.items >= 0
        offsets = pa.array(np.append(0, np.cumsum(is_told.sum(axis=1))).astype(np.int32))
        names = pa.array(self.products.tolist(), pa.string()).take(pa.array(found.items[is_told]))
        return pa.table(
            {
                "recommended": pa.ListArray.from_arrays(offsets, names),
                "scores": pa.ListArray.from_arrays(offsets, pa.array(found.scores[is_told])),
            }
        )

    def own_state(self) -> State:
        """Return what a kind keeps besides what all recommenders keep."""
        return {}

    def restore_own(self, state: State, n_products: int) -> None:
        """Take back what ``own_state`` told. Raises ModelError or ValueError if it is not whole."""

    def _state(self) -> State:
        return {
            **self.own_state(),
            "products": self.products,
            "descriptions": self.descriptions,
            "is_offered": self.is_offered.astype(np.int8),
            "is_repeatable": self.is_repeatable.astype(np.int8),
            "popularity": self.popularity,
            "share_of_buyers": self.share_of_buyers,
            "countries": self.countries,
            "by_country": self.by_country,
        }

    def _restore(self, state: State) -> None:
        self.products = texts_of(state, "products")
        n = len(self.products)
        self.descriptions = texts_of(state, "descriptions", n)
        self.is_offered = array_of(state, "is_offered", n).astype(bool)
        self.is_repeatable = array_of(state, "is_repeatable", n).astype(bool)
        self.popularity = array_of(state, "popularity", n)
        self.share_of_buyers = array_of(state, "share_of_buyers", n)
        self.countries = [str(name) for name in state["countries"]]
        self.by_country = array_of(state, "by_country", len(self.countries), n)
        self.restore_own(state, n)

    def adopt(self, whole: "Recommender", found: Purchases) -> None:
        """Learn as a part of another recommender, which has lined up products and purchases already."""
        self.products, self.is_fitted = whole.products, True
        self._learn(found)

    def adopt_all(self, whole: "Recommender") -> Self:
        """Take over what another recommender keeps, this kind's own part included; return self."""
        self._restore(whole._state())  # noqa: SLF001 - it is of the same family
        self.latest, self.is_fitted = whole.latest, whole.is_fitted
        return self

    def _learn(self, found: Purchases) -> None:
        """Learn from purchases, rows in canonical order."""

    @abstractmethod
    def relevance(self, matrix: "csr_matrix") -> Scores:
        """Return a new array of rows x products, the more relevant the higher; a row depends on itself alone."""

    def because(self, matrix: "csr_matrix", best: NDArray[np.int64]) -> NDArray[np.int64]:  # noqa: ARG002
        """Return for each recommended product the bought one that speaks most for it; -1: none."""
        return np.full_like(best, -1)


class Popular(Recommender):
    """Popularity with decay: how many customers bought a product, each counted half for every 7 days since; the baseline.

    The same list for everybody but for what they bought already.
    """

    name = "popular"

    def relevance(self, matrix: "csr_matrix") -> Scores:
        """Return the same for each row."""
        return np.repeat(self.popularity[None, :].astype(np.float32), matrix.shape[0], axis=0)


def buyers_of_late(
    found: Purchases, half_life_days: float, rows: NDArray[np.bool_] | None = None, *, first: bool = False
) -> NDArray[np.float64]:
    """Return how many customers took each product, counted half for every so many days since they last (first) did it.

    ``rows``: only these; guests count only where no customer is known.
    """
    is_counted = found.is_customer if found.is_customer.any() else ~found.is_customer
    kept = is_counted[found.row] if rows is None else (is_counted & rows)[found.row]
    row, item, day, weight = (part[kept] for part in (found.row, found.item, found.day, found.weight))
    key = row * max(found.n_items, 1) + item
    # Days ascend within a row, so a stable order by pair leaves the latest of each pair last; quick where sorted already.
    order = np.argsort(key, kind="stable")
    key = key[order]
    is_one = np.ones(len(key), bool)
    edges = is_one[1:] if first else is_one[:-1]
    edges[:] = key[1:] != key[:-1]
    at = order[is_one]
    return np.asarray(
        np.bincount(item[at], 0.5 ** ((found.now - 1 - day[at]) / half_life_days) * weight[at], found.n_items),
        np.float64,
    )


def top_of(scores: Scores, n: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the columns of the ``n`` highest scores of each row, the best first, of equals the first; and the scores.

    Minus infinity is no score: -1 and 0 stand where a row has fewer than ``n``.

    >>> top_of(np.array([[0.5, 2.0, -np.inf, 2.0]], np.float32), 3)[0].tolist()
    [[1, 3, 0]]
    """
    n_rows, n_items = scores.shape
    kept = min(n, n_items)
    found = np.full((n_rows, n), -1, np.int64)
    values = np.zeros((n_rows, n))
    if not n_rows or not kept:
        return found, values
    # Partition alone would choose among equals at the edge by chance: all above the n-th score, then the first equals.
    edge = -np.partition(-scores, kept - 1, axis=1)[:, kept - 1 : kept]
    above = scores > edge
    equal = scores == edge
    room = kept - above.sum(axis=1, keepdims=True)
    chosen = above | (equal & (np.cumsum(equal, axis=1) <= room))
    columns = np.nonzero(chosen)[1].reshape(n_rows, kept)
    order = np.argsort(-np.take_along_axis(scores, columns, 1), axis=1, kind="stable")
    best = np.take_along_axis(columns, order, 1)
    told = np.take_along_axis(scores, best, 1).astype(np.float64)
    is_told = np.isfinite(told)
    found[:, :kept] = np.where(is_told, best, -1)
    values[:, :kept] = np.where(is_told, told, 0.0)
    return found, values


def texts_of(state: State, name: str, length: int = -1) -> NDArray[np.str_]:
    """Return an array of texts from a state. Raises ModelError unless it is one, of this length (-1: any)."""
    found = state[name]
    if not isinstance(found, np.ndarray) or found.dtype.kind != "U" or found.ndim != 1:
        raise ModelError(f"{name} must be an array of texts")
    if length not in {-1, len(found)}:
        raise ModelError(f"{name} must have {length} texts; got {len(found)}")
    return found

"""Models that complete a basket: what else belongs to the products it holds.

All three count which products stand together, and tell of a basket those products to which most weight leads from what it
holds: the sum over the rules that apply. ``rules``: itemsets of any length; ``pair_rules``: pairs, down to rarer ones;
``popular_pairs``, the baseline: pairs weighed by nothing but their number.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shopkeeper.errors import ModelError
from shopkeeper.models.association_rules import NONE, Floats, Rules, is_redundant, p_values, q_values, rules_of
from shopkeeper.models.basket_log import ORDERS, PRODUCTS, numbered
from shopkeeper.models.itemsets import Baskets, Itemsets, Whole, largest_itemsets
from shopkeeper.models.model import Model, State, array_of

TOLD = 10
"""How many products a model tells of a basket."""
LEVEL = 0.05
BLOCK = 2_000_000
"""Scores held at once."""
MOST_PAIRS = 150_000
LEAST_BASKETS = 30


class BasketModel(Model):
    """What the models of baskets share: how rules become suggestions.

    Rows: one per basket, ``products`` a list of product ids in any order; an unknown product, or a null, says nothing.
    Scores: ``suggestions``, up to ten products that the basket does not hold, the best first; where no rule leads further,
    the products in most baskets; ``confidence``, the largest share of baskets with what led to the first one that hold it;
    its share of all baskets where no rule led to it.

    ``support``: the least share of baskets (0: the smallest at which what is found stays handy, and ``pair_minimum`` baskets
    or more); ``made_from``: what its baskets are, see ``basket_log``.
    """

    longest: ClassVar[int]
    """Items of an itemset at most; 0: any number."""
    most_itemsets: ClassVar[int] = MOST_PAIRS

    products: np.ndarray
    """Product ids, those in most baskets first; the arrays below speak of places in it."""
    n_holding: Whole
    antecedents: Whole
    """Items of each different antecedent, filled up with -1."""
    lines: Whole
    """Rules as antecedent's place and consequent."""
    weights: Floats
    confidences: Floats
    n_baskets: int
    least: int

    def __init__(
        self,
        *,
        seed: int = 0,
        made_from: str = ORDERS,
        support: float = 0.0,
        pair_minimum: int = 5,
        **parameters: Any,
    ) -> None:
        super().__init__(seed=seed, made_from=made_from, support=support, pair_minimum=pair_minimum, **parameters)
        self.made_from, self.support, self.pair_minimum = made_from, support, pair_minimum

    @property
    def columns(self) -> tuple[str, ...]:
        """The products of a basket."""
        return (PRODUCTS,)

    @abstractmethod
    def _weighed(self, itemsets: Itemsets) -> tuple[Rules, Floats]:
        """Return the rules to go by, and their weights."""

    def _fit(self, rows: pa.Table) -> None:
        basket, texts = _flat(rows)
        item, known = numbered(texts)
        names = np.array(known.to_pylist(), np.str_)
        if rows.num_rows < LEAST_BASKETS or len(names) < 2:
            raise ModelError(
                f"baskets must be {LEAST_BASKETS} or more, and products 2 or more, to tell what belongs together; got "
                f"{rows.num_rows} and {len(names)}. Wait for more orders."
            )
        counts = Baskets.of(basket, item, n_baskets=rows.num_rows, n_items=len(names)).counts
        order = np.lexsort((np.arange(len(names)), -counts))
        rank = np.empty(len(names), np.int64)
        rank[order] = np.arange(len(names))
        baskets = Baskets.of(basket, rank[item], n_baskets=rows.num_rows, n_items=len(names))
        least = max(self.pair_minimum, int(np.ceil(self.support * rows.num_rows - 1e-9)))
        itemsets = largest_itemsets(baskets, least, longest=self.longest, most=self.most_itemsets)
        rules, weights = self._weighed(itemsets)
        self.products, self.n_holding = names[order], counts[order]
        self.n_baskets, self.least = rows.num_rows, itemsets.least
        self.antecedents, place = _different(rules.antecedent)
        self.lines = np.column_stack([place, rules.consequent[:, 0]]).astype(np.int32)
        self.weights, self.confidences = weights, rules.confidence
        self._forget()

    def _score(self, rows: pa.Table) -> pa.Table:
        told, confidence, _ = self._suggest(rows)
        is_told = told >= 0
        ends = np.append(0, np.cumsum(is_told.sum(axis=1))).astype(np.int32)
        names = self._names.take(pa.array(told[is_told], pa.int64()))
        return pa.table(
            {"suggestions": pa.ListArray.from_arrays(pa.array(ends), names), "confidence": pa.array(confidence)}
        )

    def _explain(self, rows: pa.Table, top: int) -> pa.Table:
        """Return the rules that led to each row's first suggestion; ``value`` is the rule in words, ``effect`` its weight."""
        told, _, matched = self._suggest(rows)
        first = told[:, 0] if told.shape[1] else np.zeros(len(told), np.int64)
        found: list[tuple[int, int, str, str, float]] = []
        rule_of = self._matrices[1]
        for row in np.flatnonzero(np.diff(matched.indptr) > 0).tolist():
            antecedents = matched.indices[matched.indptr[row] : matched.indptr[row + 1]]
            weights = np.asarray(rule_of[antecedents, np.full(len(antecedents), first[row])]).ravel()
            best = np.lexsort((antecedents, -weights))[:top]
            for place, at in enumerate(best[weights[best] > 0], 1):
                items = self.antecedents[antecedents[at]]
                rule = f"{' + '.join(self.products[items[items != NONE]].tolist())} → {self.products[first[row]]}"
                found.append((row, place, PRODUCTS, rule, float(weights[at])))
        columns = list(zip(*found, strict=True)) or [()] * 5
        kinds = {
            "row": pa.int64(),
            "place": pa.int64(),
            "feature": pa.string(),
            "value": pa.string(),
            "effect": pa.float64(),
        }
        return pa.table({name: pa.array(told, kinds[name]) for name, told in zip(kinds, columns, strict=True)})

    def _suggest(self, rows: pa.Table) -> tuple[Whole, Floats, Any]:
        """Return the products told of each row (-1: none), the confidence of the first, and the antecedents that it holds."""
        from scipy import sparse

        n_products = len(self.products)
        basket, texts = _flat(rows)
        item = pc.fill_null(pc.index_in(texts, self._names), NONE).to_numpy(zero_copy_only=False).astype(np.int64)
        known = Baskets.of(basket[item >= 0], item[item >= 0], n_baskets=rows.num_rows, n_items=n_products)
        cells = np.ones(len(known.item)), (known.basket, known.item)
        held = sparse.csr_matrix(cells, shape=(rows.num_rows, n_products))
        to_antecedent, to_product, confidence_of = self._matrices
        matched = (held @ to_antecedent).tocsr()
        lengths = (self.antecedents != NONE).sum(axis=1)
        matched.data = (matched.data == lengths[matched.indices]).astype(np.float64)
        matched.eliminate_zeros()
        matched.sort_indices()
        n_told = min(TOLD, n_products)
        told, confidence = np.full((rows.num_rows, n_told), NONE), np.zeros(rows.num_rows)
        step = max(BLOCK // n_products, 1)
        for start in range(0, rows.num_rows, step):
            part = slice(start, start + step)
            scores = (matched[part] @ to_product).toarray()
            scores[held[part].nonzero()] = NONE
            here = np.arange(len(scores))
            for place in range(n_told):
                # The first of the greatest: of equals the product in more baskets.
                best = scores.argmax(axis=1)
                told[part, place] = np.where(scores[here, best] >= 0, best, NONE)
                scores[here, best] = NONE
        has_any = told[:, 0] >= 0
        confidence[has_any] = self.n_holding[told[has_any, 0]] / self.n_baskets
        row = np.repeat(np.arange(rows.num_rows), np.diff(matched.indptr))
        if len(row):
            led = np.asarray(confidence_of[matched.indices, np.maximum(told[row, 0], 0)]).ravel()
            by_rule = np.zeros(rows.num_rows)
            np.maximum.at(by_rule, row, led)
            confidence = np.where(by_rule > 0, by_rule, confidence)
        return told, confidence, matched

    def _forget(self) -> None:
        for name in ("_names", "_matrices"):
            self.__dict__.pop(name, None)

    @cached_property
    def _names(self) -> pa.Array:
        """The products, as Arrow has texts."""
        return pa.array(self.products.tolist(), pa.string())

    @cached_property
    def _matrices(self) -> tuple[Any, Any, Any]:
        """Product → antecedents that hold it; antecedent → weight of each product; the same with confidences."""
        from scipy import sparse

        n_products, n_antecedents = len(self.products), len(self.antecedents)
        row, _ = np.nonzero(self.antecedents != NONE)
        held = self.antecedents[self.antecedents != NONE]
        to_antecedent = sparse.csr_matrix((np.ones(len(row)), (held, row)), shape=(n_products, n_antecedents))
        at = self.lines[:, 0], self.lines[:, 1]
        shape = n_antecedents, n_products
        return (
            to_antecedent,
            sparse.csr_matrix((self.weights, at), shape=shape),
            sparse.csr_matrix((self.confidences, at), shape=shape),
        )

    def _state(self) -> State:
        return {
            "products": self.products,
            "n_holding": self.n_holding,
            "antecedents": self.antecedents,
            "lines": self.lines,
            "weights": self.weights,
            "confidences": self.confidences,
            "n_baskets": self.n_baskets,
            "least": self.least,
        }

    def _restore(self, state: State) -> None:
        self.products = state["products"]
        if not isinstance(self.products, np.ndarray) or self.products.dtype.kind != "U" or self.products.ndim != 1:
            raise ModelError("products must be an array of texts")
        if len(np.unique(self.products)) != len(self.products) or len(self.products) < 2:
            raise ModelError("products must be different ones, two or more")
        self.n_holding = array_of(state, "n_holding", len(self.products))
        self.antecedents = array_of(state, "antecedents", -1, -1)
        self.lines = array_of(state, "lines", -1, 2)
        self.weights = array_of(state, "weights", len(self.lines))
        self.confidences = array_of(state, "confidences", len(self.lines))
        self.n_baskets, self.least = int(state["n_baskets"]), int(state["least"])
        for name, places, end in (
            ("antecedents", self.antecedents, len(self.products)),
            ("lines", self.lines[:, 0], len(self.antecedents)),
            ("lines", self.lines[:, 1], len(self.products)),
        ):
            if places.dtype.kind not in "iu" or (places.size and not NONE <= places.min() <= places.max() < end):
                raise ModelError(f"{name} must be places from 0 to {end - 1}")
        # Each antecedent leads somewhere; else the array of antecedents, or that of lines, is not the whole one.
        if len(np.unique(self.lines[:, 0])) != len(self.antecedents) or (len(self.lines) and self.lines.min() < 0):
            raise ModelError("lines must name each antecedent")
        self._forget()


class WeighedRules(BasketModel):
    """Rules that are significant at a false discovery rate of 5 % and not redundant, weighed by confidence and lift.

    A rule's weight is confidence ^ ``confidence_power`` x lift ^ ``lift_power``: high powers let the surest rules speak.
    """

    def __init__(
        self, *, seed: int = 0, confidence_power: float = 3.0, lift_power: float = 0.5, **parameters: Any
    ) -> None:
        super().__init__(seed=seed, confidence_power=confidence_power, lift_power=lift_power, **parameters)
        self.confidence_power, self.lift_power = confidence_power, lift_power

    def _weighed(self, itemsets: Itemsets) -> tuple[Rules, Floats]:
        rules = rules_of(itemsets, least_lift=1.0)
        found = q_values(itemsets, rules, p_values(itemsets, rules)) <= LEVEL
        if not found.any():
            raise ModelError(
                f"a rule must be significant at a false discovery rate of {LEVEL:.0%} to be gone by; of {len(rules)} with a "
                f"lift above 1 none is. Wait for more orders."
            )
        rules = rules.take(found & ~is_redundant(itemsets, rules))
        return rules, rules.confidence**self.confidence_power * rules.lift**self.lift_power


class AllRules(WeighedRules):
    """Rules from itemsets of any length, at the support of the published ones."""

    name: ClassVar[str] = "rules"
    longest: ClassVar[int] = 0
    most_itemsets: ClassVar[int] = 20_000


class PairRules(WeighedRules):
    """Rules from one product to another, down to pairs in few baskets."""

    name: ClassVar[str] = "pair_rules"
    longest: ClassVar[int] = 2


class PopularPairs(BasketModel):
    """Pairs by the number of baskets that hold both; the baseline."""

    name: ClassVar[str] = "popular_pairs"
    longest: ClassVar[int] = 2

    def _weighed(self, itemsets: Itemsets) -> tuple[Rules, Floats]:
        rules = rules_of(itemsets)
        return rules, rules.n_both.astype(np.float64)


KINDS: Mapping[str, type[BasketModel]] = {kind.name: kind for kind in (AllRules, PairRules, PopularPairs)}
LOADERS: Mapping[str, Callable[[Path], Model]] = {name: kind.load for name, kind in KINDS.items()}


def without_one(rows: pa.Table, seed: int) -> tuple[pa.Table, list[str]]:
    """Return baskets of two products or more with one product taken out of each by chance, and those products.

    Which one depends on the baskets and the seed alone, not on the rows' order: rows come sorted by basket.
    """
    rows = rows.filter(pc.greater(pc.list_value_length(rows[PRODUCTS]), 1))
    sizes = pc.list_value_length(rows[PRODUCTS]).to_numpy()
    starts = np.append(0, np.cumsum(sizes))
    hidden = starts[:-1] + np.floor(np.random.default_rng(seed).random(len(sizes)) * sizes).astype(np.int64)
    products = pc.list_flatten(rows[PRODUCTS]).combine_chunks() if rows.num_rows else pa.array([], pa.string())
    is_left = np.ones(len(products), bool)
    is_left[hidden] = False
    ends = (starts - np.arange(len(starts))).astype(np.int32)
    left = pa.ListArray.from_arrays(pa.array(ends), products.filter(pa.array(is_left)))
    place = rows.column_names.index(PRODUCTS)
    return rows.set_column(place, PRODUCTS, left), products.take(pa.array(hidden)).to_pylist()


def places_of(model: Model, rows: pa.Table, hidden: list[str]) -> Whole:
    """Return the place, from 1 on, that a model gives to the product taken out of each basket; 0 where it tells others."""
    told = model.score(rows)["suggestions"].to_pylist()
    return np.array(
        [each.index(one) + 1 if one in each else 0 for each, one in zip(told, hidden, strict=True)], np.int64
    )


def _flat(rows: pa.Table) -> tuple[Whole, pa.Array]:
    """Return the row's number and the product of each line; lines without a product are left out."""
    column = rows[PRODUCTS]
    if not pa.types.is_list(column.type) and not pa.types.is_large_list(column.type):
        raise ModelError(
            f"the products of a basket must be a list of product ids; got {column.type}. Hand in one list per basket."
        )
    basket = pc.list_parent_indices(column).to_numpy().astype(np.int64)
    texts = pc.list_flatten(column).cast(pa.string())
    is_named = pc.is_valid(texts).to_numpy(zero_copy_only=False)
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    return basket[is_named], texts.drop_null()


def _different(antecedent: Whole) -> tuple[Whole, Whole]:
    """Return the different antecedents, and each rule's place among them. Equal ones stand together already."""
    is_new = np.ones(len(antecedent), bool)
    is_new[1:] = (antecedent[1:] != antecedent[:-1]).any(axis=1)
    return antecedent[is_new].astype(np.int32), np.cumsum(is_new) - 1
